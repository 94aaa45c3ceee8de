//! Leases.

use crate::coordination::v1::{Lease, LeaseSpec};
use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;

use super::{metadata, non_negative};

/// Checks a new Lease.
pub fn create(lease: &Lease) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&lease.metadata, true, NameRule::Subdomain, &mut errors);
    spec(&lease.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a Lease.
pub fn update(new: &Lease, old: &Lease) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    spec(&new.spec, &Path::new("spec"), &mut errors);
    errors
}

fn spec(spec: &LeaseSpec, path: &Path, errors: &mut ErrorList) {
    if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    non_negative(spec.lease_transitions.unwrap_or_default().into(), &path.child("leaseTransitions"), errors);
    if spec.preferred_holder.as_ref().is_some_and(|holder| !holder.is_empty())
        && spec.strategy.as_ref().is_none_or(String::is_empty)
    {
        let detail = "may only be specified if `strategy` is defined";
        errors.push(FieldError::forbidden(&path.child("preferredHolder"), detail));
    }
}
