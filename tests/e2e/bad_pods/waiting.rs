//! Pods that are accepted and cannot run, and what is shown and told of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use api::core::v1::{ConfigMap, ContainerStatus, Event, Pod};
use api::meta::v1::ListOptions;
use client::{Api, WatchEvent};
use serde_json::{Value, json};
use testkit::cluster::Cluster;
use testkit::eventually;

use super::{main, pod};
use crate::{PATIENCE, ready_pods};

/// A pod that is accepted and cannot run.
pub(super) struct Waits {
    name: &'static str,
    spec: Value,
    settings: &'static [(&'static str, &'static str)],
    /// Why it waits, in one word after another.
    reasons: &'static [&'static str],
    /// The message beside the last of them.
    message: String,
    /// Type, reason and message.
    events: Vec<(&'static str, &'static str, String)>,
    /// What is said of its logs, after the container's name; empty: it has some.
    logs: &'static str,
}

impl Waits {
    /// A pod whose command cannot be run, for this reason.
    pub(super) fn to_start(name: &'static str, command: &str, why: &str) -> Self {
        Waits {
            name,
            spec: main(json!({"image": "busybox", "command": [command]})),
            settings: &[],
            reasons: &["RunContainerError", "CrashLoopBackOff"],
            message: format!("restarting failed container=main pod={name}_default("),
            events: vec![
                ("Warning", "Failed", format!("Error: {why}")),
                ("Warning", "BackOff", format!("Back-off restarting failed container main in pod {name}_default(")),
            ],
            logs: "",
        }
    }
}

const NO_COMMAND: &str = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                          unable to start container process: exec: \"nope\": executable file not found in $PATH";

/// S3: ErrImagePull, ImagePullBackOff, InvalidImageName, CreateContainerConfigError, RunContainerError, CrashLoopBackOff, StartError,
/// ContainerCreating, PodInitializing.
fn table() -> Vec<Waits> {
    let warning = |reason, message: &str| ("Warning", reason, message.to_owned());
    let image = "docker.io/library/nginx:missing";
    let pull = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": \
         failed to resolve reference \"{image}\": {image}: not found"
    );
    let invalid = "Failed to apply default image tag \"Nginx\": couldn't parse image name \"Nginx\": \
                   invalid reference format: repository name (library/Nginx) must be lowercase";
    let env = |source: Value| main(json!({"env": [{"name": "A", "valueFrom": source}]}));
    let not_configured = |name, spec, why: &str| Waits {
        name,
        spec,
        settings: &[],
        reasons: &["CreateContainerConfigError"],
        message: why.to_owned(),
        events: vec![("Warning", "Failed", format!("Error: {why}"))],
        logs: "is waiting to start: CreateContainerConfigError",
    };
    let volume = |name: &str| {
        let mut spec = main(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
        spec["volumes"] = json!([{"name": "v", "configMap": {"name": name}}]);
        spec
    };
    let mut held_up = main(json!({}));
    held_up["initContainers"] = json!([{"name": "init", "image": "busybox", "command": ["sleep", "3600"]}]);
    vec![
        Waits {
            name: "missing-image",
            spec: main(json!({"image": "nginx:missing"})),
            settings: &[],
            reasons: &["ErrImagePull", "ImagePullBackOff"],
            message: format!("Back-off pulling image \"nginx:missing\": ErrImagePull: {pull}"),
            events: vec![
                ("Normal", "Pulling", "Pulling image \"nginx:missing\"".to_owned()),
                warning("Failed", &format!("Failed to pull image \"nginx:missing\": {pull}")),
                warning("Failed", "Error: ErrImagePull"),
                ("Normal", "BackOff", "Back-off pulling image \"nginx:missing\"".to_owned()),
                warning("Failed", "Error: ImagePullBackOff"),
            ],
            logs: "is waiting to start: trying and failing to pull image",
        },
        Waits {
            name: "invalid-image",
            spec: main(json!({"image": "Nginx"})),
            settings: &[],
            reasons: &["InvalidImageName"],
            message: invalid.to_owned(),
            events: vec![warning("InspectFailed", invalid), warning("Failed", "Error: InvalidImageName")],
            logs: "is waiting to start: InvalidImageName",
        },
        Waits { settings: &[("start-error", NO_COMMAND)], ..Waits::to_start("no-command", "nope", NO_COMMAND) },
        Waits {
            name: "missing-volume",
            spec: volume("later"),
            settings: &[],
            reasons: &["ContainerCreating"],
            message: String::new(),
            events: vec![warning(
                "FailedMount",
                "MountVolume.SetUp failed for volume \"v\" : configmap \"later\" not found",
            )],
            logs: "is waiting to start: ContainerCreating",
        },
        Waits {
            name: "held-up",
            spec: held_up,
            settings: &[],
            reasons: &["PodInitializing"],
            message: String::new(),
            events: vec![],
            logs: "is waiting to start: PodInitializing",
        },
        not_configured(
            "missing-map",
            env(json!({"configMapKeyRef": {"name": "nowhere", "key": "k"}})),
            "configmap \"nowhere\" not found",
        ),
        not_configured(
            "missing-secret",
            env(json!({"secretKeyRef": {"name": "nowhere", "key": "k"}})),
            "secret \"nowhere\" not found",
        ),
        not_configured(
            "missing-key",
            env(json!({"configMapKeyRef": {"name": "present", "key": "nowhere"}})),
            "couldn't find key nowhere in ConfigMap default/present",
        ),
        not_configured(
            "missing-maps",
            main(json!({"envFrom": [{"configMapRef": {"name": "nowhere"}}]})),
            "configmap \"nowhere\" not found",
        ),
        not_configured(
            "missing-secrets",
            main(json!({"envFrom": [{"secretRef": {"name": "nowhere"}}]})),
            "secret \"nowhere\" not found",
        ),
    ]
}

