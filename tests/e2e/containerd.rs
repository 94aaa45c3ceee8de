//! A node whose containers run in a real containerd, over CRI (docs/container-runtimes.md). Skipped where this machine has none, or we are
//! not root.

mod streams;

use std::time::{Duration, Instant};

use api::core::v1::{ContainerStatus, Node, Pod};
use api::meta::v1::DeleteOptions;
use client::Api;
use serde_json::json;
use telemetry::Step;
use testkit::cluster::Cluster;
use testkit::containerd::Containerd;
use testkit::eventually;

use crate::PATIENCE;

/// A cluster of one node on a containerd of its own. The cluster goes first: its kubelet would mourn the runtime.
struct Real {
    cluster: Cluster,
    pods: Api<Pod>,
    containerd: Containerd,
}

impl Real {
    async fn start() -> Option<Self> {
        let containerd = Containerd::start().await?;
        let endpoint = containerd.endpoint();
        let environment = [("TRACEPLANE_CONTAINER_RUNTIME_ENDPOINT", endpoint.as_str())];
        let cluster = Cluster::start_in(&environment, &["--nodes", "1"]).await;
        let pods = Api::namespaced(cluster.client(), "default");
        Some(Self { cluster, pods, containerd })
    }

    async fn create(&self, name: &str, spec: serde_json::Value) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a pod");
        self.pods.create(&pod).await.expect("created");
    }

    /// Waits until a pod is as it should be.
    async fn becomes(&self, name: &str, what: &str, is: impl Fn(&Pod) -> bool) -> Pod {
        eventually(&format!("pod {name} {what}"), PATIENCE, async || {
            let pod = self.pods.get(name).await.map_err(|error| error.to_string())?;
            if is(&pod) {
                Ok(pod)
            } else {
                Err(format!("{}; {:?}", crate::shown(std::slice::from_ref(&pod)), pod.status.container_statuses))
            }
        })
        .await
    }

    async fn is_gone(&self, name: &str) {
        eventually(&format!("pod {name} is gone"), PATIENCE, async || match self.pods.get(name).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(pod) => Err(crate::shown(&[pod])),
        })
        .await;
    }

    async fn delete(&self, name: &str, grace: i64) {
        let options = DeleteOptions { grace_period_seconds: Some(grace), ..DeleteOptions::default() };
        self.pods.delete(name, options).await.expect("accepted");
    }

    /// The word in `get pod`'s column STATUS.
    async fn status_is(&self, name: &str, word: &str) {
        eventually(&format!("STATUS of {name} is {word}"), PATIENCE, async || {
            let shown = self.cluster.tpctl(&["get", "pod", name]).await.stdout();
            let line = shown.lines().last().unwrap_or_default().to_owned();
            if line.split_whitespace().nth(2) == Some(word) { Ok(()) } else { Err(line) }
        })
        .await;
    }

    /// Runs a command in a container that says nothing.
    async fn run_in(&self, pod: &str, container: &str, command: &[&str]) {
        let arguments = [&["exec", pod, "-c", container, "--"], command].concat();
        assert_eq!(self.cluster.tpctl(&arguments).await.success(), "");
    }
}

fn only(pod: &Pod) -> &ContainerStatus {
    &pod.status.container_statuses[0]
}

fn is_ready(pod: &Pod) -> bool {
    crate::is(pod, "Ready")
}

/// I1, I2, I6.
#[tokio::test(flavor = "multi_thread")]
async fn init_containers_wait_for_their_files_one_after_another() {
    let Some(real) = Real::start().await else { return };
    let waits = |name: &str, file: &str| {
        json!({
            "name": name, "image": "busybox:v1", "command": ["sh", "-c", format!("until cat {file}; do sleep 0.2; done")],
        })
    };
    let main = json!({"name": "main", "image": "busybox:v1", "command": ["sh", "-c", "echo The app is running! && sleep 3600"]});
    let init = [waits("init-myapp", "/root/myapp"), waits("init-mydb", "/root/mydb")];
    real.create("myapp-pod", json!({"containers": [main], "initContainers": init})).await;
    for (index, file) in ["/root/myapp", "/root/mydb"].into_iter().enumerate() {
        real.status_is("myapp-pod", &format!("Init:{index}/2")).await;
        let runs = |pod: &Pod| pod.status.init_container_statuses.get(index).is_some_and(|s| s.state.running.is_some());
        let pod = real.becomes("myapp-pod", "runs its init container", runs).await;
        assert!(!crate::is(&pod, "Initialized"));
        real.run_in("myapp-pod", &pod.status.init_container_statuses[index].name, &["touch", file]).await;
    }
    real.status_is("myapp-pod", "Running").await;
    let pod = real.becomes("myapp-pod", "is ready", is_ready).await;
    assert!(only(&pod).container_id.starts_with("containerd://"), "{pod:?}");
    assert!(pod.status.pod_ip.starts_with("198."), "the address is the network plugin's: {}", pod.status.pod_ip);
    for status in &pod.status.init_container_statuses {
        assert_eq!(
            status.state.terminated.as_ref().map(|state| (state.exit_code, state.reason.as_str())),
            Some((0, "Completed"))
        );
    }
}

