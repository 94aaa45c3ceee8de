//! ReplicaSets, and what all workloads have in common: a selector, a template that it matches, and counts.

use crate::apps::v1::{ReplicaSet, ReplicaSetSpec};
use crate::core::v1::PodTemplateSpec;
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::meta::v1::LabelSelector;
use crate::names::NameRule;
use crate::selector::label::Selector;

use super::{immutable, metadata, non_negative, pod, selector};

/// Checks a new ReplicaSet.
pub fn create(replica_set: &ReplicaSet) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&replica_set.metadata, true, NameRule::Subdomain, &mut errors);
    spec(&replica_set.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a ReplicaSet.
pub fn update(new: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    spec(&new.spec, &path, &mut errors);
    immutable(&new.spec.selector, &old.spec.selector, &path.child("selector"), &mut errors);
    errors
}

/// Checks a change of a ReplicaSet's status.
pub fn status_update(new: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    let (path, status) = (Path::new("status"), &new.status);
    non_negative(status.observed_generation, &path.child("observedGeneration"), &mut errors);
    let all = Counts {
        replicas: status.replicas,
        parts: &[
            ("fullyLabeledReplicas", status.fully_labeled_replicas),
            ("readyReplicas", status.ready_replicas),
            ("availableReplicas", status.available_replicas),
        ],
        ready: status.ready_replicas,
        available: status.available_replicas,
    };
    counts(&all, &path, &mut errors);
    errors
}

fn spec(spec: &ReplicaSetSpec, path: &Path, errors: &mut ErrorList) {
    non_negative(spec.replicas.unwrap_or_default().into(), &path.child("replicas"), errors);
    non_negative(spec.min_ready_seconds.into(), &path.child("minReadySeconds"), errors);
    selector_and_template(spec.selector.as_ref(), &spec.template, path, errors);
}

/// Checks that a workload whose pods are to run forever has a selector, and a template that makes such pods.
pub(super) fn selector_and_template(
    labels: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    let selector_path = path.child("selector");
    match labels {
        None => errors.push(FieldError::required(&selector_path, "")),
        Some(labels) => {
            selector::label_selector(labels, &selector_path, errors);
            if *labels == LabelSelector::default() {
                let detail = "empty selector is invalid for deployment";
                errors.push(FieldError::invalid(&selector_path, Json(labels), detail));
            }
        }
    }
    let template_path = path.child("template");
    match Selector::of(labels) {
        Ok(selector) => {
            matches_template(&selector, template, &template_path, errors);
            pod::template(template, &template_path, errors);
            let spec = template_path.child("spec");
            if template.spec.restart_policy != "Always" {
                let policy = &template.spec.restart_policy;
                errors.push(FieldError::not_supported(&spec.child("restartPolicy"), policy, &["Always"]));
            }
            if template.spec.active_deadline_seconds.is_some() {
                let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
                errors.push(FieldError::forbidden(&spec.child("activeDeadlineSeconds"), detail));
            }
        }
        Err(_) => errors.push(FieldError::invalid(&selector_path, Json(&labels), "invalid label selector")),
    }
}

/// A workload must select the pods that it makes, or it would make them forever.
pub(super) fn matches_template(selector: &Selector, template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    let labels = &template.metadata.labels;
    if !selector.requirements().is_empty() && !selector.matches(labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("metadata.labels"), Json(labels), detail));
    }
}

/// The replica counts of a status.
pub(super) struct Counts<'a> {
    pub(super) replicas: i32,
    /// The counts that are parts of the replicas, with their fields.
    pub(super) parts: &'a [(&'a str, i32)],
    pub(super) ready: i32,
    pub(super) available: i32,
}

/// No part is bigger than the whole.
pub(super) fn counts(counts: &Counts<'_>, path: &Path, errors: &mut ErrorList) {
    non_negative(counts.replicas.into(), &path.child("replicas"), errors);
    for (field, count) in counts.parts {
        non_negative((*count).into(), &path.child(field), errors);
    }
    for (field, count) in counts.parts {
        if *count > counts.replicas {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(&path.child(field), *count, detail));
        }
    }
    if counts.available > counts.ready {
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(&path.child("availableReplicas"), counts.available, detail));
    }
}
