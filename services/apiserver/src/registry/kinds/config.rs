//! ConfigMaps, Secrets and ServiceAccounts: what pods are given.

use api::core::v1::{ConfigMap, Secret, ServiceAccount};
use api::field::ErrorList;
use api::{defaults, validation};

use crate::registry::strategy::Strategy;

/// The rules of ConfigMaps.
pub(crate) struct ConfigMaps;

impl Strategy<ConfigMap> for ConfigMaps {
    fn validate(&self, map: &ConfigMap) -> ErrorList {
        validation::config_map::create(map)
    }

    fn validate_update(&self, new: &ConfigMap, old: &ConfigMap) -> ErrorList {
        validation::config_map::update(new, old)
    }
}

/// The rules of Secrets.
pub(crate) struct Secrets;

impl Strategy<Secret> for Secrets {
    fn field_names(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn fields(&self, secret: &Secret) -> Vec<(&'static str, String)> {
        vec![("type", secret.r#type.clone())]
    }

    fn set_defaults(&self, secret: &mut Secret) {
        defaults::secret(secret);
    }

    fn validate(&self, secret: &Secret) -> ErrorList {
        validation::secret::create(secret)
    }

    fn validate_update(&self, new: &Secret, old: &Secret) -> ErrorList {
        validation::secret::update(new, old)
    }
}

/// The rules of ServiceAccounts.
pub(crate) struct ServiceAccounts;

impl Strategy<ServiceAccount> for ServiceAccounts {
    fn validate(&self, account: &ServiceAccount) -> ErrorList {
        validation::service_account::create(account)
    }

    fn validate_update(&self, new: &ServiceAccount, old: &ServiceAccount) -> ErrorList {
        validation::service_account::update(new, old)
    }
}
