//! What is wrong with a pod ends as in Kubernetes: refused with the field, or accepted, and then shown to wait with reason, message and
//! events, and with an answer to whoever wants its logs or a shell.

mod commands;
mod refused;
mod waiting;

use std::collections::BTreeMap;

use api::core::v1::Pod;
use serde_json::{Value, json};
use testkit::cluster::Cluster;

/// A pod of that spec, which the simulated runtime treats so.
fn pod(name: &str, spec: &Value, settings: &[(&str, &str)]) -> Pod {
    let annotations: BTreeMap<String, &str> =
        settings.iter().map(|(key, value)| (format!("sim.traceplane.dev/{key}"), *value)).collect();
    let metadata = json!({"name": name, "namespace": "default", "labels": {"app": name}, "annotations": annotations});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a pod")
}

/// A spec of one container, which has these fields beside its name.
fn main(mut fields: Value) -> Value {
    fields["name"] = "main".into();
    if fields["image"].is_null() {
        fields["image"] = "nginx".into();
    }
    json!({"containers": [fields]})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_pod_is_said_in_kubernetes_words() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    refused::all(&cluster).await;
    waiting::all(&cluster).await;
}
