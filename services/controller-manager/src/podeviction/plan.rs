//! When a node is given up, and what becomes of its pods, without I/O and clock.

use crate::nodelifecycle::plan::{is_node_ready, ready};
use api::core::v1::{Node, Pod, PodStatus};
use api::pod_conditions::is_terminating;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The reason of a pod whose node is given up. `get` shows such a pod as `Unknown` when it is being deleted.
pub const NODE_LOST: &str = "NodeLost";

/// When the node is given up: so long after it was last ready. `None` for one that is ready, or that never reported.
pub fn given_up_at(node: &Node, timeout: Duration) -> Option<Timestamp> {
    if is_node_ready(node) {
        return None;
    }
    let since = ready(node)?.last_transition_time?.timestamp()?;
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    Some(since.checked_add(timeout).unwrap_or(Timestamp::MAX))
}

/// The status of a pod of a node that is given up; `None` if it says so already.
pub fn lost(pod: &Pod) -> Option<PodStatus> {
    let message = format!("Node {} which was running pod {} is unresponsive", pod.spec.node_name, pod.metadata.name);
    (pod.status.reason != NODE_LOST).then(|| PodStatus { reason: NODE_LOST.to_owned(), message, ..pod.status.clone() })
}

/// Whether the pod is deleted with its node: a DaemonSet would only make another for the same node.
pub fn leaves(pod: &Pod) -> bool {
    let is_of_daemon_set = pod.metadata.owner_references.iter().any(|owner| owner.kind == "DaemonSet");
    !is_terminating(pod) && !is_of_daemon_set
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::NodeCondition;
    use api::meta::v1::OwnerReference;

    const TIMEOUT: Duration = Duration::from_secs(300);

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn node(ready: &str) -> Node {
        let mut node = Node::default();
        node.status.conditions.push(NodeCondition {
            r#type: "Ready".to_owned(),
            status: ready.to_owned(),
            last_transition_time: Some(noon().into()),
            ..NodeCondition::default()
        });
        node
    }

    #[test]
    fn a_node_is_given_up_when_it_was_not_ready_for_so_long() {
        let later = noon() + SignedDuration::from_secs(300);
        assert_eq!(given_up_at(&node("Unknown"), TIMEOUT), Some(later));
        assert_eq!(given_up_at(&node("False"), TIMEOUT), Some(later));
        assert_eq!(given_up_at(&node("Unknown"), Duration::MAX), Some(Timestamp::MAX));
        assert_eq!(given_up_at(&node("True"), TIMEOUT), None);
        assert_eq!(given_up_at(&Node::default(), TIMEOUT), None);
    }

    #[test]
    fn s3_a_pod_of_such_a_node_is_lost_and_keeps_the_rest_of_its_status() {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.spec.node_name = "n1".to_owned();
        pod.status.phase = "Running".to_owned();
        let status = lost(&pod).unwrap();
        assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Running", "NodeLost"));
        assert_eq!(status.message, "Node n1 which was running pod web is unresponsive");
        pod.status = status;
        assert_eq!(lost(&pod), None);
    }

    #[test]
    fn all_leave_but_those_of_a_daemon_set_and_those_that_are_leaving() {
        let mut pod = Pod::default();
        assert!(leaves(&pod));
        pod.metadata.owner_references = vec![OwnerReference { kind: "ReplicaSet".to_owned(), ..Default::default() }];
        assert!(leaves(&pod));
        pod.metadata.owner_references[0].kind = "DaemonSet".to_owned();
        assert!(!leaves(&pod));
        pod.metadata.owner_references.clear();
        pod.metadata.deletion_timestamp = Some(noon().into());
        assert!(!leaves(&pod));
    }
}
