//! What `tpctl get pods -o json` says, as far as the demo looks at it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    node: String,
    /// Running and ready, and not on its way out.
    serves: bool,
}

/// The pods of a list.
pub(super) fn read(json: &str) -> Result<Vec<Pod>> {
    let list: Value = serde_json::from_str(json).context("tpctl printed no JSON")?;
    let items = list["items"].as_array().context("tpctl printed no list")?;
    Ok(items.iter().map(pod).collect())
}

fn pod(object: &Value) -> Pod {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let is_leaving = object["metadata"]["deletionTimestamp"].is_string();
    Pod {
        name: text(&object["metadata"]["name"]),
        node: text(&object["spec"]["nodeName"]),
        serves: object["status"]["phase"] == "Running" && is_ready && !is_leaving,
    }
}

/// Whether exactly three pods are there, all serve, and not all on one node.
pub(super) fn are_as_wanted(pods: &[Pod]) -> bool {
    let nodes: BTreeSet<&str> = pods.iter().map(|pod| pod.node.as_str()).collect();
    pods.len() == 3 && pods.iter().all(|pod| pod.serves) && nodes.len() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pods: &[(&str, &str, &str, &str)]) -> String {
        let items: Vec<Value> = pods
            .iter()
            .map(|(name, node, phase, ready)| {
                serde_json::json!({
                    "metadata": {"name": name},
                    "spec": {"nodeName": node},
                    "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
                })
            })
            .collect();
        serde_json::json!({"kind": "List", "items": items}).to_string()
    }

    #[test]
    fn three_serving_pods_on_two_nodes_are_wanted() {
        let good = [("a", "n1", "Running", "True"), ("b", "n2", "Running", "True"), ("c", "n1", "Running", "True")];
        assert!(are_as_wanted(&read(&list(&good)).unwrap()));
        let change = |index: usize, pod| {
            let mut pods = good;
            pods[index] = pod;
            are_as_wanted(&read(&list(&pods)).unwrap())
        };
        assert!(!change(1, ("b", "n1", "Running", "True")), "all on one node");
        assert!(!change(0, ("a", "n1", "Running", "False")), "one is not ready");
        assert!(!change(0, ("a", "n1", "Pending", "True")), "one does not run");
        assert!(!are_as_wanted(&read(&list(&good[..2])).unwrap()), "one is missing");
    }

    #[test]
    fn a_pod_on_its_way_out_does_not_serve() {
        let mut object: Value = serde_json::from_str(&list(&[("a", "n1", "Running", "True")])).unwrap();
        object["items"][0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!read(&object.to_string()).unwrap()[0].serves);
        assert!(read("{}").is_err() && read("none").is_err());
    }
}