/// H1, P1, P2, P3.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_and_probes_reach_real_containers() {
    let Some(real) = Real::start().await else { return };
    let page = "/usr/share/nginx/html/index.html";
    let web = json!({
        "name": "web", "image": "nginx", "imagePullPolicy": "IfNotPresent",
        "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", "echo Hello > /usr/share/message"]}},
                      "preStop": {"exec": {"command": ["/usr/sbin/nginx", "-s", "quit"]}}},
        "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": {"exec": {"command": ["cat", page]}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/live", "port": 80}, "periodSeconds": 1, "failureThreshold": 2},
    });
    let mut web = web;
    web["lifecycle"]["postStart"]["exec"]["command"][2] =
        json!("echo Hello > /usr/share/message; touch /usr/share/nginx/html/live");
    real.create("web", json!({"containers": [web], "terminationGracePeriodSeconds": 30})).await;
    let pod = real.becomes("web", "is ready", is_ready).await;
    let id = only(&pod).container_id.clone();
    real.run_in("web", "web", &["grep", "-q", "Hello", "/usr/share/message"]).await;

    real.run_in("web", "web", &["rm", page]).await;
    let pod = real.becomes("web", "is not ready without its page", |pod| !is_ready(pod)).await;
    assert_eq!((only(&pod).restart_count, only(&pod).container_id.as_str()), (0, id.as_str()));

    real.run_in("web", "web", &["rm", "/usr/share/nginx/html/live"]).await;
    let pod = real.becomes("web", "was restarted", |pod| only(pod).restart_count == 1 && is_ready(pod)).await;
    assert_ne!(only(&pod).container_id, id);
    let events = real.cluster.tpctl(&["describe", "pod", "web"]).await.success();
    assert!(events.contains("Liveness probe failed: HTTP probe failed with statuscode: 404"), "{events}");

    // The preStop hook ends it long before its grace period.
    let begin = Instant::now();
    real.delete("web", 30).await;
    real.is_gone("web").await;
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
}

/// S2, S3: CrashLoopBackOff.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fails_again_and_again_waits_in_a_crash_loop_with_its_last_words() {
    let Some(real) = Real::start().await else { return };
    let script = "echo dying; echo out of cheese > /dev/termination-log; exit 3";
    real.create(
        "fails",
        json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sh", "-c", script]}]}),
    )
    .await;
    let waiting = |pod: &Pod| only(pod).state.waiting.as_ref().is_some_and(|state| state.reason == "CrashLoopBackOff");
    let crashed = |pod: &Pod| pod.status.container_statuses.len() == 1 && only(pod).restart_count >= 1 && waiting(pod);
    let pod = real.becomes("fails", "is in its crash loop", crashed).await;
    let last = only(&pod).last_state.terminated.as_ref().expect("how it ended");
    assert_eq!((last.exit_code, last.reason.as_str(), last.message.as_str()), (3, "Error", "out of cheese\n"));
    assert!(last.container_id.starts_with("containerd://"));
}

