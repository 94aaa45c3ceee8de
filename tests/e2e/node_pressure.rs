//! N1, S3: a node that runs short of something says so, makes room, and ends pods; one that is about to end says so, too.

use crate::{PATIENCE, is, pods, ready_pods, shown};
use api::core::v1::{Event, Node, Pod, Taint, Toleration};
use api::meta::v1::{DeleteOptions, ListOptions};
use client::{Api, Client, Patch};
use testkit::cluster::Cluster;
use testkit::eventually;

/// A pod of one container, from its spec and the settings of the simulated runtime.
fn pod(name: &str, spec: serde_json::Value, settings: &[(&str, &str)]) -> Pod {
    let annotations: serde_json::Map<_, _> =
        settings.iter().map(|(key, value)| (format!("sim.traceplane.dev/{key}"), (*value).into())).collect();
    let value = serde_json::json!({
        "metadata": { "name": name, "namespace": "default", "labels": { "app": name }, "annotations": annotations },
        "spec": spec,
    });
    serde_json::from_value(value).expect("a pod")
}

fn one(image: &str, memory: &str) -> serde_json::Value {
    serde_json::json!({ "containers": [{ "name": "main", "image": image, "resources": { "requests": { "memory": memory } } }] })
}

async fn create(client: &Client, pod: &Pod) {
    Api::<Pod>::namespaced(client.clone(), "default").create(pod).await.expect("the pod is created");
}

async fn node(client: &Client, name: &str) -> Node {
    Api::<Node>::all(client.clone()).get(name).await.expect("the node exists")
}

