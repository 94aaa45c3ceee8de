//! A node as the filters see it: the object, the pods on it, and the sums.
//!
//! Invariant: `requested`, `nominal` and `used_ports` are always those of exactly the pods in `pods`.

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Node;
use api::host_ports::HostPort;
use api::quantity::amounts;

use super::Resources;
use crate::pod_info::{Nominal, PodInfo};

/// One state of a node. The cache changes its own copy; a snapshot keeps the one that it took.
#[derive(Debug, Clone, Default)]
pub struct NodeInfo {
    name: Arc<str>,
    /// Grows with every change of any node, so that a snapshot finds what is new to it.
    pub(super) generation: u64,
    /// Absent while only pods of the node are known: it was removed before them, or comes after them.
    node: Option<Arc<Node>>,
    allocatable: Resources,
    allowed_pods: i64,
    /// Size of each image on the node, by every name that it has.
    images: Arc<HashMap<String, i64>>,
    pods: Vec<Arc<PodInfo>>,
    requested: Resources,
    nominal: Nominal,
    used_ports: Vec<HostPort>,
}

impl NodeInfo {
    /// A node of which nothing but its name is known.
    pub fn named(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), ..Self::default() }
    }

    /// A node without pods.
    pub fn of(node: Arc<Node>) -> Self {
        let mut info = Self::named(&Arc::from(node.metadata.name.as_str()));
        info.set_node(Some(node));
        info
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The object. Every node of a snapshot has one.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// What pods may use.
    pub fn allocatable(&self) -> &Resources {
        &self.allocatable
    }

    /// How many pods it takes.
    pub fn allowed_pods(&self) -> i64 {
        self.allowed_pods
    }

    /// The pods on it, those that are only assumed included.
    pub fn pods(&self) -> &[Arc<PodInfo>] {
        &self.pods
    }

    /// What they need.
    pub fn requested(&self) -> &Resources {
        &self.requested
    }

    /// What they count for when nodes are ranked.
    pub fn nominal(&self) -> Nominal {
        self.nominal
    }

    /// The ports that they have taken.
    pub fn used_ports(&self) -> &[HostPort] {
        &self.used_ports
    }

    /// The images that are on the node: name to bytes.
    pub fn images(&self) -> &HashMap<String, i64> {
        &self.images
    }

    pub(super) fn shared_images(&self) -> Arc<HashMap<String, i64>> {
        Arc::clone(&self.images)
    }

    /// Replaces the object.
    pub(super) fn set_node(&mut self, node: Option<Arc<Node>>) {
        let Some(node) = node else {
            (self.node, self.allocatable, self.allowed_pods, self.images) = Default::default();
            return;
        };
        let allocatable = amounts(&node.status.allocatable);
        self.allocatable = Resources::from(&allocatable);
        self.allowed_pods = allocatable.get("pods").map_or(0, |pods| pods.value());
        if self.node.as_ref().is_none_or(|old| old.status.images != node.status.images) {
            let images = node.status.images.iter();
            let named = images.flat_map(|image| image.names.iter().map(|name| (name.clone(), image.size_bytes)));
            self.images = Arc::new(named.collect());
        }
        self.node = Some(node);
    }

    /// Counts a pod.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.nominal.milli_cpu += pod.nominal.milli_cpu;
        self.nominal.memory += pod.nominal.memory;
        self.used_ports.extend(pod.host_ports.iter().cloned());
        self.pods.push(pod);
    }

    /// Counts a pod no more.
    pub(super) fn remove_pod(&mut self, uid: &str) {
        let Some(index) = self.pods.iter().position(|pod| &*pod.uid == uid) else { return };
        let pod = self.pods.swap_remove(index);
        self.requested.subtract(&pod.requests);
        self.nominal.milli_cpu -= pod.nominal.milli_cpu;
        self.nominal.memory -= pod.nominal.memory;
        for taken in &pod.host_ports {
            if let Some(index) = self.used_ports.iter().position(|port| port == taken) {
                self.used_ports.swap_remove(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod};

    #[test]
    fn the_sums_are_those_of_the_pods() {
        let mut info = node("a").allocatable(&[("cpu", "4"), ("memory", "8Gi"), ("pods", "10")]).info();
        assert_eq!((info.allocatable().milli_cpu, info.allowed_pods()), (4000, 10));
        let web = pod("web").requests(&[("cpu", "1"), ("x/gpu", "1")]).host_port(80).info();
        let db = pod("db").requests(&[("cpu", "2"), ("memory", "1Gi")]).host_port(5432).info();
        info.add_pod(Arc::clone(&web));
        info.add_pod(Arc::clone(&db));
        assert_eq!((info.requested().milli_cpu, info.used_ports().len(), info.pods().len()), (3000, 2, 2));
        info.remove_pod(&web.uid);
        info.remove_pod(&web.uid);
        assert_eq!((info.requested().milli_cpu, info.requested().scalar("x/gpu")), (2000, 0));
        assert_eq!(info.used_ports(), db.host_ports);
        assert_eq!(info.nominal(), db.nominal);
    }
}
