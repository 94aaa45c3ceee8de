//! S3: what a node says when its runtime is not up, and what is said of it when it says nothing any more, as `tpctl get` and
//! `tpctl describe` show it.

use std::process::Stdio;

use api::core::v1::Pod;
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
            let (shown, told) = node(&cluster, "node-1").await;
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
        let (shown, told) = node(&cluster, "node-1").await;
        let pod = cluster.tpctl(&["get", "pod", "early"]).await.success();
        let well =
            shown == "Ready" && told.contains("KubeletReady kubelet is posting ready status") && pod.contains("1/1 ");
        if well { Ok(()) } else { Err(format!("{pod}\n{shown}\n{told}")) }
    })
    .await;
}

/// A node: its STATUS, and what `describe` says.
async fn node(cluster: &Cluster, name: &str) -> (String, String) {
    let shown = cluster.tpctl(&["get", "node", name, "--no-headers"]).await.success();
    let told = cluster.tpctl(&["describe", "node", name]).await.success();
    (shown.split_whitespace().nth(1).unwrap_or_default().to_owned(), plain(&told))
}

/// S3: a node that says nothing is Unknown. Of its pods nobody knows better, until they are deleted.
#[tokio::test(flavor = "multi_thread")]
async fn s3_a_lost_node_is_unknown_and_its_pods_are_not_ready() {
    let cluster = Cluster::start_in(&IMPATIENT, &["--nodes", "1"]).await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx"]).await.success();
    let pod = crate::ready_pods(&cluster.client(), "app=web", 1).await.remove(0).metadata.name;
    cluster.kill("kubelet-node-1");
    eventually("node and pod are missed", PATIENCE, async || {
        let (shown, told) = node(&cluster, "node-1").await;
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
    assert_eq!(status(&cluster, &pod).await, "Running", "nobody knows better");
    cluster.tpctl(&["delete", "pod", &pod, "--wait=false"]).await.success();
    assert_eq!(status(&cluster, &pod).await, "Terminating");
}

/// S3: NodeLost, Unknown. As Kubernetes did it while it could be told to evict without taints (up to 1.26).
#[tokio::test(flavor = "multi_thread")]
async fn s3_the_pods_of_a_node_that_is_given_up_are_lost_until_it_returns() {
    let times = [
        IMPATIENT[0],
        IMPATIENT[1],
        ("TRACEPLANE_ENABLE_TAINT_MANAGER", "false"),
        ("TRACEPLANE_POD_EVICTION_TIMEOUT", "1s"),
    ];
    let cluster = Cluster::start_in(&times, &["--nodes", "2"]).await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx"]).await.success();
    let pod = crate::ready_pods(&cluster.client(), "app=web", 1).await.remove(0);
    let (name, home) = (pod.metadata.name, pod.spec.node_name);
    cluster.kill(&format!("kubelet-{home}"));
    eventually("the pod is given up", PATIENCE, async || {
        let shown = status(&cluster, &name).await;
        let told = plain(&cluster.tpctl(&["describe", "pod", &name]).await.success());
        let (_, of_node) = node(&cluster, &home).await;
        let lost = format!("Reason: NodeLost Message: Node {home} which was running pod {name} is unresponsive");
        let is_given_up = shown == "Unknown"
            && told.contains(&lost)
            && told.contains("Normal NodeControllerEviction")
            && told.contains(&format!("Marking for deletion Pod {name} from Node {home}"))
            && of_node.contains("Normal DeletingAllPods")
            && of_node.contains(&format!("Deleting all Pods from Node {home}."));
        if is_given_up { Ok(()) } else { Err(format!("{shown}\n{told}\n{of_node}")) }
    })
    .await;
    eventually("another one takes its place, on the node that is left", PATIENCE, async || {
        let pods = crate::pods(&cluster.client(), "app=web").await;
        let is_other = |pod: &Pod| crate::is(pod, "Ready") && pod.metadata.name != name && pod.spec.node_name != home;
        if pods.len() == 2 && pods.iter().any(is_other) { Ok(()) } else { Err(crate::shown(&pods)) }
    })
    .await;
    assert_eq!(status(&cluster, &name).await, "Unknown", "nobody can say what became of it");

    cluster.repair().await;
    eventually("its kubelet ends it", PATIENCE, async || {
        let shown = cluster.tpctl(&["get", "pods", "--no-headers"]).await.success();
        if shown.contains(&name) { Err(shown) } else { Ok(()) }
    })
    .await;
}

/// A node may be silent for 3 s.
const IMPATIENT: [(&str, &str); 2] =
    [("TRACEPLANE_NODE_MONITOR_GRACE_PERIOD", "3s"), ("TRACEPLANE_NODE_LEASE_DURATION_SECONDS", "4")];

/// The STATUS of a pod.
async fn status(cluster: &Cluster, pod: &str) -> String {
    let shown = cluster.tpctl(&["get", "pod", pod, "--no-headers"]).await.success();
    shown.split_whitespace().nth(2).unwrap_or_default().to_owned()
}
