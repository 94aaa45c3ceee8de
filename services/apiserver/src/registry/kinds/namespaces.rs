//! Namespaces: a deleted one is first emptied, then goes.
//!
//! `spec.finalizers` holds `kubernetes` from the start. A delete makes the namespace Terminating; whoever empties it
//! takes that finalizer away with an update, which removes the object. On an active namespace the finalizers cannot be changed.

use api::core::v1::Namespace;
use api::field::ErrorList;
use api::{defaults, validation};
use jiff::Timestamp;

use crate::registry::strategy::Strategy;

/// The rules of Namespaces.
pub(crate) struct Namespaces;

/// The finalizer of the namespace's contents.
pub(crate) const FINALIZER: &str = "kubernetes";

impl Strategy<Namespace> for Namespaces {
    fn field_names(&self) -> &'static [&'static str] {
        &["status.phase"]
    }

    fn fields(&self, namespace: &Namespace) -> Vec<(&'static str, String)> {
        vec![("status.phase", namespace.status.phase.clone())]
    }

    fn set_defaults(&self, namespace: &mut Namespace) {
        defaults::namespace(namespace);
    }

    fn copy_status(&self, from: &Namespace, to: &mut Namespace) {
        to.status = from.status.clone();
    }

    fn prepare_for_create(&self, namespace: &mut Namespace) {
        namespace.status.phase = "Active".to_owned();
        if !namespace.spec.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            namespace.spec.finalizers.push(FINALIZER.to_owned());
        }
    }

    fn prepare_for_update(&self, new: &mut Namespace, old: &Namespace) {
        if old.metadata.deletion_timestamp.is_none() {
            new.spec.finalizers.clone_from(&old.spec.finalizers);
        } else {
            new.spec.finalizers.retain(|finalizer| old.spec.finalizers.contains(finalizer));
        }
    }

    fn validate(&self, namespace: &Namespace) -> ErrorList {
        validation::namespace::create(namespace)
    }

    fn validate_update(&self, new: &Namespace, old: &Namespace) -> ErrorList {
        validation::namespace::update(new, old)
    }

    fn validate_status_update(&self, new: &Namespace, old: &Namespace) -> ErrorList {
        validation::namespace::status_update(new, old)
    }

    fn is_held(&self, namespace: &Namespace) -> bool {
        !namespace.spec.finalizers.is_empty()
    }

    fn mark_deleting(&self, namespace: &mut Namespace, _: Timestamp) {
        namespace.status.phase = "Terminating".to_owned();
    }
}
