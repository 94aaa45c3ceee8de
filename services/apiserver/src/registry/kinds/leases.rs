//! Leases: heartbeats and leadership, renewed all the time and never worth a trace.

use api::coordination::v1::Lease;
use api::field::ErrorList;
use api::validation;

use crate::registry::strategy::Strategy;

/// The rules of Leases.
pub(crate) struct Leases;

impl Strategy<Lease> for Leases {
    fn records_trace(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        // Two leaders that renew blindly would both believe that they hold it.
        false
    }

    fn validate(&self, lease: &Lease) -> ErrorList {
        validation::lease::create(lease)
    }

    fn validate_update(&self, new: &Lease, old: &Lease) -> ErrorList {
        validation::lease::update(new, old)
    }
}
