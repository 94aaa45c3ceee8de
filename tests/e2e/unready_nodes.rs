//! S3: what a node says when its runtime is not up, and what is said of it when it says nothing any more, as `tpctl get` and
//! `tpctl describe` show it.

use std::process::Stdio;

use api::core::v1::Pod;
use client::{Api, Patch};
use testkit::cluster::Cluster;
use testkit::eventually;

use crate::PATIENCE;
use crate::failures::plain;

/// S3: NetworkPluginNotReady, DockerDaemonNotReady.
#[tokio::test(flavor = "multi_thread")]
async fn s3_a_node_says_that_its_runtime_or_network_is_not_up_yet() {
    const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: early}, spec: {nodeName: node-1, containers: [{name: main, image: nginx}]}}";
    let down = "container runtime not ready: RuntimeReady=false reason:DockerDaemonNotReady message:docker: daemon is not ready";
    let alone = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin \
                 returns error: cni plugin not initialized";
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    for (behaviour, complaint) in [("runtime-ready-after=1h", down), ("network-ready-after=1h", alone)] {
        cluster.kill("kubelet-node-1");
        // It would wait until the node is ready.
        let _up = cluster
            .command(&["up"])
            .env("TRACEPLANE_RUNTIME_BEHAVIOUR", behaviour)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("tpctl can be started");
        eventually("the node says what is not ready", PATIENCE, async || {
            let (shown, told) = node(&cluster).await;
            let words = format!("KubeletNotReady {complaint}");
            if shown == "NotReady" && told.contains(&words) {
                Ok(())
            } else {
                Err(format!("{shown}, no {words:?} in {told}"))
            }
        })
        .await;
    }
    // One that does not wait for a scheduler.
    cluster.tpctl_with_input(&["apply", "-f", "-"], POD).await.success();
    eventually("the pod says what it waits for", PATIENCE, async || {
        let told = plain(&cluster.tpctl(&["describe", "pod", "early"]).await.success());
        let words = format!("network is not ready: {alone}");
        let all = told.contains("Reason: ContainerCreating")
            && told.contains("Warning NetworkNotReady")
            && told.contains(&words);
        if all { Ok(()) } else { Err(told) }
    })
    .await;

    cluster.kill("kubelet-node-1");
    cluster.repair().await;
    eventually("node and pod are well", PATIENCE, async || {
        let (shown, told) = node(&cluster).await;
        let pod = cluster.tpctl(&["get", "pod", "early"]).await.success();
        let well =
            shown == "Ready" && told.contains("KubeletReady kubelet is posting ready status") && pod.contains("1/1 ");
        if well { Ok(()) } else { Err(format!("{pod}\n{shown}\n{told}")) }
    })
    .await;
}

/// The one node: its STATUS, and what `describe` says.
async fn node(cluster: &Cluster) -> (String, String) {
    let shown = cluster.tpctl(&["get", "nodes", "--no-headers"]).await.success();
    let told = cluster.tpctl(&["describe", "node", "node-1"]).await.success();
    (shown.split_whitespace().nth(1).unwrap_or_default().to_owned(), plain(&told))
}

/// S3: NodeLost, Unknown.
///
/// Today's Kubernetes only marks and evicts the pods of a lost node; NodeLost is the word of those who give them up by themselves, and
/// `get` heeds it.
#[tokio::test(flavor = "multi_thread")]
async fn s3_a_lost_node_is_unknown_and_so_are_its_pods() {
    let times = [("TRACEPLANE_NODE_MONITOR_GRACE_PERIOD", "3s"), ("TRACEPLANE_NODE_LEASE_DURATION_SECONDS", "4")];
    let cluster = Cluster::start_in(&times, &["--nodes", "1"]).await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx"]).await.success();
    let pod = crate::ready_pods(&cluster.client(), "app=web", 1).await.remove(0).metadata.name;
    cluster.kill("kubelet-node-1");
    eventually("node and pod are missed", PATIENCE, async || {
        let (shown, told) = node(&cluster).await;
        let of_pod = plain(&cluster.tpctl(&["describe", "pod", &pod]).await.success());
        let missed = shown == "NotReady"
            && told.contains("NodeStatusUnknown Kubelet stopped posting node status.")
            && told.contains("Taints: node.kubernetes.io/unreachable:")
            && of_pod.contains(" Ready False ")
            && of_pod.contains("Warning NodeNotReady")
            && of_pod.contains("Node is not ready");
        if missed { Ok(()) } else { Err(format!("{shown}\n{told}\n{of_pod}")) }
    })
    .await;

    let status = async || {
        let shown = cluster.tpctl(&["get", "pod", &pod, "--no-headers"]).await.success();
        shown.split_whitespace().nth(2).unwrap_or_default().to_owned()
    };
    assert_eq!(status().await, "Running", "nobody knows better");
    cluster.tpctl(&["delete", "pod", &pod, "--wait=false"]).await.success();
    assert_eq!(status().await, "Terminating");
    let message = format!("Node node-1 which was running pod {pod} is unresponsive");
    let lost = serde_json::json!({ "status": { "reason": "NodeLost", "message": message } });
    Api::<Pod>::namespaced(cluster.client(), "default").patch_status(&pod, &Patch::Merge(lost)).await.expect("patched");
    assert_eq!(status().await, "Unknown");
    let told = plain(&cluster.tpctl(&["describe", "pod", &pod]).await.success());
    assert!(told.contains(&format!("Reason: NodeLost Message: {message}")), "{told}");
}
