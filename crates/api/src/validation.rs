//! What the apiserver refuses: Kubernetes' rules for each kind, with its field paths and texts.
//!
//! Each kind has a module with `create(object)` and `update(new, old)`, and `status_update(new, old)` where the status
//! is written apart. They expect defaults to be set ([`crate::defaults`]), look at nothing but the objects, change
//! nothing, and find every fault rather than the first. What depends on other objects is admission.
//!
//! Inside, a check takes the value, its path, and the list that it adds faults to.

pub mod config_map;
pub mod controller_revision;
pub mod deployment;
pub mod endpoint_slice;
pub mod endpoints;
pub mod event;
mod ip;
pub mod job;
pub mod lease;
pub mod metadata;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod pod_disruption_budget;
pub mod priority_class;
pub mod replica_set;
pub mod runtime_class;
pub mod secret;
mod selector;
pub mod service;
pub mod service_account;

use serde::Serialize;

use crate::field::{ErrorList, FieldError, Json, Path};
use crate::intstr::IntOrString;
use crate::names::{self, Rule};

/// What is said of a field that may not change.
const IMMUTABLE: &str = "field is immutable";
/// What is said of a number that must be at least one.
const NOT_POSITIVE: &str = "must be greater than zero";
/// The protocols of ports.
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
/// The most bytes that the values of a ConfigMap or a Secret may have: 1 MiB.
const MAX_DATA: usize = 1024 * 1024;

/// A number below zero makes no sense here.
fn non_negative(value: i64, path: &Path, errors: &mut ErrorList) {
    if value < 0 {
        errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
    }
}

/// The text must be one of a few; without a default it must also be there.
fn one_of(value: &str, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        supported_or_empty(value, supported, path, errors);
    }
}

/// The text must be one of a few, or nothing.
fn supported_or_empty(value: &str, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if !value.is_empty() && !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

/// There must be a text.
fn required(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

/// The text must obey a rule of [`names`].
fn named(value: &str, rule: Rule, path: &Path, errors: &mut ErrorList) {
    errors.push_invalid(path, value, rule(value));
}

/// The text must be there and obey a rule of [`names`].
fn required_name(value: &str, rule: Rule, path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        named(value, rule, path, errors);
    }
}

/// The field may not change.
fn immutable<T: PartialEq + Serialize>(new: &T, old: &T, path: &Path, errors: &mut ErrorList) {
    if new != old {
        errors.push(FieldError::invalid(path, Json(new), IMMUTABLE));
    }
}

/// A port must be a number in range or a port's name.
fn port(port: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match port.as_str() {
        Some(name) => named(name, names::port_name, path, errors),
        None => errors.push_invalid(path, port.int_val, names::port_number(port.int_val)),
    }
}

/// The value must be a number that is not negative, or a percentage.
fn int_or_percent(value: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match value.as_str() {
        Some(text) => named(text, names::percent, path, errors),
        None => non_negative(value.int_val.into(), path, errors),
    }
}

/// A percentage may not exceed the whole.
fn at_most_all(value: &IntOrString, path: &Path, errors: &mut ErrorList) {
    if value.as_percent().is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(path, Json(value), "must not be greater than 100%"));
    }
}

#[cfg(test)]
mod tests;