/// What a watch has told of why containers wait: the reasons of each pod, one after another.
type Told = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

async fn follow(pods: &Api<Pod>) -> Told {
    let from = pods.list(ListOptions::default()).await.expect("a list").metadata.resource_version;
    let mut watch = pods.watch(ListOptions { resource_version: from, ..Default::default() }).await.expect("a watch");
    let told = Told::default();
    let seen = Arc::clone(&told);
    tokio::spawn(async move {
        while let Some(Ok(event)) = watch.next().await {
            let (WatchEvent::Added(pod, _) | WatchEvent::Modified(pod, _)) = event else { continue };
            let reasons = pod.status.container_statuses.iter().filter_map(|status| status.state.waiting.as_ref());
            let mut seen = seen.lock().expect("nobody panics with it");
            let of_pod = seen.entry(pod.metadata.name.clone()).or_default();
            for waiting in reasons {
                if of_pod.last() != Some(&waiting.reason) {
                    of_pod.push(waiting.reason.clone());
                }
            }
        }
    });
    told
}

pub(super) async fn all(cluster: &Cluster) {
    let client = cluster.client();
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let map = |name: &str| {
        let mut map = ConfigMap::default();
        map.metadata.name = name.to_owned();
        map
    };
    maps.create(&map("present")).await.expect("created");
    each_waits(cluster, &table()).await;
    assert_eq!(end(&pods, "no-command").await, ("StartError".to_owned(), 128, NO_COMMAND.to_owned()));

    maps.create(&map("later")).await.expect("created");
    ready_pods(&client, "app=missing-volume", 1).await;
    cluster.tpctl(&["logs", "missing-volume"]).await.success();
    not_scheduled(cluster, &pods).await;
}

