//! S3: everything that can go wrong with a container, on purpose, as `tpctl get` and `tpctl describe` show it.
//!
//! All pods at once on one cluster: each has its trouble from its annotations or its image. Some reasons stay, others come and go with each
//! try, so `get -w` watches from the beginning, and `describe` is asked again until it has told all.
//!
//! What nodes suffer from is in `unready_nodes`, what they do to their pods for it (Evicted) in `node_pressure`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use testkit::cluster::Cluster;
use testkit::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::PATIENCE;

/// A pod and what is shown of it.
struct Row {
    name: &'static str,
    /// Annotations of the simulated runtime.
    settings: &'static [(&'static str, &'static str)],
    container: &'static str,
    /// What stands under STATUS, at one time or another.
    shown: &'static [&'static str],
    /// What `describe` says, at one time or another; any blanks are one.
    told: &'static [&'static str],
}

const ROWS: [Row; 17] = [
    Row {
        name: "creating",
        settings: &[("sandbox-time", "1h")],
        container: "image: nginx",
        shown: &["ContainerCreating"],
        told: &["Status: Pending", "State: Waiting Reason: ContainerCreating", "ContainersReady False"],
    },
    Row {
        name: "init-runs",
        settings: &[("first.run-for", "1h")],
        container: "image: nginx",
        shown: &["Init:0/1"],
        told: &["State: Waiting Reason: PodInitializing", "Initialized False"],
    },
    Row {
        name: "init-done",
        settings: &[("first.run-for", "100ms"), ("main.pull-time", "1h")],
        container: "image: 'late:1'",
        shown: &["Init:0/1", "PodInitializing"],
        told: &["State: Waiting Reason: PodInitializing", "Initialized True"],
    },
    Row {
        name: "invalid",
        settings: &[],
        container: "image: 'Nginx'",
        shown: &["InvalidImageName"],
        told: &[
            "State: Waiting Reason: InvalidImageName",
            "Warning InspectFailed",
            "Failed to apply default image tag \"Nginx\": couldn't parse image name \"Nginx\": invalid reference format: \
             repository name (library/Nginx) must be lowercase",
            "Error: InvalidImageName",
        ],
    },
    Row {
        name: "inspect",
        settings: &[("inspect-error", "bad disk")],
        container: "image: nginx",
        shown: &["ImageInspectError"],
        told: &[
            "State: Waiting Reason: ImageInspectError",
            "Warning InspectFailed",
            "bad disk",
            "Error: ImageInspectError",
        ],
    },
    Row {
        name: "never",
        settings: &[],
        container: "image: 'never:1', imagePullPolicy: Never",
        shown: &["ErrImageNeverPull"],
        told: &[
            "State: Waiting Reason: ErrImageNeverPull",
            "Container image \"never:1\" is not present with pull policy of Never",
            "Error: ErrImageNeverPull",
        ],
    },
    Row {
        name: "pull",
        settings: &[("pull-error", "not found")],
        container: "image: 'lost:1'",
        shown: &["ErrImagePull", "ImagePullBackOff"],
        told: &[
            "State: Waiting Reason: ErrImagePull",
            "State: Waiting Reason: ImagePullBackOff",
            "Failed to pull image \"lost:1\": ",
            "Error: ErrImagePull",
            "Back-off pulling image \"lost:1\"",
            "Error: ImagePullBackOff",
        ],
    },
    Row {
        name: "registry",
        settings: &[("pull-error", "RegistryUnavailable: no such host")],
        container: "image: 'far:1'",
        shown: &["RegistryUnavailable", "ImagePullBackOff"],
        told: &["State: Waiting Reason: RegistryUnavailable", "Error: RegistryUnavailable"],
    },
    Row {
        name: "config",
        settings: &[],
        container: "image: nginx, env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: k}}}]",
        shown: &["CreateContainerConfigError"],
        told: &["State: Waiting Reason: CreateContainerConfigError", "Error: configmap \"none\" not found"],
    },
    Row {
        name: "create",
        settings: &[("create-error", "no space")],
        container: "image: nginx",
        shown: &["CreateContainerError"],
        told: &["State: Waiting Reason: CreateContainerError", "Error: no space"],
    },
    Row {
        name: "prestart",
        settings: &[("pre-start-error", "no CPUs left")],
        container: "image: nginx",
        shown: &["PreStartHookError"],
        told: &["State: Waiting Reason: PreStartHookError", "Internal PreStartContainer hook failed: no CPUs left"],
    },
    Row {
        name: "run",
        settings: &[("start-error", "no such file")],
        container: "image: nginx",
        shown: &["RunContainerError", "CrashLoopBackOff"],
        told: &[
            "State: Waiting Reason: RunContainerError",
            "Last State: Terminated Reason: StartError Message: no such file Exit Code: 128",
            "Error: no such file",
        ],
    },
    Row {
        name: "poststart",
        settings: &[("post-start-error", "refused")],
        container: "image: nginx, lifecycle: {postStart: {exec: {command: [hi]}}}",
        shown: &["PostStartHookError", "CrashLoopBackOff"],
        told: &["State: Waiting Reason: PostStartHookError", "Warning FailedPostStartHook", "FailedPostStartHook"],
    },
    Row {
        name: "crash",
        settings: &[("run-for", "100ms"), ("exit-code", "1")],
        container: "image: nginx",
        shown: &["CrashLoopBackOff"],
        told: &[
            "State: Waiting Reason: CrashLoopBackOff",
            "Last State: Terminated Reason: Error Exit Code: 1",
            "Warning BackOff",
            "Back-off restarting failed container main in pod crash_default(",
        ],
    },
    Row {
        name: "oom",
        settings: &[("memory-usage", "100ms:1Gi")],
        container: "image: nginx, resources: {limits: {memory: 64Mi}}",
        shown: &["OOMKilled"],
        told: &["Status: Failed", "State: Terminated Reason: OOMKilled Exit Code: 137"],
    },
    Row {
        name: "error",
        settings: &[],
        container: "image: 'busybox:1', command: [sh, -c, 'exit 3']",
        shown: &["Error"],
        told: &["Status: Failed", "State: Terminated Reason: Error Exit Code: 3"],
    },
    Row {
        name: "completed",
        settings: &[],
        container: "image: 'busybox:1', command: ['true']",
        shown: &["Completed"],
        told: &["Status: Succeeded", "State: Terminated Reason: Completed Exit Code: 0"],
    },
];

