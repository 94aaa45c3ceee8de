//! NodeName: a pod that names its node runs there or nowhere.
//!
//! Such a pod has no need of a scheduler and does not come into the queue; the filter is for those who ask the framework about a
//! pod that already runs, as simulations and preemption do.

use std::sync::Arc;

use crate::cache::NodeInfo;
use crate::framework::{ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, Plugin, Rejection, Verdict};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename>.
#[derive(Debug)]
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(matches!(event, ClusterEvent::NodeAdded(node) if is_named(pod, node)))
    }
}

impl Filter for NodeName {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        if is_named(pod, node) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) didn't match the requested node name"))
    }
}

fn is_named(pod: &PodInfo, node: &NodeInfo) -> bool {
    let name = &pod.pod.spec.node_name;
    name.is_empty() || *name == **node.name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod, reasons};

    #[test]
    fn only_the_named_node_will_do() {
        let state = CycleState::new();
        for (name, message) in [("", ""), ("a", ""), ("b", "node(s) didn't match the requested node name")] {
            let verdict = NodeName.filter(&state, &pod("p").on(name).info(), &node("a").info());
            assert_eq!(reasons(verdict), message);
        }
    }
}
