//! What happens in the cluster that may let a waiting pod fit, and what a plugin makes of it.

use std::sync::Arc;

use crate::cache::NodeInfo;
use crate::pod_info::PodInfo;

/// Something that happened. Events are made only of what scheduling depends on: a heartbeat is none.
///
/// Nodes come as [`NodeInfo`]s without pods, so that plugins find their amounts worked out.
#[derive(Debug, Clone)]
pub enum ClusterEvent {
    /// A node is new.
    NodeAdded(Arc<NodeInfo>),
    /// A node is not as it was.
    NodeUpdated {
        /// As it was.
        old: Arc<NodeInfo>,
        /// As it is.
        new: Arc<NodeInfo>,
        /// What differs.
        changes: NodeChanges,
    },
    /// Another pod has got a node.
    AssignedPodAdded(Arc<PodInfo>),
    /// Another pod, which has a node, changed its labels or what it asks for.
    AssignedPodUpdated {
        /// As it was.
        old: Arc<PodInfo>,
        /// As it is.
        new: Arc<PodInfo>,
    },
    /// A pod that had a node, or was about to get one, is gone.
    AssignedPodRemoved(Arc<PodInfo>),
    /// The waiting pod itself changed in a way that scheduling depends on.
    PodUpdated {
        /// As it was.
        old: Arc<PodInfo>,
        /// As it is.
        new: Arc<PodInfo>,
    },
}

impl ClusterEvent {
    /// Its name in metrics and traces, as Kubernetes labels it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NodeAdded(_) => "NodeAdd",
            Self::NodeUpdated { changes, .. } if changes.allocatable => "NodeAllocatableUpdate",
            Self::NodeUpdated { changes, .. } if changes.taints => "NodeTaintUpdate",
            Self::NodeUpdated { changes, .. } if changes.labels => "NodeLabelUpdate",
            Self::NodeUpdated { .. } => "NodeConditionUpdate",
            Self::AssignedPodAdded(_) => "AssignedPodAdd",
            Self::AssignedPodUpdated { .. } => "AssignedPodUpdate",
            Self::AssignedPodRemoved(_) => "AssignedPodDelete",
            Self::PodUpdated { .. } => "UnscheduledPodUpdate",
        }
    }
}

/// What of a node changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeChanges {
    /// How much pods may use of it.
    pub allocatable: bool,
    /// Its labels.
    pub labels: bool,
    /// Its taints, or whether it is cordoned.
    pub taints: bool,
    /// The status of one of its conditions (not its times).
    pub conditions: bool,
}

impl NodeChanges {
    /// Compares two states of a node.
    pub fn between(old: &NodeInfo, new: &NodeInfo) -> Self {
        let (Some(old_node), Some(new_node)) = (old.node(), new.node()) else {
            return Self { allocatable: true, labels: true, taints: true, conditions: true };
        };
        let conditions = |node: &api::core::v1::Node| -> Vec<(String, String)> {
            node.status.conditions.iter().map(|c| (c.r#type.clone(), c.status.clone())).collect()
        };
        Self {
            allocatable: old.allocatable() != new.allocatable() || old.allowed_pods() != new.allowed_pods(),
            labels: old_node.metadata.labels != new_node.metadata.labels,
            taints: old_node.spec.taints != new_node.spec.taints
                || old_node.spec.unschedulable != new_node.spec.unschedulable,
            conditions: conditions(old_node) != conditions(new_node),
        }
    }

    /// Whether anything changed that scheduling depends on.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// Whether an event may let a pod pass that a plugin had rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// It may: try the pod again.
    Queue,
    /// It does not.
    Skip,
}

impl Hint {
    /// [`Hint::Queue`] if `helps`.
    pub fn queue_if(helps: bool) -> Self {
        if helps { Self::Queue } else { Self::Skip }
    }
}
