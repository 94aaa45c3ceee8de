//! Pods: new ones, the few changes they allow, their status, and their binding to a node.

mod affinity;
mod container;
mod env;
mod handler;
mod mount;
mod place;
mod placement;
mod resources;
mod security;
mod spec;
mod status;
mod update;
mod volume;

use crate::core::v1::{Binding, Pod, PodTemplateSpec};
use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;

use super::metadata;

pub(super) use placement::{TAINT_EFFECTS, tolerations};
pub(super) use resources::{limits_only, quantity};
pub use status::status_update;
pub use update::update;

/// The annotation of a pod that a kubelet made from a file and mirrors in the API.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The annotation that tells a ReplicaSet which pods to delete first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Checks a new pod.
pub fn create(pod: &Pod) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&pod.metadata, true, NameRule::Subdomain, &mut errors);
    whole(pod, &mut errors);
    let path = Path::new("spec");
    if !pod.spec.ephemeral_containers.is_empty() {
        errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !pod.spec.node_name.is_empty() && !pod.spec.scheduling_gates.is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden(&path.child("nodeName"), detail));
    }
    errors
}

/// Checks a decision of the scheduler.
pub fn binding(binding: &Binding) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("target");
    let target = &binding.target;
    if !["", "Node"].contains(&target.kind.as_str()) {
        errors.push(FieldError::not_supported(&path.child("kind"), &target.kind, &["Node", "<empty>"]));
    }
    super::required(&target.name, &path.child("name"), &mut errors);
    errors
}

/// What holds for a pod whether it is new or changed, apart from its name.
fn whole(pod: &Pod, errors: &mut ErrorList) {
    annotations(pod, errors);
    spec::pod_spec(&pod.spec, &Path::new("spec"), place::In::Pod(&pod.metadata.name), errors);
}

fn annotations(pod: &Pod, errors: &mut ErrorList) {
    let path = Path::new("metadata.annotations");
    let annotations = &pod.metadata.annotations;
    if let Some(value) = annotations.get(MIRROR)
        && pod.spec.node_name.is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(&path.key(MIRROR), value, detail));
    }
    if let Some(cost) = annotations.get(DELETION_COST)
        && (cost.parse::<i32>().is_err() || cost.starts_with('+'))
    {
        errors.push(FieldError::invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
}

/// Checks the template of a workload's pods.
pub(super) fn template(template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    metadata::template(&template.metadata, path, errors);
    spec::pod_spec(&template.spec, &path.child("spec"), place::In::Template, errors);
    if !template.spec.ephemeral_containers.is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&path.child("spec.ephemeralContainers"), detail));
    }
}

#[cfg(test)]
mod tests;
