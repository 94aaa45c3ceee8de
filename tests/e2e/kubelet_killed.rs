//! D11, H4: the kubelet is killed while pods are in every phase of their start and of their end.
//!
//! The pods of a wave begin one after the other, so that one kill meets each of them in another phase; waves follow until every phase
//! was met. Afterwards every pod is where it would have been, and the runtime has nothing that no
//! pod owns. A kubelet that does not come back leaves its pods to `tpctl down`.

use crate::witness::Witness;
use crate::{PATIENCE, pods, ready_pods};
use api::core::v1::{ContainerStatus, Pod};
use api::meta::v1::DeleteOptions;
use client::{Api, Client};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::cluster::Cluster;
use testkit::eventually;

/// Pods that begin, or end, one after the other.
#[derive(Clone, Copy)]
struct Wave {
    size: usize,
    /// Between two of them. All together take a little longer than one start, and than one end.
    step: Duration,
}

/// Nothing really happens here, so many fit on one core.
const SIMULATED: Wave = Wave { size: 48, step: Duration::from_millis(80) };
const REAL: Wave = Wave { size: 12, step: Duration::from_millis(350) };

/// Rounds until every phase was met at least once.
const ROUNDS: u32 = 10;
const STARTS: [&str; 7] = ["sandbox", "init starts", "init runs", "sidecar starts", "main starts", "runs", "ready"];
const STOPS: [&str; 2] = ["main stops", "sidecar stops"];

/// A pod that spends some time in every phase. What happens in it is said by annotations.
fn slow(name: &str, index: usize) -> Pod {
    let hook = |command: &str| serde_json::json!({ "exec": { "command": [command] } });
    let value = serde_json::json!({
        "metadata": {
            "name": name, "namespace": "default", "labels": { "app": "slow" },
            "annotations": {
                "sim.traceplane.dev/sandbox-time": "300ms",
                "sim.traceplane.dev/pull-time": "250ms",
                "sim.traceplane.dev/create-time": "150ms",
                "sim.traceplane.dev/start-time": "150ms",
                "sim.traceplane.dev/init.run-for": "400ms",
                "sim.traceplane.dev/main.post-start-time": "400ms",
                "sim.traceplane.dev/main.ready-after": "900ms",
                "sim.traceplane.dev/main.pre-stop-time": "700ms",
                "sim.traceplane.dev/main.term-time": "700ms",
                "sim.traceplane.dev/side.term-time": "ignore",
            },
        },
        "spec": {
            "terminationGracePeriodSeconds": 3,
            "initContainers": [
                { "name": "init", "image": format!("init-{index}") },
                { "name": "side", "image": format!("side-{index}"), "restartPolicy": "Always" },
            ],
            "containers": [{
                "name": "main", "image": format!("main-{index}"),
                "lifecycle": { "postStart": hook("hello"), "preStop": hook("goodbye") },
                "readinessProbe": { "tcpSocket": { "port": 80 }, "periodSeconds": 1 },
            }],
        },
    });
    serde_json::from_value(value).expect("a pod")
}

/// Where a pod is, as far as its status tells.
fn phase(pod: &Pod) -> &'static str {
    let status = |name: &str| {
        let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        all.into_iter().find(|status| status.name == name)
    };
    let running = |name| status(name).is_some_and(|status| status.state.running.is_some());
    let ended = |name| status(name).is_some_and(|status| status.state.terminated.is_some());
    if pod.metadata.deletion_timestamp.is_some() {
        return match () {
            () if ended("side") => "all ended",
            () if ended("main") => "sidecar stops",
            () => "main stops",
        };
    }
    match () {
        () if crate::is(pod, "Ready") => "ready",
        () if running("main") => "runs",
        () if running("side") => "main starts",
        () if ended("init") => "sidecar starts",
        () if running("init") => "init runs",
        () if crate::is(pod, "PodReadyToStartContainers") => "init starts",
        () if !pod.spec.node_name.is_empty() => "sandbox",
        () => "not bound",
    }
}

/// The pods at the moment when one of them is in one of `phases` that was not met yet, since some are short; after `then` if all were.
async fn moment(client: &Client, phases: &[&str], met: &BTreeSet<&'static str>, then: Duration) -> Vec<Pod> {
    let missing: Vec<&str> = phases.iter().copied().filter(|phase| !met.contains(phase)).collect();
    let deadline = Instant::now() + if missing.is_empty() { then } else { Duration::from_secs(1) };
    loop {
        let pods = pods(client, "app=slow").await;
        if pods.iter().any(|pod| missing.contains(&phase(pod))) || Instant::now() >= deadline {
            return pods;
        }
    }
}

