//! W6: killed between any two steps and started again, the cluster still arrives, with no duplicate and no orphan.

use crate::{PATIENCE, pods, ready_pods};
use api::apps::v1::ReplicaSet;
use api::core::v1::Pod;
use api::meta::v1::ListOptions;
use client::{Api, WatchEvent};
use std::time::Duration;
use telemetry::Step;
use testkit::cluster::Cluster;
use testkit::eventually;

/// Kills `process` as soon as a change of a pod satisfies `moment`, then starts it again; three pods must result.
async fn killed_when(process: &str, moment: impl Fn(&Pod) -> bool + Send + 'static) -> Cluster {
    // One node, so that every moment concerns the one kubelet.
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let api = Api::<Pod>::namespaced(cluster.client(), "default");
    let mut watch = api.watch(ListOptions::default()).await.expect("the watch starts");
    let seen = tokio::spawn(async move {
        while let Some(event) = watch.next().await {
            match event.expect("the watch goes on") {
                WatchEvent::Added(pod, _) | WatchEvent::Modified(pod, _) if moment(&pod) => return,
                _ => {}
            }
        }
        panic!("the watch ended before the moment came");
    });
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=3"]).await.success();
    tokio::time::timeout(PATIENCE, seen).await.expect("the moment comes").expect("the watch goes on");
    cluster.kill(process);
    cluster.repair().await;
    arrives(&cluster).await;
    cluster
}

async fn arrives(cluster: &Cluster) {
    let client = cluster.client();
    ready_pods(&client, "app=web", 3).await;
    // What was created twice would show as pods beyond the three, or as a second ReplicaSet.
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), "default")
        .list(ListOptions::default())
        .await
        .expect("a list")
        .items;
    assert_eq!(sets.len(), 1, "{sets:?}");
    for pod in pods(&client, "app=web").await {
        let owner = &pod.metadata.owner_references[0];
        assert_eq!(
            (owner.name.as_str(), owner.uid.as_str()),
            (sets[0].metadata.name.as_str(), sets[0].metadata.uid.as_str())
        );
    }
    assert_eq!(sets[0].status.replicas, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_killed_when_a_pod_appears() {
    let cluster = killed_when("scheduler", |_| true).await;
    // Check 6: the pods that it left unscheduled continue the trace that created them.
    eventually("every pod is scheduled in the trace of the create", PATIENCE, async || {
        let traces = cluster.collector.traces();
        let trace = traces
            .values()
            .find(|t| t.roots().iter().any(|span| span.name == "tpctl create"))
            .ok_or("no such trace".to_owned())?;
        let bound = trace.step(Step::PodCreate4a).len();
        if bound == 3 { Ok(()) } else { Err(format!("{bound} bindings in\n{trace:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_killed_when_a_pod_is_bound() {
    killed_when("scheduler", |pod| !pod.spec.node_name.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_manager_killed_when_the_first_pod_appears() {
    killed_when("controller-manager", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_manager_killed_when_a_pod_is_ready() {
    killed_when("controller-manager", |pod| crate::is(pod, "Ready")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_killed_when_a_pod_is_bound() {
    killed_when("kubelet-node-1", |pod| !pod.spec.node_name.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_killed_when_a_pod_is_running() {
    killed_when("kubelet-node-1", |pod| pod.status.phase == "Running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_killed_while_a_pod_terminates() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=3"]).await.success();
    let before = ready_pods(&cluster.client(), "app=web", 3).await;
    cluster.tpctl(&["delete", "pod", &before[0].metadata.name, "--wait=false"]).await.success();
    cluster.kill("kubelet-node-1");
    cluster.repair().await;
    arrives(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apiserver_killed_while_pods_are_created() {
    killed_when("apiserver", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_killed_while_pods_are_created() {
    killed_when("etcd", |_| true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_controller_killed_again_and_again() {
    let cluster = Cluster::start_with(&["--nodes", "2"]).await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=3"]).await.success();
    // Moments that no event marks: a little later each time.
    for (round, process) in
        ["scheduler", "controller-manager", "kubelet-node-1", "kubelet-node-2"].iter().cycle().take(8).enumerate()
    {
        let victim = pods(&cluster.client(), "app=web").await.first().map(|pod| pod.metadata.name.clone());
        if let Some(victim) = victim {
            cluster.tpctl(&["delete", "pod", &victim, "--wait=false"]).await.success();
        }
        tokio::time::sleep(Duration::from_millis(15 * u64::try_from(round).expect("small"))).await;
        cluster.kill(process);
        cluster.repair().await;
    }
    arrives(&cluster).await;
}