/// Waits until a condition of a node has this status, and answers its reason and message.
async fn condition(client: &Client, node_name: &str, kind: &str, status: &str) -> (String, String) {
    eventually(&format!("{kind} of {node_name} is {status}"), PATIENCE, async || {
        let node = node(client, node_name).await;
        let found = node.status.conditions.into_iter().find(|c| c.r#type == kind).ok_or("no such condition")?;
        if found.status == status { Ok((found.reason, found.message)) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// Waits until a pod has failed, and answers it.
async fn failed(client: &Client, name: &str) -> Pod {
    eventually(&format!("{name} has failed"), PATIENCE, async || {
        let pods = pods(client, &format!("app={name}")).await;
        match pods.iter().find(|pod| pod.status.phase == "Failed") {
            Some(pod) => Ok(pod.clone()),
            None => Err(shown(&pods)),
        }
    })
    .await
}

/// Waits until there is an event with this reason whose message begins so.
async fn event(client: &Client, reason: &str, message: &str) {
    eventually(&format!("event {reason}: {message}"), PATIENCE, async || {
        let events = Api::<Event>::all(client.clone()).list(ListOptions::default()).await.map_err(|e| e.to_string())?;
        let told: Vec<_> = events.items.iter().filter(|e| e.reason == reason).map(|e| e.message.clone()).collect();
        if told.iter().any(|told| told.starts_with(message)) { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

/// Type, reason and count of what the kubelet tells of a pod, but for its start.
async fn told(client: &Client, pod: &str) -> Vec<(String, String, i32)> {
    let events = Api::<Event>::all(client.clone()).list(ListOptions::default()).await.expect("a list").items;
    let of_the_end = |event: &Event| {
        let start = ["Scheduled", "Pulling", "Pulled", "Created", "Started"];
        let is_own = event.involved_object.name == pod && event.source.component == "kubelet";
        is_own && !start.contains(&event.reason.as_str())
    };
    let mut told: Vec<_> = events.into_iter().filter(of_the_end).map(|e| (e.r#type, e.reason, e.count)).collect();
    told.sort();
    told
}

fn once(kind: &str, reason: &str) -> (String, String, i32) {
    (kind.to_owned(), reason.to_owned(), 1)
}

fn disruption(pod: &Pod) -> Option<(&str, &str)> {
    let found = pod.status.conditions.iter().find(|c| c.r#type == "DisruptionTarget" && c.status == "True")?;
    Some((&found.reason, &found.message))
}

/// S3 (Evicted), N1 (MemoryPressure).
#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_memory_evicts_who_breaks_its_word_and_refuses_best_effort() {
    let settings = [
        ("TRACEPLANE_CAPACITY", "memory=1Gi"),
        ("TRACEPLANE_HOUSEKEEPING_INTERVAL", "500ms"),
        ("TRACEPLANE_EVICTION_PRESSURE_TRANSITION_PERIOD", "30s"),
    ];
    let cluster = Cluster::start_in(&settings, &["--nodes", "1"]).await;
    let client = cluster.client();
    create(&client, &pod("modest", one("nginx", "300Mi"), &[("memory-usage", "200Mi")])).await;
    ready_pods(&client, "app=modest", 1).await;
    create(&client, &pod("greedy", one("nginx", "100Mi"), &[("memory-usage", "750Mi")])).await;

    let greedy = failed(&client, "greedy").await;
    let message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 74Mi. Container main was \
                   using 750Mi, request is 100Mi, has larger consumption of memory. ";
    assert_eq!((greedy.status.reason.as_str(), greedy.status.message.as_str()), ("Evicted", message));
    assert_eq!(disruption(&greedy), Some(("TerminationByKubelet", message)));
    event(&client, "Evicted", message).await;
    event(&client, "EvictionThresholdMet", "Attempting to reclaim memory").await;
    assert_eq!(told(&client, "greedy").await, [once("Normal", "Killing"), once("Warning", "Evicted")]);
    let described = cluster.tpctl(&["describe", "pod", "greedy"]).await.success();
    assert!(described.contains("Status:           Failed\nReason:           Evicted\n"), "{described}");

    let told = condition(&client, "node-1", "MemoryPressure", "True").await;
    assert_eq!(told.0, "KubeletHasInsufficientMemory");
    eventually("the pressure is a taint", PATIENCE, async || {
        let taints = node(&client, "node-1").await.spec.taints;
        let found = taints.iter().any(|t| t.key == "node.kubernetes.io/memory-pressure" && t.effect == "NoSchedule");
        if found { Ok(()) } else { Err(format!("{taints:?}")) }
    })
    .await;
    // It names its node itself, past the scheduler.
    let mut pushy = pod("pushy", serde_json::json!({ "containers": [{ "name": "main", "image": "nginx" }] }), &[]);
    pushy.spec.node_name = "node-1".to_owned();
    create(&client, &pushy).await;
    let refused = failed(&client, "pushy").await;
    assert_eq!(refused.status.reason, "Evicted");
    assert_eq!(refused.status.message, "Pod was rejected: The node had condition: [MemoryPressure]. ");
    let listed = cluster.tpctl(&["get", "pods"]).await.success();
    assert!(listed.lines().any(|line| line.starts_with("pushy") && line.contains("Evicted")), "{listed}");

    let told = condition(&client, "node-1", "MemoryPressure", "False").await;
    assert_eq!(told, ("KubeletHasSufficientMemory".to_owned(), "kubelet has sufficient memory available".to_owned()));
    let modest = ready_pods(&client, "app=modest", 1).await;
    assert_eq!(modest[0].status.container_statuses[0].restart_count, 0, "who kept its word was left alone");
}

/// S3 (Evicted), N1 (DiskPressure).
#[tokio::test(flavor = "multi_thread")]
async fn a_node_short_of_disk_evicts_and_then_removes_the_images_that_nobody_uses() {
    let settings = [
        ("TRACEPLANE_CAPACITY", "ephemeral-storage=1Gi"),
        ("TRACEPLANE_HOUSEKEEPING_INTERVAL", "500ms"),
        ("TRACEPLANE_MINIMUM_IMAGE_TTL_DURATION", "0s"),
        ("TRACEPLANE_EVICTION_PRESSURE_TRANSITION_PERIOD", "2s"),
    ];
    let cluster = Cluster::start_in(&settings, &["--nodes", "1"]).await;
    let client = cluster.client();
    create(&client, &pod("big", one("example.com/big:1", "1Mi"), &[("size", "950Mi")])).await;
    let evicted = failed(&client, "big").await;
    assert_eq!(evicted.status.reason, "Evicted");
    let begins = "The node was low on resource: ephemeral-storage. Threshold quantity: ";
    assert!(evicted.status.message.starts_with(begins), "{}", evicted.status.message);
    condition(&client, "node-1", "DiskPressure", "False").await;
    event(&client, "NodeHasDiskPressure", "Node node-1 status is now: NodeHasDiskPressure").await;
    eventually("the image is gone", PATIENCE, async || {
        let images = node(&client, "node-1").await.status.images;
        if images.is_empty() { Ok(()) } else { Err(format!("{images:?}")) }
    })
    .await;
}

/// N1: images.
#[tokio::test(flavor = "multi_thread")]
async fn images_that_nobody_uses_go_when_the_disk_fills_up() {
    let settings = [
        ("TRACEPLANE_CAPACITY", "ephemeral-storage=1000Mi"),
        // So that only garbage collection acts.
        ("TRACEPLANE_EVICTION_HARD", "memory.available<1Mi"),
        ("TRACEPLANE_IMAGE_GC_PERIOD", "500ms"),
        ("TRACEPLANE_MINIMUM_IMAGE_TTL_DURATION", "0s"),
        ("TRACEPLANE_NODE_STATUS_UPDATE_FREQUENCY", "500ms"),
    ];
    let cluster = Cluster::start_in(&settings, &["--nodes", "1"]).await;
    let client = cluster.client();
    create(&client, &pod("small", one("example.com/small:1", "1Mi"), &[("size", "100Mi")])).await;
    create(&client, &pod("big", one("example.com/big:1", "1Mi"), &[("size", "800Mi")])).await;
    ready_pods(&client, "app=big", 1).await;
    ready_pods(&client, "app=small", 1).await;
    // 90 % are used, down to 80 % would be 100Mi.
    let message = "Failed to garbage collect required amount of images. Attempted to free 104857600 bytes, but only found \
                   0 bytes eligible to free.";
    event(&client, "FreeDiskSpaceFailed", message).await;
    event(&client, "ImageGCFailed", message).await;
    let sizes = |node: Node| node.status.images.iter().map(|image| image.size_bytes >> 20).collect::<Vec<_>>();
    eventually("both images are told, the larger first", PATIENCE, async || {
        let sizes = sizes(node(&client, "node-1").await);
        if sizes == [800, 100] { Ok(()) } else { Err(format!("{sizes:?}")) }
    })
    .await;
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let at_once = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    pods.delete("small", at_once).await.expect("deleted");
    eventually("the image that nobody uses is gone", PATIENCE, async || {
        let sizes = sizes(node(&client, "node-1").await);
        if sizes == [800] { Ok(()) } else { Err(format!("{sizes:?}")) }
    })
    .await;
}

/// N2, N3: NoExecute, with and without tolerationSeconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_execute_taint_ends_pods_after_as_long_as_they_bear_it() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let client = cluster.client();
    let bearing = |name: &str, seconds: Option<i64>| {
        let mut pod = pod(name, one("nginx", "1Mi"), &[]);
        pod.spec.tolerations.push(Toleration {
            key: "maintenance".to_owned(),
            operator: "Exists".to_owned(),
            effect: "NoExecute".to_owned(),
            toleration_seconds: seconds,
            ..Toleration::default()
        });
        pod
    };
    create(&client, &bearing("stays", None)).await;
    create(&client, &bearing("leaves-later", Some(2))).await;
    create(&client, &pod("leaves", one("nginx", "1Mi"), &[])).await;
    for name in ["stays", "leaves-later", "leaves"] {
        ready_pods(&client, &format!("app={name}"), 1).await;
    }
    let taint = Taint { key: "maintenance".to_owned(), effect: "NoExecute".to_owned(), ..Taint::default() };
    let patch = serde_json::json!({ "spec": { "taints": [taint] } });
    Api::<Node>::all(client.clone()).patch("node-1", &Patch::Merge(patch)).await.expect("tainted");
    for name in ["leaves", "leaves-later"] {
        eventually(&format!("{name} has left"), PATIENCE, async || {
            let pods = pods(&client, &format!("app={name}")).await;
            if pods.is_empty() { Ok(()) } else { Err(shown(&pods)) }
        })
        .await;
    }
    ready_pods(&client, "app=stays", 1).await;
}

/// A kubelet that is asked to stop ends its pods first, if it was given time for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_shuts_down_ends_its_pods_in_order() {
    let settings =
        [("TRACEPLANE_SHUTDOWN_GRACE_PERIOD", "40s"), ("TRACEPLANE_SHUTDOWN_GRACE_PERIOD_CRITICAL_PODS", "20s")];
    let cluster = Cluster::start_in(&settings, &["--nodes", "2"]).await;
    let client = cluster.client();
    let on_node = |mut pod: Pod| {
        pod.spec.node_name = "node-1".to_owned();
        pod
    };
    let mut critical = on_node(pod("critical", one("nginx", "1Mi"), &[]));
    critical.spec.priority_class_name = "system-cluster-critical".to_owned();
    create(&client, &critical).await;
    create(&client, &on_node(pod("regular", one("nginx", "1Mi"), &[("term-time", "10s")]))).await;
    for name in ["critical", "regular"] {
        ready_pods(&client, &format!("app={name}"), 1).await;
    }
    cluster.terminate("kubelet-node-1");
    let (reason, message) = condition(&client, "node-1", "Ready", "False").await;
    assert_eq!((reason.as_str(), message.as_str()), ("KubeletNotReady", "node is shutting down"));
    let running = pods(&client, "app=critical").await;
    assert!(running.iter().all(|pod| pod.status.phase == "Running"), "its turn comes later: {}", shown(&running));
    create(&client, &on_node(pod("late", one("nginx", "1Mi"), &[]))).await;
    let late = failed(&client, "late").await;
    assert_eq!(late.status.reason, "NodeShutdown");
    assert_eq!(late.status.message, "Pod was rejected: Pod was rejected as the node is shutting down.");
    for name in ["regular", "critical"] {
        let ended = failed(&client, name).await;
        let message = "Pod was terminated in response to imminent node shutdown.";
        assert_eq!((ended.status.reason.as_str(), ended.status.message.as_str()), ("Terminated", message), "{name}");
        assert_eq!(disruption(&ended), Some(("TerminationByKubelet", message)), "{name}");
        assert!(!is(&ended, "Ready"), "{name}");
    }
    eventually("the kubelet has ended", PATIENCE, async || {
        if cluster.is_running("kubelet-node-1") { Err("it still runs".to_owned()) } else { Ok(()) }
    })
    .await;
    for name in ["regular", "critical"] {
        assert_eq!(told(&client, name).await, [once("Normal", "Killing")], "as in Kubernetes nothing is said of why");
    }
}
