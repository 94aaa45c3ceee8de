//! Whole clusters, one module per topic. Every test has a cluster of its own: real processes, a real etcd, spans over OTLP.
//!
//! Ids like C2 or D12 are those of the scenarios that the project promises.

mod bad_input;
mod bad_pods;
mod containerd;
mod deletion;
mod failures;
mod faults;
mod journeys;
mod kubelet_killed;
mod neighbours;
mod node_pressure;
mod nodes;
mod page;
mod persistence;
mod pod_lifecycle;
mod restart_journeys;
mod scheduling;
mod static_pods;
mod steady;
mod streams;
mod unready_nodes;
mod volumes;
mod watches;
mod witness;
mod workloads;

use api::core::v1::Pod;
use api::meta::v1::ListOptions;
use client::{Api, Client};
use std::time::Duration;
use testkit::eventually;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a condition of a pod is True.
pub(crate) fn is(pod: &Pod, condition: &str) -> bool {
    pod.status.conditions.iter().any(|c| c.r#type == condition && c.status == "True")
}

/// The pods with that label, by name.
pub(crate) async fn pods(client: &Client, labels: &str) -> Vec<Pod> {
    let options = ListOptions { label_selector: labels.to_owned(), ..ListOptions::default() };
    let list = Api::<Pod>::namespaced(client.clone(), "default").list(options).await;
    let mut pods = list.unwrap_or_else(|e| panic!("the pods cannot be listed: {e}")).items;
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    pods
}

/// Waits until exactly `count` pods with that label exist, all Ready and none on its way out; returns them.
pub(crate) async fn ready_pods(client: &Client, labels: &str, count: usize) -> Vec<Pod> {
    eventually(&format!("{count} pods with {labels} are Ready"), PATIENCE, async || {
        let pods = pods(client, labels).await;
        let is_good = |pod: &Pod| is(pod, "Ready") && pod.metadata.deletion_timestamp.is_none();
        if pods.len() == count && pods.iter().all(is_good) { Ok(pods) } else { Err(shown(&pods)) }
    })
    .await
}

/// Pods in short, for the message of a failure.
pub(crate) fn shown(pods: &[Pod]) -> String {
    let one = |pod: &Pod| {
        let conditions: Vec<String> =
            pod.status.conditions.iter().map(|c| format!("{}={} {}", c.r#type, c.status, c.message)).collect();
        let deleted = if pod.metadata.deletion_timestamp.is_some() { " terminating" } else { "" };
        format!("{} on {:?}: {}{deleted} {conditions:?}", pod.metadata.name, pod.spec.node_name, pod.status.phase)
    };
    if pods.is_empty() { "no pods".to_owned() } else { pods.iter().map(one).collect::<Vec<_>>().join("; ") }
}
