//! C3, C4, C7: where a pod goes, and what happens when it cannot go anywhere.

use crate::{PATIENCE, ready_pods};
use api::core::v1::{Event, Node, Pod};
use api::meta::v1::ListOptions;
use client::{Api, Patch};
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::objects::pod;

async fn unschedulable(api: &Api<Pod>, name: &str, message: &str) {
    eventually(&format!("{name} is reported as unschedulable"), PATIENCE, async || {
        let pod = api.get(name).await.map_err(|e| e.to_string())?;
        let condition = pod.status.conditions.iter().find(|c| c.r#type == "PodScheduled").cloned();
        let condition = condition.ok_or("no condition PodScheduled")?;
        let good = (&*condition.status, &*condition.reason, &*condition.message) == ("False", "Unschedulable", message);
        if good && pod.status.phase == "Pending" { Ok(()) } else { Err(format!("{condition:?}")) }
    })
    .await;
}

/// C7.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_fits_nowhere_says_why_and_is_scheduled_when_a_node_can_take_it() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let nodes = Api::<Node>::all(client.clone());
    let taint = |value: serde_json::Value| Patch::Merge(serde_json::json!({ "spec": { "taints": value } }));
    let dedicated = serde_json::json!([{ "key": "dedicated", "value": "db", "effect": "NoSchedule" }]);
    nodes.patch("node-1", &taint(dedicated)).await.expect("the node is tainted");

    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let mut big = pod("big", "nginx");
    let request = api::resource::Quantity { string: "1000".to_owned() };
    big.spec.containers[0].resources.requests.insert("cpu".to_owned(), request);
    pods.create(&big).await.expect("created");
    let why = "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 Insufficient cpu.";
    unschedulable(&pods, "big", why).await;
    eventually("the event tells the same", PATIENCE, async || {
        let events = Api::<Event>::namespaced(client.clone(), "default")
            .list(ListOptions::default())
            .await
            .map_err(|e| e.to_string())?;
        let told = events
            .items
            .iter()
            .any(|e| e.reason == "FailedScheduling" && e.r#type == "Warning" && e.message.starts_with(why));
        if told { Ok(()) } else { Err(format!("{:?}", events.items.iter().map(|e| &e.message).collect::<Vec<_>>())) }
    })
    .await;

    let mut picky = pod("picky", "nginx");
    picky.spec.node_selector.insert("kubernetes.io/hostname".to_owned(), "node-1".to_owned());
    pods.create(&picky).await.expect("created");
    unschedulable(
        &pods,
        "picky",
        "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: db}, 2 node(s) didn't match Pod's node affinity/selector.",
    )
    .await;
    nodes.patch("node-1", &taint(serde_json::json!([]))).await.expect("the taint is removed");
    let placed = ready_pods(&client, "app=picky", 1).await;
    assert_eq!(placed[0].spec.node_name, "node-1");
    assert!(crate::is(&placed[0], "PodScheduled"), "C4");
}

/// N3: a cordoned node gets nothing new.
#[tokio::test(flavor = "multi_thread")]
async fn a_cordoned_node_gets_no_pod() {
    let cluster = Cluster::start_with(&["--nodes", "2"]).await;
    let client = cluster.client();
    let cordon = Patch::Merge(serde_json::json!({ "spec": { "unschedulable": true } }));
    Api::<Node>::all(client.clone()).patch("node-1", &cordon).await.expect("cordoned");
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=4"]).await.success();
    for pod in ready_pods(&client, "app=web", 4).await {
        assert_eq!(pod.spec.node_name, "node-2");
    }
}
