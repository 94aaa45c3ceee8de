//! What a kubelet measures of its node.

use std::str::FromStr;

use crate::lifecycle::admission::Pressure;

/// Something that a node can run short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Memory that no pod uses.
    MemoryAvailable,
    /// The same, of what pods may use in all.
    AllocatableMemoryAvailable,
    /// The disk with volumes, logs and writable layers.
    NodefsAvailable,
    /// Its inodes; not measured here.
    NodefsInodesFree,
    /// The disk with images: the same one, here.
    ImagefsAvailable,
    /// Its inodes; not measured here.
    ImagefsInodesFree,
    /// The disk with writable layers: the same one, here.
    ContainerfsAvailable,
    /// Its inodes; not measured here.
    ContainerfsInodesFree,
    /// Processes that can still be started.
    PidAvailable,
}

use Signal::{
    AllocatableMemoryAvailable, ContainerfsAvailable, ContainerfsInodesFree, ImagefsAvailable, ImagefsInodesFree,
    MemoryAvailable, NodefsAvailable, NodefsInodesFree, PidAvailable,
};

const NAMES: [(Signal, &str); 9] = [
    (MemoryAvailable, "memory.available"),
    (AllocatableMemoryAvailable, "allocatableMemory.available"),
    (NodefsAvailable, "nodefs.available"),
    (NodefsInodesFree, "nodefs.inodesFree"),
    (ImagefsAvailable, "imagefs.available"),
    (ImagefsInodesFree, "imagefs.inodesFree"),
    (ContainerfsAvailable, "containerfs.available"),
    (ContainerfsInodesFree, "containerfs.inodesFree"),
    (PidAvailable, "pid.available"),
];

impl Signal {
    /// Its name in flags: `memory.available`.
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(signal, _)| *signal == self).map_or("", |(_, name)| name)
    }

    /// The resource that pods are ranked by and that messages name.
    pub fn resource(self) -> &'static str {
        match self {
            MemoryAvailable | AllocatableMemoryAvailable => "memory",
            NodefsAvailable | ImagefsAvailable | ContainerfsAvailable => "ephemeral-storage",
            NodefsInodesFree | ImagefsInodesFree | ContainerfsInodesFree => "inodes",
            PidAvailable => "pids",
        }
    }

    /// The condition that the node gets.
    pub fn pressure(self) -> Pressure {
        match self.resource() {
            "memory" => Pressure::Memory,
            "pids" => Pressure::Pid,
            _ => Pressure::Disk,
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(signal, _)| *signal);
        found.ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("unsupported eviction signal {text}; there are: {}", names.join(", "))
        })
    }
}
