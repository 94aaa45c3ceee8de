//! What a node needs next, without I/O and clock.

use super::taints::taints;
use api::core::v1::{Node, NodeCondition, Pod, Taint};
use api::pod_conditions::{READY, condition, is_ready};
use jiff::Timestamp;
use std::time::Duration;

/// The conditions that a kubelet reports and that nobody knows any more when it is silent.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// How long nodes may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A node that has reported before.
    pub silent: Duration,
    /// A node that has never reported.
    pub starting: Duration,
    /// The least time between two looks at a node that is silent but not yet for too long.
    pub period: Duration,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The node.
    pub node: &'a Node,
    /// How long ago it last gave a sign of life, by our clock.
    pub silent_for: Duration,
    /// Whether at least one node of the cluster is ready.
    pub some_are_ready: bool,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The conditions, if they are to become unknown.
    pub conditions: Option<Vec<NodeCondition>>,
    /// The taints, if they are to change.
    pub taints: Option<Vec<Taint>>,
    /// The node was ready until now.
    pub is_lost: bool,
    /// Pods of the node that say they are ready and cannot be believed.
    pub doubts_pods: bool,
    /// When to look again; `None` once the node is known to be silent, since only a sign of life changes that.
    pub again: Option<Duration>,
}

/// Decides.
pub fn plan(observed: Observed<'_>, patience: Patience, now: Timestamp) -> Plan {
    let Observed { node, silent_for, some_are_ready } = observed;
    let allowed = if ready(node).is_some() { patience.silent } else { patience.starting };
    let mut after = node.clone();
    let mut plan = Plan::default();
    if silent_for >= allowed {
        let was_ready = is_node_ready(node);
        if forget(&mut after, now) {
            plan.conditions = Some(after.status.conditions.clone());
            plan.is_lost = was_ready;
        }
    } else {
        plan.again = Some((allowed - silent_for).max(patience.period));
    }
    plan.taints = taints(&after, some_are_ready, now);
    plan.doubts_pods = ready(&after).is_some() && !is_node_ready(&after);
    plan
}

/// What nobody reports any more is unknown. True if that is news.
fn forget(node: &mut Node, now: Timestamp) -> bool {
    let mut changed = false;
    let created = node.metadata.creation_timestamp;
    let conditions = &mut node.status.conditions;
    for kind in REPORTED {
        match conditions.iter_mut().find(|condition| condition.r#type == kind) {
            Some(known) if known.status == "Unknown" => continue,
            Some(known) => {
                known.status = "Unknown".to_owned();
                known.reason = "NodeStatusUnknown".to_owned();
                known.message = "Kubelet stopped posting node status.".to_owned();
                known.last_transition_time = Some(now.into());
            }
            None => conditions.push(NodeCondition {
                r#type: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: "NodeStatusNeverUpdated".to_owned(),
                message: "Kubelet never posted node status.".to_owned(),
                last_heartbeat_time: created,
                last_transition_time: Some(now.into()),
            }),
        }
        changed = true;
    }
    changed
}

