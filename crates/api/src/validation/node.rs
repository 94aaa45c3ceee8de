//! Nodes.

use std::collections::BTreeSet;

use crate::core::v1::{Node, Taint};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names::{self, NameRule};

use super::pod::{TAINT_EFFECTS, quantity};
use super::{ip, metadata, named, one_of};

/// Checks a new Node.
pub fn create(node: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&node.metadata, false, NameRule::Subdomain, &mut errors);
    contents(node, &mut errors);
    pod_cidrs(node, &Path::new("spec.podCIDRs"), &mut errors);
    errors
}

/// Checks a change of a Node.
pub fn update(new: &Node, old: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    contents(new, &mut errors);
    for (index, address) in new.status.addresses.iter().enumerate() {
        if new.status.addresses[..index].contains(address) {
            let path = Path::new("status.addresses").index(index);
            errors.push(FieldError::duplicate(&path, Json(address)));
        }
    }
    // These are given once and then hold.
    if !old.spec.pod_cidrs.is_empty() && new.spec.pod_cidrs != old.spec.pod_cidrs {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden(&Path::new("spec.podCIDRs"), detail));
    }
    if !old.spec.provider_id.is_empty() && new.spec.provider_id != old.spec.provider_id {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(FieldError::forbidden(&Path::new("spec.providerID"), detail));
    }
    if new.spec.external_id != old.spec.external_id {
        errors.push(FieldError::forbidden(&Path::new("spec.externalID"), "may not be updated"));
    }
    errors
}

/// Checks a change of a Node's status; the rules are those of any change.
pub fn status_update(new: &Node, old: &Node) -> ErrorList {
    update(new, old)
}

fn contents(node: &Node, errors: &mut ErrorList) {
    // Not where the taints stand, but where Kubernetes says they do.
    taints(&node.spec.taints, &Path::new("metadata.taints"), errors);
    for (field, list) in [("capacity", &node.status.capacity), ("allocatable", &node.status.allocatable)] {
        for (name, value) in list {
            quantity(name, value, &Path::new("status").child(field).child(name), errors);
        }
    }
}

fn taints(taints: &[Taint], path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        named(&taint.key, names::qualified_name, &path.child("key"), errors);
        let faults = names::label_value(&taint.value);
        if !faults.is_empty() {
            errors.push(FieldError::invalid(&path.child("value"), &taint.value, faults.join(";")));
        }
        one_of(&taint.effect, TAINT_EFFECTS, &path.child("effect"), errors);
        if !seen.insert((&taint.key, &taint.effect)) {
            let detail = "taints must be unique by key and effect pair";
            errors.push(FieldError::duplicate(&path, Json(taint)).with_detail(detail));
        }
    }
}

fn pod_cidrs(node: &Node, path: &Path, errors: &mut ErrorList) {
    let cidrs = &node.spec.pod_cidrs;
    let mut families = Vec::new();
    for (index, cidr) in cidrs.iter().enumerate() {
        families.extend(ip::range(cidr, &path.index(index), errors));
    }
    if !ip::at_most_one_per_family(&families) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(path, Json(cidrs), detail));
    }
    for (index, cidr) in cidrs.iter().enumerate().filter(|(index, cidr)| cidrs[..*index].contains(cidr)) {
        errors.push(FieldError::duplicate(&path.index(index), cidr));
    }
}
