//! Affinity: to nodes by their labels, to other pods and away from them.

use crate::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    WeightedPodAffinityTerm,
};
use crate::field::{ErrorList, FieldError, Path};
use crate::meta::v1::LabelSelector;
use crate::names;
use crate::validation::{named, selector};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(affinity: Option<&Affinity>, path: &Path, errors: &mut ErrorList) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        node_affinity(node, &path.child("nodeAffinity"), errors);
    }
    let pod = affinity.pod_affinity.as_ref().map(|affinity| {
        let required = &affinity.required_during_scheduling_ignored_during_execution;
        ("podAffinity", required, &affinity.preferred_during_scheduling_ignored_during_execution)
    });
    let anti = affinity.pod_anti_affinity.as_ref().map(|affinity| {
        let required = &affinity.required_during_scheduling_ignored_during_execution;
        ("podAntiAffinity", required, &affinity.preferred_during_scheduling_ignored_during_execution)
    });
    for (field, required, preferred) in [pod, anti].into_iter().flatten() {
        pod_terms(required, preferred, &path.child(field), errors);
    }
}

fn node_affinity(affinity: &NodeAffinity, path: &Path, errors: &mut ErrorList) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        node_selector(selector, &path.child(REQUIRED), errors);
    }
    for (index, term) in affinity.preferred_during_scheduling_ignored_during_execution.iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(term.weight, &path.child("weight"), errors);
        // A preference that nothing can meet does no harm, so its values may be any.
        node_term(&term.preference, Values::Any, &path.child("preference"), errors);
    }
}

fn node_selector(selector: &NodeSelector, path: &Path, errors: &mut ErrorList) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        return errors.push(FieldError::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(term, Values::OfLabels, &path.index(index), errors);
    }
}

/// What the values of a requirement may be.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    Any,
    OfLabels,
}

fn node_term(term: &NodeSelectorTerm, values: Values, path: &Path, errors: &mut ErrorList) {
    for (index, requirement) in term.match_expressions.iter().enumerate() {
        node_requirement(requirement, values, &path.child("matchExpressions").index(index), errors);
    }
    for (index, requirement) in term.match_fields.iter().enumerate() {
        node_field(requirement, &path.child("matchFields").index(index), errors);
    }
}

fn node_requirement(requirement: &NodeSelectorRequirement, values: Values, path: &Path, errors: &mut ErrorList) {
    let values_path = path.child("values");
    match (requirement.operator.as_str(), requirement.values.len()) {
        ("In" | "NotIn", 0) => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(&values_path, detail));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&values_path, detail));
        }
        ("Gt" | "Lt", count) if count != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(&values_path, detail));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (other, _) => {
            errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator"));
        }
    }
    named(&requirement.key, names::qualified_name, &path.child("key"), errors);
    if values == Values::OfLabels {
        for (index, value) in requirement.values.iter().enumerate() {
            named(value, names::label_value, &values_path.index(index), errors);
        }
    }
}

fn node_field(requirement: &NodeSelectorRequirement, path: &Path, errors: &mut ErrorList) {
    match requirement.operator.as_str() {
        "In" | "NotIn" if requirement.values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(FieldError::required(&path.child("values"), detail));
        }
        "In" | "NotIn" => {}
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if requirement.key != "metadata.name" {
        let detail = "not a valid field selector key";
        return errors.push(FieldError::invalid(&path.child("key"), &requirement.key, detail));
    }
    for (index, value) in requirement.values.iter().enumerate() {
        named(value, names::dns1123_subdomain, &path.child("values").index(index), errors);
    }
}

fn pod_terms(required: &[PodAffinityTerm], preferred: &[WeightedPodAffinityTerm], path: &Path, errors: &mut ErrorList) {
    for (index, term) in required.iter().enumerate() {
        pod_term(term, &path.child(REQUIRED).index(index), errors);
    }
    for (index, term) in preferred.iter().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(term.weight, &path.child("weight"), errors);
        pod_term(&term.pod_affinity_term, &path.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    if let Some(labels) = &term.label_selector {
        selector::label_selector(labels, &path.child("labelSelector"), errors);
    }
    if let Some(namespaces) = &term.namespace_selector {
        selector::label_selector(namespaces, &path.child("namespaceSelector"), errors);
    }
    for name in &term.namespaces {
        named(name, names::dns1123_label, &path.child("namespace"), errors);
    }
    label_keys(term, path, errors);
    let topology_key = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(&topology_key, "can not be empty"));
    }
    named(&term.topology_key, names::qualified_name, &topology_key, errors);
}

fn label_keys(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    for (field, keys) in [("matchLabelKeys", &term.match_label_keys), ("mismatchLabelKeys", &term.mismatch_label_keys)]
    {
        let path = path.child(field);
        if keys.is_empty() {
            continue;
        }
        if term.label_selector.is_none() {
            errors.push(FieldError::forbidden(&path, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            named(key, names::qualified_name, &path.index(index), errors);
        }
    }
    for (index, key) in term.match_label_keys.iter().enumerate() {
        let path = path.child("matchLabelKeys").index(index);
        if term.mismatch_label_keys.contains(key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(FieldError::invalid(&path, key, detail));
        }
        if term.label_selector.as_ref().is_some_and(|selector| names_key(selector, key)) {
            errors.push(FieldError::invalid(&path, key, "exists in both matchLabelKeys and labelSelector"));
        }
    }
}

/// True if a selector asks about a label.
pub(super) fn names_key(selector: &LabelSelector, key: &str) -> bool {
    selector.match_labels.contains_key(key) || selector.match_expressions.iter().any(|e| e.key == key)
}

fn weight(weight: i32, path: &Path, errors: &mut ErrorList) {
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(path, weight, "must be in the range 1-100"));
    }
}
