//! Nodes.

use super::{Column, Columns, NONE, age_of, column, or_none, wide};
use crate::print::age::UNKNOWN;
use api::core::v1::Node;
use jiff::Timestamp;
use std::collections::BTreeSet;

impl Columns for Node {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("STATUS"),
        column("ROLES"),
        column("AGE"),
        column("VERSION"),
        wide("INTERNAL-IP"),
        wide("EXTERNAL-IP"),
        wide("OS-IMAGE"),
        wide("KERNEL-VERSION"),
        wide("CONTAINER-RUNTIME"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let info = &self.status.node_info;
        vec![
            self.metadata.name.clone(),
            status(self),
            roles(self),
            age_of(self, now),
            info.kubelet_version.clone(),
            address(self, "InternalIP"),
            address(self, "ExternalIP"),
            or_unknown(&info.os_image),
            or_unknown(&info.kernel_version),
            or_unknown(&info.container_runtime_version),
        ]
    }
}

/// `Ready`, `NotReady`, `Unknown`, and whether pods may be placed there.
fn status(node: &Node) -> String {
    let ready = match node.status.conditions.iter().find(|c| c.r#type == "Ready") {
        None => "Unknown",
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
    };
    if node.spec.unschedulable { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

/// What the labels `node-role.kubernetes.io/<role>` and `kubernetes.io/role=<role>` say.
pub(crate) fn roles(node: &Node) -> String {
    let role = |(key, value): (&String, &String)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()).filter(|role| !role.is_empty()),
        None => (key == "kubernetes.io/role" && !value.is_empty()).then(|| value.clone()),
    };
    let roles: BTreeSet<String> = node.metadata.labels.iter().filter_map(role).collect();
    or_none(&roles.into_iter().collect::<Vec<_>>().join(","))
}

fn address(node: &Node, r#type: &str) -> String {
    let found = node.status.addresses.iter().find(|a| a.r#type == r#type);
    found.map_or(NONE.to_owned(), |a| a.address.clone())
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(value: serde_json::Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_status_is_the_ready_condition_and_whether_it_takes_pods() {
        let ready = |status: &str, unschedulable: bool| {
            node(
                json!({ "spec": { "unschedulable": unschedulable }, "status": { "conditions": [{ "type": "Ready", "status": status }] } }),
            )
        };
        for (node, expected) in [
            (ready("True", false), "Ready"),
            (ready("False", false), "NotReady"),
            (ready("Unknown", false), "NotReady"),
            (ready("True", true), "Ready,SchedulingDisabled"),
            (node(json!({})), "Unknown"),
        ] {
            assert_eq!(status(&node), expected);
        }
    }

    #[test]
    fn roles_come_from_two_labels_and_empty_facts_are_unknown() {
        let node = node(json!({
            "metadata": { "name": "n", "labels": { "node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge", "x": "y" } },
            "status": { "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }], "nodeInfo": { "kubeletVersion": "v1.35.0" } },
        }));
        let cells = node.cells(Timestamp::UNIX_EPOCH);
        assert_eq!(cells[2], "edge,worker");
        assert_eq!(cells[4..], ["v1.35.0", "10.0.0.1", "<none>", "<unknown>", "<unknown>", "<unknown>"]);
    }
}
