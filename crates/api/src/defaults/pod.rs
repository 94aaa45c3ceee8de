//! Pods, and pod templates, which get fewer defaults: what is added to a template would start a rollout after an
//! upgrade that adds a default.

use super::container::container;
use super::volume::volume;
use super::{resource_list, text};
use crate::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use crate::pod_resources::{self, is_pod_level_resource};
use crate::quantity::quantities;

/// How long a pod may take to stop after it was asked to.
const GRACE_PERIOD_SECONDS: i64 = 30;

/// Sets the defaults of a pod.
pub fn pod(pod: &mut Pod) {
    let spec = &mut pod.spec;
    pod_spec(spec);
    for container in spec.containers.iter_mut().chain(&mut spec.init_containers) {
        requests_from_limits(container);
    }
    pod_level_resources(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network {
        // Without a network of its own, a pod's ports are the node's.
        let containers = spec.containers.iter_mut().chain(&mut spec.init_containers);
        for port in containers.flat_map(|c| &mut c.ports).filter(|port| port.host_port == 0) {
            port.host_port = port.container_port;
        }
    }
}

/// Sets the defaults of a pod template.
pub fn pod_template(template: &mut PodTemplateSpec) {
    pod_spec(&mut template.spec);
}

fn pod_spec(spec: &mut PodSpec) {
    text(&mut spec.dns_policy, "ClusterFirst");
    text(&mut spec.restart_policy, "Always");
    text(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(GRACE_PERIOD_SECONDS);
    // Two names of one field, the second of them from before v1 and still read by some.
    let legacy = spec.service_account.clone();
    text(&mut spec.service_account_name, &legacy);
    spec.service_account.clone_from(&spec.service_account_name);
    resource_list(&mut spec.overhead);
    if let Some(resources) = &mut spec.resources {
        resource_list(&mut resources.limits);
        resource_list(&mut resources.requests);
    }
    spec.containers.iter_mut().chain(&mut spec.init_containers).for_each(container);
    spec.volumes.iter_mut().for_each(volume);
}

/// Whoever limits a resource and says nothing else asks for as much.
fn requests_from_limits(container: &mut Container) {
    let resources = &mut container.resources;
    for (name, limit) in &resources.limits {
        resources.requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// A pod that limits its resources as a whole asks for what its containers ask for, or else for its limit.
fn pod_level_resources(spec: &mut PodSpec) {
    let Some(mut own) = spec.resources.take() else { return };
    // With the pod's own resources and overhead out of the way, what is left is what the containers add up to.
    let overhead = std::mem::take(&mut spec.overhead);
    let limits = quantities(&pod_resources::limits(spec));
    let requests = quantities(&pod_resources::requests(spec));
    spec.overhead = overhead;

    let is_hugepages = |name: &str| name.starts_with("hugepages-");
    if !own.limits.is_empty() || !own.requests.is_empty() {
        let missing = limits.into_iter().filter(|(name, _)| is_hugepages(name) && !own.requests.contains_key(name));
        for (name, limit) in missing.collect::<Vec<_>>() {
            own.limits.entry(name).or_insert(limit);
        }
    }
    if !own.limits.is_empty() {
        let shared = requests.into_iter().filter(|(name, _)| is_pod_level_resource(name) && !is_hugepages(name));
        let limited = own.limits.clone().into_iter().filter(|(name, _)| is_pod_level_resource(name));
        for (name, request) in shared.chain(limited) {
            own.requests.entry(name).or_insert(request);
        }
    }
    spec.resources = Some(own);
}