/// D7, D8, D9, and the journey of a pod from create to gone.
#[tokio::test(flavor = "multi_thread")]
async fn deletion_terminates_politely_then_kills_and_leaves_nothing() {
    let Some(real) = Real::start().await else { return };
    let shell =
        |script: &str| json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sh", "-c", script]}]});
    real.create("polite", shell("trap 'exit 0' TERM; while :; do sleep 0.1; done")).await;
    real.create("stubborn", shell("trap '' TERM; while :; do sleep 0.1; done; echo is-stubborn")).await;
    for name in ["polite", "stubborn"] {
        real.becomes(name, "is ready", is_ready).await;
    }
    real.delete("polite", 60).await;
    real.is_gone("polite").await;

    assert!(!real.containerd.processes("is-stubborn").is_empty());
    let begin = Instant::now();
    real.delete("stubborn", 3).await;
    real.is_gone("stubborn").await;
    assert!(begin.elapsed() >= Duration::from_secs(3), "killed after {:?}, before its grace was over", begin.elapsed());
    assert_eq!(real.containerd.processes("is-stubborn"), [0; 0], "nothing is left when the object goes");

    let created = [
        Step::PodCreate5a,
        Step::PodCreate5b,
        Step::PodCreate5c,
        Step::PodCreate5f(0),
        Step::PodCreate6a,
        Step::PodCreate6b,
    ];
    let deleted = [Step::PodDelete4, Step::PodDelete7(0), Step::PodDelete8(0), Step::PodDelete9a, Step::PodDelete9b];
    for steps in [&created[..], &deleted[..]] {
        eventually("the journey is complete", PATIENCE, async || {
            let traces = real.cluster.collector.traces();
            let parts = traces.values().map(|trace| trace.about_pod("stubborn"));
            let lacking: Vec<_> = parts.map(|part| (part.missing(steps), part.disorder())).collect();
            let complete = lacking.iter().any(|(missing, disorder)| missing.is_empty() && disorder.is_empty());
            if complete { Ok(()) } else { Err(format!("{lacking:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_was_killed_finds_its_containers_again() {
    let Some(real) = Real::start().await else { return };
    let spec = json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sleep", "3600"]}]});
    real.create("stays", spec).await;
    let before = real.becomes("stays", "is ready", is_ready).await;
    real.cluster.kill("kubelet-node-1");
    real.cluster.repair().await;
    // Something that only a kubelet at work brings about.
    let spec = json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sleep", "3600"]}]});
    real.create("after", spec).await;
    real.becomes("after", "is ready", is_ready).await;
    let after = real.becomes("stays", "is ready", is_ready).await;
    assert_eq!(
        (only(&after).container_id.as_str(), only(&after).restart_count),
        (only(&before).container_id.as_str(), 0)
    );
    assert_eq!(only(&after).state, only(&before).state);
}

/// D11: the runtime goes away while a pod terminates, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_restarts_ends_what_it_was_ending() {
    let Some(mut real) = Real::start().await else { return };
    let script = "trap '' TERM; while :; do sleep 0.1; done; echo is-stubborn";
    real.create(
        "stubborn",
        json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sh", "-c", script]}]}),
    )
    .await;
    real.becomes("stubborn", "is ready", is_ready).await;
    real.delete("stubborn", 10).await;
    eventually("TERM is on its way", PATIENCE, async || {
        let shown = real.cluster.tpctl(&["describe", "pod", "stubborn"]).await.stdout();
        if shown.contains("Killing") { Ok(()) } else { Err(shown) }
    })
    .await;
    real.containerd.kill().await;
    let nodes = Api::<Node>::all(real.cluster.client());
    let node_is = async |ready: &str, message: &str| {
        eventually(&format!("the node's Ready is {ready}"), PATIENCE, async || {
            let node = nodes.get("node-1").await.map_err(|error| error.to_string())?;
            let condition = node.status.conditions.iter().find(|condition| condition.r#type == "Ready").cloned();
            let is = condition.as_ref().is_some_and(|c| c.status == ready && c.message.contains(message));
            if is { Ok(()) } else { Err(format!("{condition:?}")) }
        })
        .await;
    };
    node_is("False", "container runtime is down").await;
    assert!(!real.containerd.processes("is-stubborn").is_empty(), "containers outlive their runtime");
    assert!(real.pods.get("stubborn").await.is_ok(), "nothing is said to be gone that may still run");

    real.containerd.restart().await;
    let begin = Instant::now();
    real.is_gone("stubborn").await;
    assert!(
        begin.elapsed() >= Duration::from_secs(9),
        "the grace period begins anew, but it took {:?}",
        begin.elapsed()
    );
    assert_eq!(real.containerd.processes("is-stubborn"), [0; 0]);
    node_is("True", "").await;
}