/// Those whose container is not to be started again.
const ONCE: [&str; 3] = ["oom", "error", "completed"];

fn manifest() -> String {
    let mut text = String::new();
    for Row { name, settings, container, .. } in ROWS {
        let settings: Vec<String> =
            settings.iter().map(|(key, value)| format!("sim.traceplane.dev/{key}: {value:?}")).collect();
        let policy = if ONCE.contains(&name) { "Never" } else { "Always" };
        writeln!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{{}}}}}\nspec:\n  restartPolicy: {policy}\n  \
             containers: [{{name: main, {container}}}]",
            settings.join(", ")
        )
        .expect("a string takes all");
        if name.starts_with("init") {
            text.push_str("  initContainers: [{name: first, image: 'busybox:1', command: [sleep, '0']}]\n");
        }
    }
    text
}

/// Words with one blank between them, however they are aligned.
pub(crate) fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// S3
#[tokio::test(flavor = "multi_thread")]
async fn s3_every_trouble_is_shown_as_kubernetes_shows_it() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let mut watch = cluster
        .command(&["get", "pods", "--watch", "--no-headers"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tpctl can be started");
    let rows = Arc::new(Mutex::new(Vec::new()));
    let (mut lines, seen) = (BufReader::new(watch.stdout.take().expect("it is piped")).lines(), Arc::clone(&rows));
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            seen.lock().expect("nobody panics with it").push(line);
        }
    });
    cluster.tpctl_with_input(&["apply", "-f", "-"], &manifest()).await.success();

    let mut missing = BTreeSet::new();
    for Row { name, shown, told, .. } in ROWS {
        missing.extend(shown.iter().map(|word| (name, "get", *word)));
        missing.extend(told.iter().map(|words| (name, "describe", *words)));
    }
    eventually("every trouble is shown and told", 2 * PATIENCE, async || {
        let told = cluster.tpctl(&["describe", "pods"]).await.success();
        let told: Vec<String> = format!("\n{told}").split("\nName:").map(plain).collect();
        let shown = rows.lock().expect("nobody panics with it").clone();
        missing.retain(|(name, command, words)| {
            let found = match *command {
                "get" => shown
                    .iter()
                    .map(|row| row.split_whitespace().collect::<Vec<_>>())
                    .any(|row| row[0] == *name && row[2] == *words),
                _ => told.iter().any(|pod| pod.split(' ').next() == Some(*name) && pod.contains(words)),
            };
            !found
        });
        let pods = told.iter().filter(|pod| missing.iter().any(|(name, ..)| pod.starts_with(name)));
        let pods: Vec<&str> = pods.map(String::as_str).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("no {missing:#?} in\n{}\n{}", shown.join("\n"), pods.join("\n\n")))
        }
    })
    .await;

    // Why conditions are False, describe does not say.
    let told = cluster.tpctl(&["get", "pods", "init-runs", "creating", "-o", "yaml"]).await.success();
    for words in [
        "message: 'containers with incomplete status: [first]' observedGeneration: 1 reason: ContainersNotInitialized status: \"False\" type: Initialized",
        "message: 'containers with unready status: [main]' observedGeneration: 1 reason: ContainersNotReady status: \"False\" type: Ready",
    ] {
        assert!(plain(&told).contains(words), "no {words:?} in\n{told}");
    }
}
