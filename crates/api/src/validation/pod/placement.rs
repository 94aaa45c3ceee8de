//! What else decides where a pod goes: tolerations, spreading over zones, gates that hold it back.

use std::collections::BTreeSet;

use crate::core::v1::{PodSpec, Toleration, TopologySpreadConstraint};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::validation::{NOT_POSITIVE, named, selector, supported_or_empty};

/// The effects of taints.
pub(in crate::validation) const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks tolerations, of a pod or of a runtime class.
pub(in crate::validation) fn tolerations(tolerations: &[Toleration], path: &Path, errors: &mut ErrorList) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let operator = path.child("operator");
        if !toleration.key.is_empty() {
            named(&toleration.key, names::qualified_name, &path.child("key"), errors);
        } else if toleration.operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(&operator, &toleration.operator, detail));
        }
        if toleration.toleration_seconds.is_some() && toleration.effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(&path.child("effect"), &toleration.effect, detail));
        }
        match toleration.operator.as_str() {
            "" | "Equal" => {
                let faults = names::label_value(&toleration.value);
                if !faults.is_empty() {
                    errors.push(FieldError::invalid(&operator, &toleration.value, faults.join(";")));
                }
            }
            "Exists" if !toleration.value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(&operator, &toleration.value, detail));
            }
            "Exists" => {}
            other => errors.push(FieldError::not_supported(&operator, other, &["Equal", "Exists"])),
        }
        supported_or_empty(&toleration.effect, TAINT_EFFECTS, &path.child("effect"), errors);
    }
}

pub(super) fn scheduling_gates(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (index, gate) in spec.scheduling_gates.iter().enumerate() {
        let path = path.index(index);
        named(&gate.name, names::qualified_name, &path, errors);
        if !seen.insert(&gate.name) {
            errors.push(FieldError::duplicate(&path, &gate.name));
        }
    }
}

pub(super) fn topology_spread(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let constraints = &spec.topology_spread_constraints;
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let kind = |c: &TopologySpreadConstraint| format!("{{{}, {}}}", c.topology_key, c.when_unsatisfiable);
        spread_constraint(constraint, &path, errors);
        if constraints[index + 1..].iter().any(|later| kind(later) == kind(constraint)) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&path, kind(constraint)));
        }
    }
}

fn spread_constraint(constraint: &TopologySpreadConstraint, path: &Path, errors: &mut ErrorList) {
    if constraint.max_skew <= 0 {
        errors.push(FieldError::invalid(&path.child("maxSkew"), constraint.max_skew, NOT_POSITIVE));
    }
    if constraint.topology_key.is_empty() {
        errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
    }
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    let action = constraint.when_unsatisfiable.as_str();
    if !actions.contains(&action) {
        errors.push(FieldError::not_supported(&path.child("whenUnsatisfiable"), action, &actions));
    }
    if let Some(domains) = constraint.min_domains {
        let path = path.child("minDomains");
        if domains <= 0 {
            errors.push(FieldError::invalid(&path, domains, NOT_POSITIVE));
        }
        if action != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(FieldError::invalid(&path, domains, detail));
        }
    }
    let policies = [
        ("nodeAffinityPolicy", &constraint.node_affinity_policy),
        ("nodeTaintsPolicy", &constraint.node_taints_policy),
    ];
    for (field, policy) in policies {
        if let Some(policy) = policy {
            supported_or_empty(policy, &["Honor", "Ignore"], &path.child(field), errors);
        }
    }
    let keys_path = path.child("matchLabelKeys");
    if !constraint.match_label_keys.is_empty() && constraint.label_selector.is_none() {
        errors.push(FieldError::forbidden(&keys_path, "must not be specified when labelSelector is not set"));
    }
    for (index, key) in constraint.match_label_keys.iter().enumerate() {
        named(key, names::qualified_name, &keys_path.index(index), errors);
        if constraint.label_selector.as_ref().is_some_and(|s| super::affinity::names_key(s, key)) {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.push(FieldError::invalid(&keys_path.index(index), key, detail));
        }
    }
    if let Some(labels) = &constraint.label_selector {
        selector::label_selector(labels, &path.child("labelSelector"), errors);
    }
}
