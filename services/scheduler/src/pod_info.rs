//! A pod with what the scheduler asks about it over and over, worked out once.

use std::fmt;
use std::sync::Arc;

use api::core::v1::Pod;
use api::host_ports::{HostPort, host_ports};
use api::pod_resources;
use api::quantity::{Amount, Format};

use crate::cache::Resources;

/// What a container that asks for no CPU is taken to use when nodes are ranked, in thousandths. Kubernetes' number.
const NOMINAL_MILLI_CPU: i64 = 100;
/// The same for memory, in bytes.
const NOMINAL_MEMORY: i64 = 200 << 20;

/// One version of a pod. Shared, never copied, never changed.
#[derive(Debug)]
pub struct PodInfo {
    /// The object.
    pub pod: Arc<Pod>,
    /// Who it is: a name may come back on another pod.
    pub uid: Arc<str>,
    /// The greater, the earlier its turn.
    pub priority: i32,
    /// What it needs on a node.
    pub requests: Resources,
    /// What nodes are ranked by: its requests, and nominal amounts for containers without.
    pub nominal: Nominal,
    /// Ports of the node that it takes.
    pub host_ports: Vec<HostPort>,
}

/// CPU and memory for ranking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nominal {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
}

impl PodInfo {
    /// Works it out.
    pub fn of(pod: Arc<Pod>) -> Arc<Self> {
        let requests = Resources::from(&pod_resources::requests(&pod.spec));
        let nominal = nominal(&pod, &requests);
        let uid = Arc::from(pod.metadata.uid.as_str());
        let (priority, host_ports) = (pod.spec.priority.unwrap_or(0), host_ports(&pod.spec));
        Arc::new(Self { uid, priority, requests, nominal, host_ports, pod })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.pod.metadata.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.pod.metadata.name
    }

    /// Whether `other`, a version of the same pod, is different to a scheduler. Status and bookkeeping are not.
    pub fn differs_for_scheduling(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.pod, &other.pod);
        mine.spec != theirs.spec
            || mine.metadata.labels != theirs.metadata.labels
            || mine.metadata.deletion_timestamp.is_some() != theirs.metadata.deletion_timestamp.is_some()
    }
}

impl fmt::Display for PodInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace(), self.name())
    }
}

fn nominal(pod: &Pod, requests: &Resources) -> Nominal {
    let asks = |name: &str| pod.spec.containers.iter().all(|container| container.resources.requests.contains_key(name));
    if asks("cpu") && asks("memory") && pod.spec.init_containers.is_empty() {
        return Nominal { milli_cpu: requests.milli_cpu, memory: requests.memory };
    }
    let defaults = [
        ("cpu".to_owned(), Amount::from_milli(NOMINAL_MILLI_CPU, Format::DecimalSi)),
        ("memory".to_owned(), Amount::new(NOMINAL_MEMORY, Format::BinarySi)),
    ];
    let with_defaults = Resources::from(&pod_resources::requests_or(&pod.spec, &defaults.into()));
    Nominal { milli_cpu: with_defaults.milli_cpu, memory: with_defaults.memory }
}

#[cfg(test)]
mod tests {
    use crate::testing::pod;

    #[test]
    fn containers_without_requests_weigh_something_and_need_nothing() {
        let idle = pod("idle").info();
        assert!(idle.requests.is_empty());
        assert_eq!((idle.nominal.milli_cpu, idle.nominal.memory), (100, 200 << 20));
        let greedy = pod("greedy").requests(&[("cpu", "2"), ("memory", "1Gi")]).info();
        assert_eq!((greedy.nominal.milli_cpu, greedy.nominal.memory), (2000, 1 << 30));
        let half = pod("half").requests(&[("cpu", "2")]).info();
        assert_eq!((half.nominal.milli_cpu, half.nominal.memory), (2000, 200 << 20));
    }

    #[test]
    fn a_status_makes_no_difference() {
        let before = pod("web");
        let mut after = before.clone();
        after.object.status.phase = "Pending".to_owned();
        after.object.metadata.resource_version = "2".to_owned();
        assert!(!before.info().differs_for_scheduling(&after.info()));
        after.object.spec.scheduling_gates.clear();
        after.object.spec.node_selector.insert("disk".to_owned(), "ssd".to_owned());
        assert!(before.info().differs_for_scheduling(&after.info()));
    }
}