fn container<'a>(pod: &'a Pod, name: &str) -> &'a ContainerStatus {
    let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    all.into_iter().find(|status| status.name == name).unwrap_or_else(|| panic!("{name} has no status"))
}

impl Wave {
    /// Kills the kubelet in the middle of a wave that starts, and of one that stops, until a pod was met in each phase. `check` sees the
    /// pods of each round when they are ready, and when they are gone.
    async fn kills(self, cluster: &Cluster, make: impl Fn(&str, usize) -> Pod, check: impl Fn(&[Pod], bool)) {
        let mut met = BTreeSet::new();
        for round in 0..ROUNDS {
            // A little later in each round: the shortest phases are shorter than a step.
            let then = self.step.mul_f64(0.1 * f64::from(round));
            let name = |index| make(&format!("slow-{round}-{index:02}"), index);
            let wave = self.start(cluster, &mut met, then, name).await;
            check(&wave, false);
            self.stop(cluster, &mut met, then, &wave).await;
            check(&wave, true);
            if STARTS.iter().chain(&STOPS).all(|phase| met.contains(phase)) {
                return;
            }
        }
        panic!("{ROUNDS} rounds have met no pod in some phase: {met:?}");
    }

    /// Starts a wave and kills the kubelet at its end; answers the pods when all are ready.
    async fn start(
        self,
        cluster: &Cluster,
        met: &mut BTreeSet<&'static str>,
        then: Duration,
        make: impl Fn(usize) -> Pod,
    ) -> Vec<Pod> {
        let client = cluster.client();
        let api = Api::<Pod>::namespaced(client.clone(), "default");
        for index in 0..self.size {
            api.create(&make(index)).await.expect("the pod is created");
            if index + 1 < self.size {
                tokio::time::sleep(self.step).await;
            }
        }
        let before = moment(&client, &STARTS, met, then).await;
        cluster.kill("kubelet-node-1");
        met.extend(before.iter().map(phase));
        cluster.repair().await;
        let after = ready_pods(&client, "app=slow", self.size).await;
        for (before, after) in before.iter().zip(&after) {
            let name = &after.metadata.name;
            assert_eq!(before.metadata.uid, after.metadata.uid);
            for container_name in ["init", "side", "main"] {
                let now = container(after, container_name);
                // A container that was created and not yet started counts as one attempt.
                assert!(now.restart_count <= 1, "{name}/{container_name} restarted {} times", now.restart_count);
            }
            if ["runs", "ready"].contains(&phase(before)) {
                let (was, now) = (container(before, "main"), container(after, "main"));
                assert_eq!((&was.container_id, 0), (&now.container_id, now.restart_count), "{name} runs on");
            }
        }
        after
    }

    /// Deletes a wave and kills the kubelet at its end; returns when all pods are gone.
    async fn stop(self, cluster: &Cluster, met: &mut BTreeSet<&'static str>, then: Duration, wave: &[Pod]) {
        let client = cluster.client();
        let api = Api::<Pod>::namespaced(client.clone(), "default");
        for (index, pod) in wave.iter().enumerate() {
            api.delete(&pod.metadata.name, DeleteOptions::default()).await.expect("the delete is accepted");
            if index + 1 < self.size {
                tokio::time::sleep(self.step).await;
            }
        }
        let before = moment(&client, &STOPS, met, then).await;
        cluster.kill("kubelet-node-1");
        met.extend(before.iter().map(phase));
        cluster.repair().await;
        eventually("every pod is gone", PATIENCE, async || {
            let left = pods(&client, "app=slow").await;
            if left.is_empty() { Ok(()) } else { Err(crate::shown(&left)) }
        })
        .await;
    }
}

/// D11, I1, C5.
#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_killed_in_every_phase_of_start_and_of_stop() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    SIMULATED.kills(&cluster, slow, |_, _| ()).await;
}

/// D11, H4, I1: the same with real processes, each of which reports to a witness outside of the cluster what it does.
#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_killed_in_every_phase_of_real_processes() {
    if !testkit::is_root() {
        return;
    }
    let witness = Witness::start().await;
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    let check = |wave: &[Pod], gone: bool| {
        for pod in wave {
            let name = &pod.metadata.name;
            if gone {
                assert!(witness.count(name, "preStop") >= 1, "{name}: its preStop hook has not run");
                assert_eq!(witness.count(name, "TERM"), 1, "{name}: its main process ends at its first TERM");
                continue;
            }
            let (starts, restarts) = (witness.count(name, "main"), container(pod, "main").restart_count);
            assert_eq!(starts, restarts + 1, "{name}: its main process was started {starts} times");
            assert!(witness.count(name, "init") >= 1, "{name}: its init container has not run");
            assert!(witness.count(name, "postStart") >= 1, "{name}: its postStart hook has not run");
        }
    };
    REAL.kills(&cluster, |name, _| witness.reporting(name), check).await;
    eventually("no process is left over", PATIENCE, async || {
        let left = witness.reporters();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    })
    .await;
}

