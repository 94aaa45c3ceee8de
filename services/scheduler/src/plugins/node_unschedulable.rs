//! NodeUnschedulable: no new pods on a cordoned node, except those that tolerate it.

use std::sync::Arc;

use api::core::v1::Taint;
use api::tolerations::{NO_SCHEDULE, tolerates};

use crate::cache::NodeInfo;
use crate::framework::{ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, Plugin, Rejection, Verdict};
use crate::pod_info::PodInfo;

/// The taint that being cordoned amounts to.
const TAINT: &str = "node.kubernetes.io/unschedulable";

/// See <https://kubernetes.io/docs/concepts/architecture/nodes/#manual-node-administration>.
#[derive(Debug)]
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(match event {
            ClusterEvent::NodeAdded(node) => takes(pod, node),
            ClusterEvent::NodeUpdated { old, new, .. } => takes(pod, new) && !takes(pod, old),
            ClusterEvent::PodUpdated { new, .. } => tolerates_cordon(new),
            _ => false,
        })
    }
}

impl Filter for NodeUnschedulable {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        if takes(pod, node) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) were unschedulable"))
    }
}

fn takes(pod: &PodInfo, node: &NodeInfo) -> bool {
    node.node().is_none_or(|node| !node.spec.unschedulable) || tolerates_cordon(pod)
}

fn tolerates_cordon(pod: &PodInfo) -> bool {
    let taint = Taint { key: TAINT.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() };
    pod.pod.spec.tolerations.iter().any(|toleration| tolerates(toleration, &taint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod, reasons, updated};

    /// SCENARIOS N3.
    #[test]
    fn a_cordoned_node_takes_only_who_tolerates_it() {
        let state = CycleState::new();
        let (plain, daemon) = (pod("web").info(), pod("daemon").tolerates(TAINT).info());
        let table = [
            (&plain, node("a"), ""),
            (&plain, node("a").cordoned(), "node(s) were unschedulable"),
            (&daemon, node("a").cordoned(), ""),
        ];
        for (pod, node, message) in table {
            assert_eq!(reasons(NodeUnschedulable.filter(&state, pod, &node.info())), message);
        }
    }

    #[test]
    fn uncordon_helps_and_cordon_does_not() {
        let web = pod("web").info();
        let hint = |old, new| NodeUnschedulable.hint(&web, &updated(old, new));
        assert_eq!(hint(node("a").cordoned(), node("a")), Hint::Queue);
        assert_eq!(hint(node("a"), node("a").cordoned()), Hint::Skip);
        assert_eq!(hint(node("a"), node("a").label("x", "y")), Hint::Skip, "it was no obstacle before");
    }
}