/// All of these at once.
pub(super) async fn each_waits(cluster: &Cluster, table: &[Waits]) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let told = follow(&pods).await;
    for case in table {
        pods.create(&pod(case.name, &case.spec, case.settings)).await.expect(case.name);
    }
    for case in table {
        waits(cluster, &pods, case).await;
        has_told(cluster, case).await;
        eventually(&format!("{} was seen to wait for {:?}", case.name, case.reasons), PATIENCE, async || {
            let told = told.lock().expect("nobody panics with it");
            let told = told.get(case.name).cloned().unwrap_or_default();
            let mut rest = told.iter();
            let is_told = case.reasons.iter().all(|reason| rest.any(|told| told == reason));
            if is_told { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
        cannot_be_reached(cluster, case).await;
    }
}

/// How the container ended last: reason, exit code and message.
pub(super) async fn end(pods: &Api<Pod>, name: &str) -> (String, i32, String) {
    let status = pods.get(name).await.expect("it exists").status.container_statuses.remove(0);
    let last = status.last_state.terminated.or(status.state.terminated).expect("it has ended before");
    (last.reason, last.exit_code, last.message)
}

/// Nothing can be asked of a pod that has no node.
async fn not_scheduled(cluster: &Cluster, pods: &Api<Pod>) {
    let mut spec = main(json!({}));
    spec["nodeSelector"] = json!({"there": "is-no-such-node"});
    pods.create(&pod("nowhere", &spec, &[])).await.expect("created");
    assert_eq!(cluster.tpctl(&["logs", "nowhere"]).await.success(), "");
    let told = cluster.tpctl(&["exec", "nowhere", "--", "date"]).await.failure();
    assert_eq!(told.trim_end(), "Error from server (BadRequest): pod nowhere does not have a host assigned");
}

fn only(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.container_statuses.first()
}

/// The API and `get pods` show the last of its reasons.
async fn waits(cluster: &Cluster, pods: &Api<Pod>, case: &Waits) {
    let reason = *case.reasons.last().expect("it waits for something");
    let word = if reason == "PodInitializing" { "Init:0/1" } else { reason };
    eventually(&format!("{} waits: {reason}, {}", case.name, case.message), PATIENCE, async || {
        let pod = pods.get(case.name).await.map_err(|error| error.to_string())?;
        let waiting = only(&pod).and_then(|status| status.state.waiting.clone()).unwrap_or_default();
        // A back-off says first how long it is, and last which pod it means.
        let is_message = if reason == "CrashLoopBackOff" {
            waiting.message.contains(&case.message)
        } else {
            waiting.message == case.message
        };
        let shown = cluster.tpctl(&["get", "pod", case.name]).await.stdout();
        let line = shown.lines().last().unwrap_or_default().to_owned();
        let columns: Vec<&str> = line.split_whitespace().collect();
        if waiting.reason == reason && is_message && columns.get(..3) == Some(&[case.name, "0/1", word][..]) {
            // A container that is to come back counts as one that runs.
            let phase = if reason == "CrashLoopBackOff" { "Running" } else { "Pending" };
            assert_eq!(pod.status.phase, phase);
            return Ok(());
        }
        Err(format!("{waiting:?}\n{line}"))
    })
    .await;
}

async fn has_told(cluster: &Cluster, case: &Waits) {
    eventually(&format!("the events of {}", case.name), PATIENCE, async || {
        let events = Api::<Event>::namespaced(cluster.client(), "default").list(ListOptions::default()).await;
        let events = events.map_err(|error| error.to_string())?.items;
        let own: Vec<&Event> = events.iter().filter(|event| event.involved_object.name == case.name).collect();
        let is_told = |(kind, reason, message): &(&str, &str, String)| {
            own.iter().any(|event| {
                // What names a pod ends with its uid.
                let is_message =
                    event.message == *message || (message.ends_with('(') && event.message.starts_with(message));
                event.r#type == *kind && event.reason == *reason && is_message
            })
        };
        match case.events.iter().find(|event| !is_told(event)) {
            None => Ok(()),
            Some(missing) => {
                let own: Vec<_> = own.iter().map(|event| (&event.r#type, &event.reason, &event.message)).collect();
                Err(format!("missing {missing:?} in {own:#?}"))
            }
        }
    })
    .await;
}

/// What `tpctl logs` and `tpctl exec` answer, which is what kubectl answers.
async fn cannot_be_reached(cluster: &Cluster, case: &Waits) {
    let name = case.name;
    if !case.logs.is_empty() {
        let expected = format!("Error from server (BadRequest): container \"main\" in pod \"{name}\" {}", case.logs);
        eventually(&expected, PATIENCE, async || {
            let told = cluster.tpctl(&["logs", name, "-c", "main"]).await.failure();
            if told.trim_end() == expected { Ok(()) } else { Err(told) }
        })
        .await;
    }
    let told = cluster.tpctl(&["exec", name, "-c", "main", "--", "date"]).await.failure();
    assert_eq!(told.trim_end(), "error: unable to upgrade connection: container not found (\"main\")", "{name}");
    let told = cluster.tpctl(&["exec", name, "-c", "nobody", "--", "date"]).await.failure();
    assert_eq!(
        told.trim_end(),
        format!("Error from server (BadRequest): container nobody is not valid for pod {name}")
    );
}
