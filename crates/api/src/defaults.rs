//! What the apiserver fills in where an object is silent: Kubernetes' v1 defaults, one file per kind.
//!
//! Defaults are set on every write before validation, so that validation, storage and clients see whole objects.
//! Setting them twice changes nothing. What depends on other objects (the namespace's service account, a priority
//! class) is admission, and stands elsewhere. Fields get their defaults in templates too, except those of
//! [`pod`], which only real pods get.

mod container;
mod deployment;
mod endpoints;
mod job;
mod namespace;
mod node;
mod pod;
mod replica_set;
mod scheduling;
mod secret;
mod service;
mod volume;

use std::collections::BTreeMap;

use crate::resource::Quantity;

pub use deployment::deployment;
pub use endpoints::{endpoint_slice, endpoints};
pub use job::job;
pub use namespace::namespace;
pub use node::node;
pub use pod::{pod, pod_template};
pub use replica_set::replica_set;
pub use scheduling::{priority_class, runtime_class};
pub use secret::secret;
pub use service::service;

/// Gives a text its default, if there is none.
fn text(field: &mut String, default: &str) {
    if field.is_empty() {
        default.clone_into(field);
    }
}

/// Writes resources in canonical form, rounded up to thousandths: nothing finer can be scheduled.
///
/// What is no quantity stays for validation to complain about.
fn resource_list(list: &mut BTreeMap<String, Quantity>) {
    for quantity in list.values_mut() {
        let Ok(amount) = quantity.amount() else { continue };
        let rounded = amount.round_up_to_milli();
        if rounded != amount {
            *quantity = rounded.into();
        } else if let Ok(canonical) = Quantity::parse(&quantity.string) {
            *quantity = canonical;
        }
    }
}

#[cfg(test)]
mod tests;
