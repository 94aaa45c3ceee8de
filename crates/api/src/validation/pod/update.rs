//! The few changes that a pod's spec allows.
//!
//! A pod is a decision already carried out, so nearly everything in it is fixed. What may change is put back to the
//! old value in a copy of the new spec; if the copy then still differs from the old one, something else changed.

use serde_json::Value;

use crate::core::v1::{Container, NodeAffinity, NodeSelectorTerm, Pod, PodSpec, Toleration};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names;
use crate::validation::metadata;

use super::{MIRROR, container, whole};

const MAY_CHANGE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                          `spec.tolerations` (only additions to existing tolerations),\
                          `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks a change of a pod.
pub fn update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    whole(new, &mut errors);
    mirror(new, old, &mut errors);
    spec_update(&new.spec, &old.spec, &Path::new("spec"), &mut errors);
    errors
}

/// The mark of a mirror pod neither comes nor goes.
fn mirror(new: &Pod, old: &Pod, errors: &mut ErrorList) {
    let detail = match (new.metadata.annotations.get(MIRROR), old.metadata.annotations.get(MIRROR)) {
        (new, old) if new == old => return,
        (_, Some(_)) => "may not remove or update mirror pod annotation",
        (_, None) => "may not add mirror pod annotation",
    };
    errors.push(FieldError::forbidden(&Path::new("metadata.annotations").key(MIRROR), detail));
}

fn spec_update(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let lists = [
        ("containers", &new.containers, &old.containers),
        ("initContainers", &new.init_containers, &old.init_containers),
    ];
    for (field, new, old) in lists {
        let path = path.child(field);
        if new.len() != old.len() {
            return errors.push(FieldError::forbidden(&path, "pod updates may not add or remove containers"));
        }
        for (index, new) in new.iter().enumerate() {
            container::image_is_trimmed(&new.image, &path.index(index), errors);
        }
    }
    if !deadline(new, old, &path.child("activeDeadlineSeconds"), errors) {
        return;
    }
    tolerations(&new.tolerations, &old.tolerations, &path.child("tolerations"), errors);
    for (index, gate) in new.scheduling_gates.iter().enumerate() {
        if !old.scheduling_gates.contains(gate) {
            let path = path.child("schedulingGates").index(index).child("name");
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.push(FieldError::forbidden(&path, detail));
        }
    }
    let put_back = put_back(new, old, path, errors);
    if put_back != *old {
        let differences = differences(&put_back, old, path);
        let detail = format!("pod updates may not change fields other than {MAY_CHANGE}\n{differences}");
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// A deadline may be set and may come nearer; returns false if it is so wrong that nothing else matters.
fn deadline(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) -> bool {
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), old) => {
            let faults = names::in_range(new, 0, i32::MAX.into());
            if !faults.is_empty() {
                errors.push_invalid(path, new, faults);
                return false;
            }
            if old.is_some_and(|old| old < new) {
                let detail = "must be less than or equal to previous value";
                errors.push(FieldError::invalid(path, new, detail));
                return false;
            }
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, Json(&Value::Null), detail));
        }
        (None, None) => {}
    }
    true
}

/// Tolerations may be added, and those that are there may last longer or shorter.
fn tolerations(new: &[Toleration], old: &[Toleration], path: &Path, errors: &mut ErrorList) {
    let same_but_for_time = |new: &Toleration, old: &Toleration| {
        *new == Toleration { toleration_seconds: new.toleration_seconds, ..old.clone() }
    };
    if !old.iter().all(|old| new.iter().any(|new| same_but_for_time(new, old))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// Returns the new spec with everything that may change as it was.
fn put_back(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) -> PodSpec {
    let images = |new: &[Container], old: &[Container]| -> Vec<Container> {
        let pairs = new.iter().zip(old);
        pairs.map(|(new, old)| Container { image: old.image.clone(), ..new.clone() }).collect()
    };
    let mut spec = PodSpec {
        containers: images(&new.containers, &old.containers),
        init_containers: images(&new.init_containers, &old.init_containers),
        active_deadline_seconds: old.active_deadline_seconds,
        scheduling_gates: old.scheduling_gates.clone(),
        tolerations: old.tolerations.clone(),
        ..new.clone()
    };
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && new.termination_grace_period_seconds == Some(1) {
        spec.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if !old.scheduling_gates.is_empty() {
        gated(&mut spec, old, path, errors);
    }
    spec
}

/// A pod that is held back from scheduling may still have its choice of nodes narrowed.
fn gated(spec: &mut PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if old.node_selector.iter().any(|(key, value)| spec.node_selector.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(FieldError::invalid(&path.child("nodeSelector"), Json(&spec.node_selector), detail));
    }
    spec.node_selector.clone_from(&old.node_selector);

    let of = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (new_affinity, old_affinity) = (of(spec), of(old));
    if new_affinity == old_affinity {
        return;
    }
    narrowed(new_affinity.as_ref(), old_affinity.as_ref(), &path.child("affinity.nodeAffinity"), errors);
    let mut affinity = spec.affinity.clone().unwrap_or_default();
    affinity.node_affinity = old_affinity;
    let empty = affinity == Default::default() && old.affinity.is_none();
    spec.affinity = if empty { None } else { Some(affinity) };
}

fn narrowed(new: Option<&NodeAffinity>, old: Option<&NodeAffinity>, path: &Path, errors: &mut ErrorList) {
    let terms = |affinity: Option<&NodeAffinity>| -> Vec<NodeSelectorTerm> {
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        required.map(|selector| selector.node_selector_terms.clone()).unwrap_or_default()
    };
    let (new, old) = (terms(new), terms(old));
    let path = path.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    if old.is_empty() {
        return;
    }
    if new.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return errors.push(FieldError::invalid(&path, Json(&new), detail));
    }
    for (index, (new, old)) in new.iter().zip(&old).enumerate() {
        let was_empty = old.match_expressions.is_empty() && old.match_fields.is_empty();
        let only_additions = new.match_expressions.starts_with(&old.match_expressions)
            && new.match_fields.starts_with(&old.match_fields)
            && (!was_empty || new == old);
        if !only_additions {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(&path.index(index), Json(new), detail));
        }
    }
}

/// Shows what changed, a line per field: its path, the old value, the new one.
fn differences(new: &PodSpec, old: &PodSpec, path: &Path) -> String {
    let as_json = |spec: &PodSpec| serde_json::to_value(spec).unwrap_or_default();
    let mut lines = Vec::new();
    compare(&as_json(new), &as_json(old), path, &mut lines);
    lines.join("\n")
}

fn compare(new: &Value, old: &Value, path: &Path, lines: &mut Vec<String>) {
    match (new, old) {
        (new, old) if new == old => {}
        (Value::Object(new), Value::Object(old)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let (new, old) = (new.get(key).unwrap_or(&Value::Null), old.get(key).unwrap_or(&Value::Null));
                compare(new, old, &path.child(key), lines);
            }
        }
        (Value::Array(new), Value::Array(old)) if new.len() == old.len() => {
            for (index, (new, old)) in new.iter().zip(old).enumerate() {
                compare(new, old, &path.index(index), lines);
            }
        }
        _ => lines.push(format!("  {path}: {old} -> {new}")),
    }
}
