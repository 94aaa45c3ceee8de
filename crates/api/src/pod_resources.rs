//! What a pod as a whole needs and may use at most.
//!
//! Containers run side by side, so their requests add up. Init containers run one after another before them, so
//! only the greediest counts; but sidecars (init containers that restart always) stay, and add to everything
//! started after them. What the pod itself asks for overrides that sum, and the runtime's overhead comes on top.
//! See [sidecars](https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers)
//! and [overhead](https://kubernetes.io/docs/concepts/scheduling-eviction/pod-overhead/).

use std::collections::BTreeMap;

use crate::core::v1::{Container, PodSpec, ResourceRequirements};
use crate::quantity::{Amount, amounts};
use crate::resource::Quantity;

/// Amounts by the name of the resource: `cpu`, `memory`, `example.com/gpu`.
pub type Resources = BTreeMap<String, Amount>;

/// Returns what a pod needs on a node.
pub fn requests(spec: &PodSpec) -> Resources {
    requests_or(spec, &Resources::new())
}

/// Returns what a pod needs if every container that does not ask for a resource of `defaults` asks for that much of it. A
/// scheduler ranks nodes by it: pods that ask for nothing would otherwise pile up on one node.
pub fn requests_or(spec: &PodSpec, defaults: &Resources) -> Resources {
    let mut total = of_containers(spec, |container| {
        let mut own = amounts(&container.resources.requests);
        for (name, amount) in defaults {
            own.entry(name.clone()).or_insert(*amount);
        }
        own
    });
    if let Some(own) = &spec.resources {
        override_by(&mut total, &own.requests);
    }
    add(&mut total, &amounts(&spec.overhead));
    total
}

/// Returns what a pod may use at most; a resource that is not named has no limit.
pub fn limits(spec: &PodSpec) -> Resources {
    let mut total = of_containers(spec, |container| amounts(&container.resources.limits));
    if let Some(own) = &spec.resources {
        override_by(&mut total, &own.limits);
    }
    // Overhead widens a limit and never makes one.
    for (name, amount) in amounts(&spec.overhead) {
        total.entry(name).and_modify(|limit| *limit += amount);
    }
    total
}

/// True if the pod itself, not only its containers, asks for resources.
pub fn has_own_resources(spec: &PodSpec) -> bool {
    let named = |r: &ResourceRequirements| !r.requests.is_empty() || !r.limits.is_empty();
    spec.resources.as_ref().is_some_and(named)
}

/// True for an init container that keeps running beside the others.
pub fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}

/// Whether a pod may ask for a resource as a whole.
pub fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Adds `more` to `total`, resource by resource.
pub fn add(total: &mut Resources, more: &Resources) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

fn of_containers(spec: &PodSpec, of_one: impl Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::new();
    for container in &spec.containers {
        add(&mut running, &of_one(container));
    }
    let mut sidecars = Resources::new();
    let mut starting = Resources::new();
    for container in &spec.init_containers {
        let own = of_one(container);
        let mut at_once = sidecars.clone();
        add(&mut at_once, &own);
        if is_sidecar(container) {
            add(&mut running, &own);
            sidecars = at_once.clone();
        }
        at_least(&mut starting, &at_once);
    }
    at_least(&mut running, &starting);
    running
}

fn at_least(total: &mut Resources, floor: &Resources) {
    for (name, amount) in floor {
        let entry = total.entry(name.clone()).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}

fn override_by(total: &mut Resources, own: &BTreeMap<String, Quantity>) {
    total.extend(amounts(own).into_iter().filter(|(name, _)| is_pod_level_resource(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), Quantity::parse(text).unwrap())).collect()
    }

    fn container(requests: &[(&str, &str)]) -> Container {
        let resources = ResourceRequirements { requests: list(requests), limits: list(requests), ..Default::default() };
        Container { resources, ..Default::default() }
    }

    fn sidecar(requests: &[(&str, &str)]) -> Container {
        Container { restart_policy: Some("Always".into()), ..container(requests) }
    }

    fn shown(resources: &Resources) -> Vec<String> {
        resources.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
    }

    #[test]
    fn containers_add_up_and_the_greediest_init_container_counts() {
        let spec = PodSpec {
            containers: vec![container(&[("cpu", "100m"), ("memory", "1Gi")]), container(&[("cpu", "200m")])],
            init_containers: vec![container(&[("cpu", "250m")]), container(&[("memory", "2Gi"), ("x/gpu", "1")])],
            ..Default::default()
        };
        assert_eq!(shown(&requests(&spec)), ["cpu=300m", "memory=2Gi", "x/gpu=1"]);
    }

    #[test]
    fn sidecars_add_to_what_starts_after_them() {
        let spec = PodSpec {
            containers: vec![container(&[("cpu", "1")])],
            init_containers: vec![
                container(&[("cpu", "5")]),
                sidecar(&[("cpu", "2")]),
                container(&[("cpu", "4")]),
                sidecar(&[("cpu", "1")]),
            ],
            ..Default::default()
        };
        // Running: 1 + 2 + 1. Starting: 5, then 2, then 2 + 4, then 2 + 1.
        assert_eq!(shown(&requests(&spec)), ["cpu=6"]);
    }

    #[test]
    fn a_default_counts_for_each_container_that_does_not_ask() {
        let spec = PodSpec {
            containers: vec![container(&[("cpu", "1")]), container(&[]), container(&[("cpu", "0")])],
            ..Default::default()
        };
        let defaults = amounts(&list(&[("cpu", "100m"), ("memory", "200Mi")]));
        assert_eq!(shown(&requests_or(&spec, &defaults)), ["cpu=1100m", "memory=600Mi"]);
        assert_eq!(shown(&requests(&spec)), ["cpu=1"]);
    }

    #[test]
    fn the_pod_overrides_and_overhead_comes_on_top() {
        let spec = PodSpec {
            containers: vec![container(&[("cpu", "1"), ("memory", "1Gi")])],
            resources: Some(ResourceRequirements {
                requests: list(&[("cpu", "3"), ("x/gpu", "7")]),
                ..Default::default()
            }),
            overhead: list(&[("cpu", "250m"), ("ephemeral-storage", "1Gi")]),
            ..Default::default()
        };
        assert_eq!(shown(&requests(&spec)), ["cpu=3250m", "ephemeral-storage=1Gi", "memory=1Gi"]);
        assert_eq!(shown(&limits(&spec)), ["cpu=1250m", "memory=1Gi"]);
    }
}