/// A process with the cluster's folder among its arguments, and one volume that is mounted.
const REAL_POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  volumes:
  - {name: config, configMap: {name: settings}}
  - {name: memory, emptyDir: {medium: Memory}}
  containers:
  - name: web
    image: busybox
    command: [sh, -c, 'while :; do sleep 1; done', FOLDER]
    volumeMounts: [{name: config, mountPath: /etc/config}, {name: memory, mountPath: /memory}]
";

/// What this machine has of a cluster and its pod.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: Vec<String>,
    mounts: Vec<String>,
    interfaces: Vec<String>,
    control_groups: Vec<String>,
}

impl Traces {
    fn of(state: &Path, uid: &str) -> Self {
        let state = state.to_string_lossy();
        let names = |folder: &str| -> Vec<String> {
            let entries = fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok);
            entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect()
        };
        let says = |file: String| fs::read_to_string(file).is_ok_and(|text| text.contains(&*state));
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the machine's mounts");
        let mut control_groups = Vec::new();
        find(Path::new("/sys/fs/cgroup"), uid, &mut control_groups);
        Self {
            processes: names("/proc").into_iter().filter(|folder| says(format!("{folder}/cmdline"))).collect(),
            mounts: mounts.lines().filter(|mount| mount.contains(&*state)).map(str::to_owned).collect(),
            interfaces: names("/sys/class/net").into_iter().filter(|it| says(format!("{it}/ifalias"))).collect(),
            control_groups,
        }
    }
}

/// The folders below one whose names have this in them.
fn find(folder: &Path, text: &str, found: &mut Vec<String>) {
    // It may be gone by now.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(Result::ok).filter(|it| it.file_type().is_ok_and(|kind| kind.is_dir())) {
        if path.file_name().to_string_lossy().contains(text) {
            found.push(path.path().display().to_string());
        }
        find(&path.path(), text, found);
    }
}

/// A cluster with a pod that has something of everything, and the pod's uid.
async fn with_a_real_pod() -> (Cluster, String) {
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: red}\n";
    cluster.tpctl_with_input(&["apply", "-f", "-"], settings).await.success();
    let pod = REAL_POD.replace("FOLDER", &cluster.state().to_string_lossy());
    cluster.tpctl_with_input(&["apply", "-f", "-"], &pod).await.success();
    let uid = ready_pods(&cluster.client(), "app=web", 1).await.remove(0).metadata.uid;
    let before = Traces::of(cluster.state(), &uid);
    let own: Vec<String> = cluster.processes().into_iter().map(|(_, pid)| format!("/proc/{pid}")).collect();
    let of_the_pod = before.processes.iter().filter(|process| !own.contains(process)).count();
    assert!(of_the_pod >= 2, "its sandbox and its shell: {before:#?}");
    assert!(!before.mounts.is_empty() && !before.interfaces.is_empty(), "{before:#?}");
    (cluster, uid)
}

fn assert_nothing_left(cluster: &Cluster, uid: &str) {
    let nothing = Traces { processes: vec![], mounts: vec![], interfaces: vec![], control_groups: vec![] };
    assert_eq!(Traces::of(cluster.state(), uid), nothing);
    assert!(!cluster.state().exists());
}

/// D11: `tpctl down` puts away what a kubelet has left that was killed and does not come back.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_kubelet_leaves_of_its_pods_goes_with_the_cluster() {
    if !testkit::is_root() || !testkit::has("busybox") {
        return;
    }
    let (cluster, uid) = with_a_real_pod().await;
    cluster.kill("kubelet-node-1");
    cluster.tpctl(&["down", "--purge"]).await.success();
    assert_nothing_left(&cluster, &uid);
}

/// D11: even if it is killed when `tpctl down` has asked it to end already.
#[tokio::test(flavor = "multi_thread")]
async fn so_does_what_a_kubelet_leaves_that_is_killed_while_it_ends() {
    if !testkit::is_root() || !testkit::has("busybox") {
        return;
    }
    let (cluster, uid) = with_a_real_pod().await;
    // It cannot end by itself.
    cluster.freeze("kubelet-node-1");
    let down = async { cluster.tpctl(&["down", "--purge"]).await.success() };
    let killed = async {
        eventually("the kubelet is asked to end", PATIENCE, async || {
            if cluster.is_asked_to_end("kubelet-node-1") { Ok(()) } else { Err("not yet") }
        })
        .await;
        cluster.kill("kubelet-node-1");
    };
    tokio::join!(down, killed);
    assert_nothing_left(&cluster, &uid);
}
