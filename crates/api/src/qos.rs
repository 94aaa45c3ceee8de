//! The [quality-of-service class](https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/) of a pod, which says
//! who suffers first when a node runs short.
//!
//! Only CPU and memory count. The class is set when the pod is created and never changes.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::v1::PodSpec;
use crate::pod_resources::{Resources, add, has_own_resources};
use crate::quantity::amounts;
use crate::resource::Quantity;

/// How firmly a pod's resources are promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QosClass {
    /// Nothing asked for, nothing promised.
    BestEffort,
    /// Something asked for.
    Burstable,
    /// Every container has limits for CPU and memory, and requests exactly these.
    Guaranteed,
}

impl QosClass {
    /// Returns the word in `status.qosClass`.
    pub const fn as_str(self) -> &'static str {
        match self {
            QosClass::BestEffort => "BestEffort",
            QosClass::Burstable => "Burstable",
            QosClass::Guaranteed => "Guaranteed",
        }
    }
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Works out the class of a pod.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let mut requests = Resources::new();
    let mut limits = Resources::new();
    let mut all_limited = true;
    let mut count = |requested: &BTreeMap<String, Quantity>, limited: &BTreeMap<String, Quantity>| {
        add(&mut requests, &counted(requested));
        let limited = counted(limited);
        all_limited &= limited.len() == 2;
        add(&mut limits, &limited);
    };
    match &spec.resources {
        Some(own) if has_own_resources(spec) => count(&own.requests, &own.limits),
        _ => {
            for container in spec.containers.iter().chain(&spec.init_containers) {
                count(&container.resources.requests, &container.resources.limits);
            }
        }
    }
    if requests.is_empty() && limits.is_empty() {
        QosClass::BestEffort
    } else if all_limited && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

/// Keeps CPU and memory, where more than nothing is asked.
fn counted(list: &BTreeMap<String, Quantity>) -> Resources {
    let mut counted = amounts(list);
    counted
        .retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && !amount.is_zero() && !amount.is_negative());
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::{Container, ResourceRequirements};

    fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
        let list = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), Quantity::parse(text).unwrap())).collect()
        };
        ResourceRequirements { requests: list(requests), limits: list(limits), ..Default::default() }
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        const BOTH: &[(&str, &str)] = &[("cpu", "1"), ("memory", "1Gi")];
        let full = || resources(BOTH, BOTH);
        let table = [
            (vec![resources(&[], &[])], QosClass::BestEffort),
            (vec![resources(&[("cpu", "0"), ("x/gpu", "1")], &[])], QosClass::BestEffort),
            (vec![full()], QosClass::Guaranteed),
            (vec![full(), full()], QosClass::Guaranteed),
            (vec![resources(BOTH, &[("cpu", "1000m"), ("memory", "1024Mi")])], QosClass::Guaranteed),
            (vec![full(), resources(&[], &[])], QosClass::Burstable),
            (vec![resources(BOTH, &[])], QosClass::Burstable),
            (vec![resources(&[], BOTH)], QosClass::Burstable),
            (vec![resources(&[("cpu", "500m"), ("memory", "1Gi")], BOTH)], QosClass::Burstable),
            (vec![resources(&[("cpu", "1")], &[("cpu", "1")])], QosClass::Burstable),
        ];
        for (all, want) in table {
            let containers = all.into_iter().map(|resources| Container { resources, ..Default::default() });
            let spec = PodSpec { containers: containers.collect(), ..Default::default() };
            assert_eq!(qos_class(&spec), want, "{:?}", spec.containers);
        }
    }

    #[test]
    fn init_containers_count_and_the_pods_own_resources_override() {
        const BOTH: &[(&str, &str)] = &[("cpu", "1"), ("memory", "1Gi")];
        let limited = Container { resources: resources(BOTH, BOTH), ..Default::default() };
        let mut spec = PodSpec { containers: vec![limited], ..Default::default() };
        spec.init_containers.push(Container::default());
        assert_eq!(qos_class(&spec), QosClass::Burstable);
        spec.resources = Some(resources(BOTH, BOTH));
        assert_eq!(qos_class(&spec), QosClass::Guaranteed);
    }
}