/// The condition that sums the others up.
pub fn ready(node: &Node) -> Option<&NodeCondition> {
    node.status.conditions.iter().find(|condition| condition.r#type == "Ready")
}

/// Whether the node may be given pods.
pub fn is_node_ready(node: &Node) -> bool {
    ready(node).is_some_and(|ready| ready.status == "True")
}

/// Whether a pod says that it is ready since before its node was not: nobody has looked at it since.
pub fn is_doubtful(pod: &Pod, node: &Node) -> bool {
    let since = |time: Option<api::meta::v1::Time>| time.and_then(|time| time.timestamp());
    let node_since = ready(node).and_then(|ready| since(ready.last_transition_time));
    let pod_since = condition(&pod.status, READY).and_then(|ready| since(ready.last_transition_time));
    // A pod that was found ready after its node was not has a kubelet that knows better.
    is_ready(pod) && pod_since <= node_since
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::PodCondition;
    use jiff::SignedDuration;

    const PATIENCE: Patience =
        Patience { silent: Duration::from_secs(40), starting: Duration::from_secs(60), period: Duration::from_secs(5) };

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn node(ready: Option<&str>) -> Node {
        let mut node = Node::default();
        node.metadata.name = "n1".to_owned();
        node.status.conditions.extend(ready.map(|status| NodeCondition {
            r#type: "Ready".to_owned(),
            status: status.to_owned(),
            reason: "KubeletReady".to_owned(),
            last_transition_time: Some((noon() - SignedDuration::from_hours(1)).into()),
            ..Default::default()
        }));
        node
    }

    fn plan_of(node: &Node, silent_for: u64) -> Plan {
        let observed = Observed { node, silent_for: Duration::from_secs(silent_for), some_are_ready: true };
        plan(observed, PATIENCE, noon())
    }

    #[test]
    fn n1_a_node_that_gives_signs_is_looked_at_when_it_could_be_silent() {
        let table = [(0, 40), (10, 30), (37, 5), (39, 5)];
        for (silent_for, again) in table {
            let plan = plan_of(&node(Some("True")), silent_for);
            assert_eq!(plan, Plan { again: Some(Duration::from_secs(again)), ..Plan::default() }, "{silent_for}");
        }
    }

    #[test]
    fn n2_a_silent_nodes_conditions_are_unknown_with_kubernetes_reasons() {
        let plan = plan_of(&node(Some("True")), 40);
        let conditions = plan.conditions.unwrap();
        let shown: Vec<_> =
            conditions.iter().map(|c| (c.r#type.as_str(), c.status.as_str(), c.reason.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("Ready", "Unknown", "NodeStatusUnknown"),
                ("MemoryPressure", "Unknown", "NodeStatusNeverUpdated"),
                ("DiskPressure", "Unknown", "NodeStatusNeverUpdated"),
                ("PIDPressure", "Unknown", "NodeStatusNeverUpdated"),
            ]
        );
        assert_eq!(conditions[0].message, "Kubelet stopped posting node status.");
        assert_eq!(conditions[0].last_transition_time, Some(noon().into()));
        assert_eq!(conditions[1].message, "Kubelet never posted node status.");
        assert!(plan.is_lost && plan.doubts_pods && plan.again.is_none());
        let keys: Vec<_> = plan.taints.unwrap().into_iter().map(|taint| (taint.key, taint.effect)).collect();
        assert_eq!(keys.len(), 2);
        assert!(keys.iter().all(|(key, _)| key == "node.kubernetes.io/unreachable"), "{keys:?}");
    }

    #[test]
    fn n2_a_node_known_to_be_silent_needs_nothing_more() {
        let mut lost = node(Some("True"));
        let first = plan_of(&lost, 40);
        lost.status.conditions = first.conditions.unwrap();
        lost.spec.taints = first.taints.unwrap();
        assert_eq!(plan_of(&lost, 400), Plan { doubts_pods: true, ..Plan::default() });
    }

    #[test]
    fn n2_a_node_that_never_reported_has_the_starting_time() {
        assert!(plan_of(&node(None), 59).conditions.is_none());
        let plan = plan_of(&node(None), 60);
        assert_eq!(plan.conditions.unwrap()[0].reason, "NodeStatusNeverUpdated");
        assert!(!plan.is_lost, "it was never there");
    }

    #[test]
    fn n2_nobody_is_evicted_when_no_node_is_ready() {
        let lost = node(Some("True"));
        let observed = Observed { node: &lost, silent_for: Duration::from_secs(99), some_are_ready: false };
        let taints = plan(observed, PATIENCE, noon()).taints.unwrap();
        assert_eq!(taints.iter().map(|taint| taint.effect.as_str()).collect::<Vec<_>>(), ["NoSchedule"]);
    }

    #[test]
    fn n2_pods_that_were_ready_before_their_node_was_lost_are_doubtful() {
        let mut lost = node(Some("Unknown"));
        lost.status.conditions[0].last_transition_time = Some(noon().into());
        let pod = |status: &str, seconds: i64| {
            let mut pod = Pod::default();
            pod.status.conditions.push(PodCondition {
                r#type: READY.to_owned(),
                status: status.to_owned(),
                last_transition_time: Some((noon() + SignedDuration::from_secs(seconds)).into()),
                ..Default::default()
            });
            pod
        };
        assert!(is_doubtful(&pod("True", -60), &lost));
        assert!(!is_doubtful(&pod("True", 5), &lost), "its kubelet has reported since");
        assert!(!is_doubtful(&pod("False", -60), &lost));
    }
}
