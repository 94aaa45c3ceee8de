//! Service accounts.

use crate::core::v1::ServiceAccount;
use crate::field::ErrorList;
use crate::names::NameRule;

use super::metadata;

/// Checks a new ServiceAccount.
pub fn create(account: &ServiceAccount) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&account.metadata, true, NameRule::Subdomain, &mut errors);
    errors
}

/// Checks a change of a ServiceAccount.
pub fn update(new: &ServiceAccount, old: &ServiceAccount) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    errors
}
