//! The taints that a node's conditions stand for.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>

use super::plan::ready;
use api::core::v1::{Node, Taint};
use api::tolerations::{NO_EXECUTE, NO_SCHEDULE};
use jiff::Timestamp;

/// The node says itself that it is not ready.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The node says nothing any more.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";

/// Conditions that are bad news when they are true, and their taints.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", NETWORK_UNAVAILABLE),
];

/// The taints that the node shall have; `None` if it has them. Taints of others are kept. `evicts` says whether pods may be told to leave.
pub fn taints(node: &Node, evicts: bool, now: Timestamp) -> Option<Vec<Taint>> {
    let wanted = wanted(node, evicts);
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let before = &node.spec.taints;
    let mut after: Vec<Taint> = before.iter().filter(|taint| !is_ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in &wanted {
        if !after.iter().any(|taint| taint.key == *key && taint.effect == *effect) {
            after.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                // Evictions count from here.
                time_added: Some(now.into()),
                ..Taint::default()
            });
        }
    }
    (after != *before).then_some(after)
}

fn wanted(node: &Node, evicts: bool) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    let reason = match ready(node).map(|ready| ready.status.as_str()) {
        Some("True") => None,
        Some("Unknown") => Some(UNREACHABLE),
        // One that has not said anything yet is not ready either.
        Some(_) | None => Some(NOT_READY),
    };
    if let Some(reason) = reason {
        wanted.push((reason, NO_SCHEDULE));
        if evicts && ready(node).is_some() {
            wanted.push((reason, NO_EXECUTE));
        }
    }
    for (condition, key) in PRESSURES {
        if node.status.conditions.iter().any(|c| c.r#type == condition && c.status == "True") {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    if node.spec.unschedulable {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    wanted
}

/// Whether nobody else adds or removes the taint.
fn is_ours(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        NO_EXECUTE => matches!(taint.key.as_str(), NOT_READY | UNREACHABLE),
        NO_SCHEDULE => {
            matches!(taint.key.as_str(), NOT_READY | UNREACHABLE | UNSCHEDULABLE)
                || PRESSURES.iter().any(|(_, key)| *key == taint.key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::NodeCondition;

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    /// A node with conditions written as `Type=Status`.
    fn node(conditions: &str) -> Node {
        let mut node = Node::default();
        for word in conditions.split_whitespace() {
            let (r#type, status) = word.split_once('=').unwrap();
            node.status.conditions.push(NodeCondition {
                r#type: r#type.to_owned(),
                status: status.to_owned(),
                ..Default::default()
            });
        }
        node
    }

    fn shown(taints: &[Taint]) -> Vec<String> {
        taints.iter().map(|t| format!("{}:{}", t.key.trim_start_matches("node.kubernetes.io/"), t.effect)).collect()
    }

    #[test]
    fn n2_each_condition_has_its_taints() {
        let table: [(&str, bool, &[&str]); 8] = [
            ("Ready=True", true, &[]),
            ("Ready=False", true, &["not-ready:NoSchedule", "not-ready:NoExecute"]),
            ("Ready=Unknown", true, &["unreachable:NoSchedule", "unreachable:NoExecute"]),
            ("Ready=Unknown", false, &["unreachable:NoSchedule"]),
            ("", true, &["not-ready:NoSchedule"]),
            ("Ready=True MemoryPressure=True", true, &["memory-pressure:NoSchedule"]),
            (
                "Ready=True DiskPressure=True PIDPressure=True",
                true,
                &["disk-pressure:NoSchedule", "pid-pressure:NoSchedule"],
            ),
            ("Ready=True MemoryPressure=Unknown", true, &[]),
        ];
        for (conditions, evicts, expected) in table {
            let mut node = node(conditions);
            let new = taints(&node, evicts, noon()).unwrap_or_default();
            assert_eq!(shown(&new), expected, "{conditions}");
            assert!(new.iter().all(|taint| taint.time_added == Some(noon().into())));
            node.spec.taints = new;
            assert_eq!(taints(&node, evicts, noon()), None, "a second look changes nothing");
        }
    }

    #[test]
    fn n2_a_node_that_is_back_loses_its_taints_and_keeps_those_of_others() {
        let mut node = node("Ready=Unknown");
        let foreign = Taint { key: "gpu".to_owned(), effect: NO_EXECUTE.to_owned(), ..Default::default() };
        node.spec.taints = vec![foreign];
        node.spec.taints = taints(&node, true, noon()).unwrap();
        assert_eq!(shown(&node.spec.taints), ["gpu:NoExecute", "unreachable:NoSchedule", "unreachable:NoExecute"]);
        node.status.conditions[0].status = "True".to_owned();
        assert_eq!(shown(&taints(&node, true, noon()).unwrap()), ["gpu:NoExecute"]);
    }

    #[test]
    fn n3_a_cordoned_node_is_tainted() {
        let mut node = node("Ready=True");
        node.spec.unschedulable = true;
        assert_eq!(shown(&taints(&node, true, noon()).unwrap()), ["unschedulable:NoSchedule"]);
    }
}
