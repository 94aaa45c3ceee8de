//! How much of everything there is and how much of it is left. Pure.
//!
//! Nodes here have one disk for images, writable layers and volumes; its size is the node's `ephemeral-storage`. The system itself uses
//! nothing of the node.

use std::collections::{BTreeMap, HashMap};

use api::quantity::{Amount, Format};

use super::signal::Signal;
use crate::cri;
use crate::runtime::CONTAINER_NAME;

/// Label of a container with its pod's uid.
pub const POD_UID: &str = "io.kubernetes.pod.uid";

/// What a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacities {
    /// Memory in bytes.
    pub memory: i64,
    /// What of it pods may use in all.
    pub memory_of_pods: i64,
    /// The disk in bytes.
    pub disk: i64,
    /// Processes.
    pub pids: i64,
}

/// What a container uses, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Its name in the pod.
    pub name: String,
    /// What cannot be taken back.
    pub memory: i64,
    /// What it wrote into its own file system.
    pub disk: i64,
}

/// What a pod uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodUsage {
    /// Each container that the runtime measures.
    pub containers: Vec<ContainerUsage>,
    /// Its emptyDir volumes by name, in bytes, as far as they are known.
    pub volumes: BTreeMap<String, i64>,
}

impl PodUsage {
    /// Memory in bytes.
    pub fn memory(&self) -> i64 {
        self.containers.iter().map(|container| container.memory).sum()
    }

    /// Disk in bytes.
    pub fn disk(&self) -> i64 {
        self.containers.iter().map(|container| container.disk).sum::<i64>() + self.volumes.values().sum::<i64>()
    }

    /// Processes: CRI does not count those of a container, so each one counts as one.
    pub fn processes(&self) -> i64 {
        i64::try_from(self.containers.len()).unwrap_or(i64::MAX)
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What is left.
    pub available: Amount,
    /// Of how much.
    pub capacity: Amount,
}

/// What is measured of a node at one moment.
pub type Observations = BTreeMap<Signal, Observation>;

/// What pods use by their uids, from the runtime's answer.
pub fn usages(stats: &[cri::ContainerStats]) -> HashMap<String, PodUsage> {
    let mut pods: HashMap<String, PodUsage> = HashMap::new();
    for container in stats {
        let Some(attributes) = &container.attributes else { continue };
        let (Some(uid), Some(name)) = (attributes.labels.get(POD_UID), attributes.labels.get(CONTAINER_NAME)) else {
            continue;
        };
        let bytes =
            |value: Option<cri::UInt64Value>| value.map_or(0, |value| i64::try_from(value.value).unwrap_or(i64::MAX));
        let usage = ContainerUsage {
            name: name.clone(),
            memory: bytes(container.memory.as_ref().and_then(|memory| memory.working_set_bytes)),
            disk: bytes(container.writable_layer.as_ref().and_then(|layer| layer.used_bytes)),
        };
        pods.entry(uid.clone()).or_default().containers.push(usage);
    }
    pods
}

/// Measures a node.
pub fn observe<'a>(
    capacities: &Capacities,
    pods: impl Iterator<Item = &'a PodUsage>,
    image_bytes: i64,
) -> Observations {
    let (mut memory, mut disk, mut pids) = (0_i64, image_bytes, 0_i64);
    for pod in pods {
        memory = memory.saturating_add(pod.memory());
        disk = disk.saturating_add(pod.disk());
        pids = pids.saturating_add(pod.processes());
    }
    let left = |capacity: i64, used: i64, format| Observation {
        available: Amount::new(capacity.saturating_sub(used).max(0), format),
        capacity: Amount::new(capacity, format),
    };
    BTreeMap::from([
        (Signal::MemoryAvailable, left(capacities.memory, memory, Format::BinarySi)),
        (Signal::AllocatableMemoryAvailable, left(capacities.memory_of_pods, memory, Format::BinarySi)),
        (Signal::NodefsAvailable, left(capacities.disk, disk, Format::BinarySi)),
        (Signal::ImagefsAvailable, left(capacities.disk, disk, Format::BinarySi)),
        (Signal::ContainerfsAvailable, left(capacities.disk, disk, Format::BinarySi)),
        (Signal::PidAvailable, left(capacities.pids, pids, Format::DecimalSi)),
    ])
}
