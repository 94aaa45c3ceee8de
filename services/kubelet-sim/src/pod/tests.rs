//! Workers on a virtual engine, under paused time, against an apiserver of a few lines.

use std::collections::BTreeMap;
use std::time::Duration;

use api::core::v1::PodStatus;
use service_kit::Shutdown;
use telemetry::Cause;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::cri;
use crate::runtime::RuntimeService;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::virtual_engine::VirtualEngine;

/// Keeps pods, and tells the node about every change as a watch would.
#[derive(Default)]
struct Apiserver {
    pods: Mutex<BTreeMap<String, Pod>>,
    revision: Mutex<u64>,
    watch: Mutex<Option<mpsc::UnboundedSender<PodChange>>>,
    /// `Type Reason: message`, in order.
    events: Mutex<Vec<String>>,
    /// What every status write said: the phase and whether the pod was ready.
    statuses: Mutex<Vec<String>>,
    config_maps: Mutex<Vec<String>>,
    down: Mutex<bool>,
}

impl Apiserver {
    fn put(&self, mut pod: Pod) -> Pod {
        let mut revision = self.revision.lock();
        *revision += 1;
        pod.metadata.resource_version = revision.to_string();
        self.pods.lock().insert(pod.metadata.name.clone(), pod.clone());
        self.tell(PodChange::Version(Arc::new(pod.clone()), Cause::default()));
        pod
    }

    fn tell(&self, change: PodChange) {
        if let Some(watch) = &*self.watch.lock() {
            let _ = watch.send(change);
        }
    }

    fn remove(&self, name: &str) {
        if let Some(pod) = self.pods.lock().remove(name) {
            self.tell(PodChange::Gone(Arc::new(pod), Cause::default()));
        }
    }

    fn available(&self) -> Result<(), api::Error> {
        if *self.down.lock() { Err(api::Error::unavailable("down")) } else { Ok(()) }
    }
}

#[async_trait]
impl PodApi for Apiserver {
    async fn write_status(&self, pod: &Pod) -> Result<Pod, api::Error> {
        sleep(Duration::from_millis(1)).await;
        self.available()?;
        let stored = self.get(&pod.metadata.namespace, &pod.metadata.name).await?;
        if stored.metadata.resource_version != pod.metadata.resource_version {
            return Err(api::Error::modified("", "pods", &pod.metadata.name));
        }
        let ready = api::pod_conditions::is_true(&pod.status, api::pod_conditions::READY);
        self.statuses.lock().push(format!("{}{}", pod.status.phase, if ready { " ready" } else { "" }));
        Ok(self.put(Pod { status: pod.status.clone(), ..stored }))
    }

    async fn get(&self, _namespace: &str, name: &str) -> Result<Pod, api::Error> {
        self.available()?;
        self.pods.lock().get(name).cloned().ok_or_else(|| api::Error::not_found("", "pods", name))
    }

    async fn delete(&self, pod: &Pod) -> Result<(), api::Error> {
        self.available()?;
        if self.pods.lock().get(&pod.metadata.name).is_some_and(|stored| stored.metadata.finalizers.is_empty()) {
            self.remove(&pod.metadata.name);
        }
        Ok(())
    }

    async fn config_map(&self, _namespace: &str, name: &str) -> Result<ConfigMap, api::Error> {
        if self.config_maps.lock().iter().any(|known| known == name) {
            return Ok(ConfigMap::default());
        }
        Err(api::Error::not_found("", "configmaps", name))
    }

    async fn secret(&self, _namespace: &str, name: &str) -> Result<Secret, api::Error> {
        Err(api::Error::not_found("", "secrets", name))
    }

    fn event(&self, _pod: &Pod, _field: &str, kind: EventType, reason: &str, message: String) {
        self.events.lock().push(format!("{kind} {reason}: {message}"));
    }
}

struct Cluster {
    api: Arc<Apiserver>,
    engine: Arc<VirtualEngine>,
    context: Arc<NodeContext>,
    clock: Clock,
    shutdown: Shutdown,
}

impl Cluster {
    async fn new() -> Self {
        let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
        let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), clock.clone(), None);
        let network_config = Some(cri::NetworkConfig { pod_cidr: "10.244.0.0/24".to_owned() });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
        Self::on(Arc::default(), engine, clock)
    }

    /// A kubelet on what an earlier one left.
    fn on(api: Arc<Apiserver>, engine: Arc<VirtualEngine>, clock: Clock) -> Self {
        let facts = NodeFacts { host_ip: "192.168.0.7".to_owned(), runtime_name: "virtual".to_owned() };
        let status = serde_json::json!({"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}});
        let node = Node { status: serde_json::from_value(status).unwrap(), ..Node::default() };
        let context = Arc::new(NodeContext {
            name: "n1".to_owned(),
            runtime: Runtime::of(engine.clone()),
            api: api.clone(),
            facts,
            clock: clock.clone(),
            trace_mode: TraceMode::default(),
            node: RwLock::new(Arc::new(node)),
            running_pods: Gauge::default(),
            admitted: Mutex::default(),
        });
        let shutdown = Shutdown::new();
        let (workers, watch) = Workers::new(context.clone());
        tokio::spawn(workers.run(shutdown.clone()));
        for pod in api.pods.lock().values() {
            let _ = watch.send(PodChange::Version(Arc::new(pod.clone()), Cause::default()));
        }
        let _ = watch.send(PodChange::Complete);
        *api.watch.lock() = Some(watch);
        Self { api, engine, context, clock, shutdown }
    }

    /// The kubelet dies; the runtime and the apiserver live on.
    fn restart(self) -> Self {
        self.shutdown.trigger();
        *self.api.watch.lock() = None;
        Self::on(self.api, self.engine, self.clock)
    }

    fn create(&self, spec: &str) -> Pod {
        self.create_with(spec, &[])
    }

    fn create_with(&self, spec: &str, annotations: &[(&str, &str)]) -> Pod {
        let json: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
        let mut pod = Pod { spec: serde_json::from_value(json).unwrap(), ..Pod::default() };
        pod.metadata.name = "web".to_owned();
        pod.metadata.namespace = "default".to_owned();
        pod.metadata.uid = format!("uid-{}", *self.api.revision.lock());
        pod.spec.node_name = "n1".to_owned();
        let prefixed = |(k, v): &(&str, &str)| (format!("sim.traceplane.dev/{k}"), (*v).to_owned());
        pod.metadata.annotations = annotations.iter().map(prefixed).collect();
        self.api.put(pod)
    }

    fn change(&self, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.api.pods.lock().get("web").cloned().expect("the pod exists");
        change(&mut pod);
        self.api.put(pod);
    }

    fn delete(&self, grace: i64) {
        let now = self.clock.now();
        self.change(|pod| {
            pod.metadata.deletion_timestamp = Some(now.into());
            pod.metadata.deletion_grace_period_seconds = Some(grace);
        });
    }

    fn status(&self) -> Option<PodStatus> {
        self.api.pods.lock().get("web").map(|pod| pod.status.clone())
    }

    /// Waits until the pod's status fits, for at most a simulated hour, and answers how long it took in milliseconds.
    async fn until(&self, what: &str, fits: impl Fn(Option<&PodStatus>) -> bool) -> u128 {
        let start = Instant::now();
        while !fits(self.status().as_ref()) {
            assert!(start.elapsed() < Duration::from_secs(3_600), "never {what}; last status: {:#?}", self.status());
            sleep(Duration::from_millis(1)).await;
        }
        start.elapsed().as_millis()
    }

    async fn until_ready(&self) -> u128 {
        self.until("ready", |status| {
            status.is_some_and(|s| api::pod_conditions::is_true(s, api::pod_conditions::READY))
        })
        .await
    }

    async fn until_gone(&self) -> u128 {
        self.until("gone", |status| status.is_none()).await
    }

    async fn until_waiting(&self, reason: &str) -> u128 {
        self.until(reason, |status| {
            let waits =
                |c: &api::core::v1::ContainerStatus| c.state.waiting.as_ref().is_some_and(|w| w.reason == reason);
            status.is_some_and(|status| status.container_statuses.iter().any(waits))
        })
        .await
    }

    /// What is left in the runtime.
    async fn sandboxes(&self) -> usize {
        self.engine.list_pod_sandbox(None).await.unwrap().len()
    }

    fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.api.events.lock())
    }

    fn reasons(&self) -> Vec<String> {
        let reason = |event: &String| event.split([' ', ':']).nth(1).unwrap_or_default().to_owned();
        self.events().iter().map(reason).collect()
    }
}

const NGINX: &str = "containers: [{name: web, image: nginx}]";

#[tokio::test(start_paused = true)]
async fn c5_c6_a_pod_is_started_and_its_status_written_only_when_it_changes() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    let took = cluster.until_ready().await;
    assert!((600..650).contains(&took), "pull, sandbox, create, start: {took} ms");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(*cluster.api.statuses.lock(), ["Pending", "Running ready"]);
    let size = 72 << 20;
    assert_eq!(
        cluster.events(),
        [
            "Normal Pulling: Pulling image \"nginx\"".to_owned(),
            format!(
                "Normal Pulled: Successfully pulled image \"nginx\" in 600ms (600ms including waiting). Image size: {size} bytes."
            ),
            "Normal Created: Container created".to_owned(),
            "Normal Started: Container started".to_owned(),
        ]
    );
    let status = cluster.status().unwrap();
    assert_eq!((status.pod_ip.as_str(), status.host_ip.as_str()), ("10.244.0.1", "192.168.0.7"));
    assert_eq!(status.container_statuses[0].image, "docker.io/library/nginx:latest");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_at_once_is_reported_once() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: pause, imagePullPolicy: IfNotPresent}]");
    let took = cluster.until_ready().await;
    assert!(took <= 15, "{took} ms");
    assert_eq!(*cluster.api.statuses.lock(), ["Running ready"]);
}

#[tokio::test(start_paused = true)]
async fn p1_a_pod_becomes_ready_when_its_probe_passes() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 2}}]",
        &[("ready-after", "3s")],
    );
    let took = cluster.until_ready().await;
    assert!((4_600..4_800).contains(&took), "probed at 0.1 s, 2.1 s and 4.1 s after the start: {took} ms");
    let unhealthy = "Warning Unhealthy: Readiness probe failed: Get \"http://10.244.0.1:80/\": dial tcp 10.244.0.1:80: connect: connection refused";
    assert_eq!(cluster.events().iter().filter(|event| *event == unhealthy).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn d4_d9_a_deleted_pod_disappears_when_nothing_of_it_runs() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.events();
    cluster.delete(30);
    let took = cluster.until_gone().await;
    assert!((20..40).contains(&took), "{took} ms");
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(cluster.events(), ["Normal Killing: Stopping container web"]);
    assert!(cluster.context.admitted.lock().is_empty(), "what it had been given is free again");
}

#[tokio::test(start_paused = true)]
async fn d6_d8_hook_extension_and_kill_take_the_grace_period_and_two_seconds() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, lifecycle: {preStop: {exec: {command: [sleep, '60']}}}}]",
        &[("term-time", "ignore")],
    );
    cluster.until_ready().await;
    cluster.delete(10);
    let took = cluster.until_gone().await;
    assert!((12_000..12_100).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn d10_a_pod_deleted_by_force_is_killed_all_the_same() {
    let cluster = Cluster::new().await;
    cluster.create_with(NGINX, &[("term-time", "ignore")]);
    cluster.until_ready().await;
    cluster.api.remove("web");
    assert_eq!(cluster.sandboxes().await, 1);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(
        cluster.api.statuses.lock().last().map(String::as_str),
        Some("Running ready"),
        "nothing is written about it"
    );
}

#[tokio::test(start_paused = true)]
async fn d12_a_pod_with_finalizers_is_stopped_and_stays() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.change(|pod| pod.metadata.finalizers.push("example.com/wait".to_owned()));
    cluster.delete(30);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(cluster.status().unwrap().phase, "Succeeded");
    cluster.api.remove("web");
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn d13_a_pod_is_deleted_in_the_middle_of_its_start() {
    let cluster = Cluster::new().await;
    cluster.create_with(NGINX, &[("pull-time", "300s")]);
    cluster.until_waiting("ContainerCreating").await;
    cluster.delete(30);
    let took = cluster.until_gone().await;
    assert!(took < 50, "{took} ms");
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn pods_are_not_restarted_when_the_kubelet_is() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: nginx, readinessProbe: {tcpSocket: {port: 80}}}]");
    cluster.until_ready().await;
    let before = cluster.status().unwrap();
    let writes = cluster.api.statuses.lock().len();
    let cluster = cluster.restart();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.status().unwrap(), before);
    assert_eq!(cluster.api.statuses.lock().len(), writes, "nothing had to be written");
}

#[tokio::test(start_paused = true)]
async fn what_lost_its_pod_while_the_kubelet_was_away_is_cleaned_up() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.shutdown.trigger();
    *cluster.api.watch.lock() = None;
    cluster.api.remove("web");
    let cluster = Cluster::on(cluster.api, cluster.engine, cluster.clock);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn s2_a_crashing_container_is_restarted_with_growing_delays() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: busybox, command: [sh, -c, 'sleep 1; exit 1']}]");
    cluster.until_waiting("CrashLoopBackOff").await;
    assert_eq!(cluster.status().unwrap().container_statuses[0].restart_count, 1);
    sleep(Duration::from_secs(60)).await;
    let status = cluster.status().unwrap();
    let main = &status.container_statuses[0];
    assert_eq!((main.restart_count, status.phase.as_str()), (3, "Running"));
    assert_eq!(main.last_state.terminated.as_ref().map(|t| t.exit_code), Some(1));
    let reasons = cluster.reasons();
    assert_eq!(reasons.iter().filter(|reason| *reason == "BackOff").count(), 3);
    assert_eq!(
        reasons.iter().filter(|reason| *reason == "Pulling").count(),
        4,
        "busybox has no tag, so it is always looked up"
    );
}

#[tokio::test(start_paused = true)]
async fn s1_a_pod_that_is_done_is_completed() {
    let cluster = Cluster::new().await;
    cluster.create("{restartPolicy: Never, containers: [{name: web, image: busybox, command: [sleep, '5']}]}");
    cluster.until("succeeded", |status| status.is_some_and(|status| status.phase == "Succeeded")).await;
    let status = cluster.status().unwrap();
    let ended = status.container_statuses[0].state.terminated.clone().unwrap();
    assert_eq!((ended.reason.as_str(), ended.exit_code), ("Completed", 0));
    cluster.api.remove("web");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn i1_init_containers_then_containers() {
    let cluster = Cluster::new().await;
    cluster.create(
        "{initContainers: [{name: a, image: busybox, command: [sleep, '2']}, {name: b, image: busybox, command: [sleep, '3']}],
          containers: [{name: web, image: pause}]}",
    );
    let took = cluster.until_ready().await;
    assert!((5_000..5_500).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn s3_failures_are_shown_with_their_reasons_and_events() {
    /// Container, annotations, waiting reason, one of the events.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);
    let cases: [Case; 8] = [
        ("image: Nginx", &[], "InvalidImageName", "InspectFailed"),
        ("image: nginx", &[("inspect-error", "no")], "ImageInspectError", "InspectFailed"),
        ("image: nginx, imagePullPolicy: Never", &[], "ErrImageNeverPull", "ErrImageNeverPull"),
        ("image: 'nginx:missing'", &[], "ImagePullBackOff", "BackOff"),
        ("image: registry.invalid/app", &[], "RegistryUnavailable", "Failed"),
        ("image: nginx", &[("create-error", "no")], "CreateContainerError", "Failed"),
        (
            "image: nginx, env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
            &[],
            "CreateContainerConfigError",
            "Failed",
        ),
        ("image: nginx", &[("start-error", "no")], "RunContainerError", "Failed"),
    ];
    for (container, annotations, reason, event) in cases {
        let cluster = Cluster::new().await;
        cluster.create_with(&format!("containers: [{{name: web, {container}}}]"), annotations);
        cluster.until_waiting(reason).await;
        assert!(cluster.reasons().iter().any(|seen| seen == event), "{reason}: no event {event}");
        cluster.delete(0);
        cluster.until_gone().await;
    }
}

#[tokio::test(start_paused = true)]
async fn h3_a_failing_post_start_hook_is_told_with_its_output() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, lifecycle: {postStart: {exec: {command: [check]}}}}]",
        &[("post-start-error", "no luck")],
    );
    cluster.until_waiting("PostStartHookError").await;
    let events = cluster.events();
    let failed = events.iter().find(|event| event.starts_with("Warning FailedPostStartHook")).unwrap();
    assert!(failed.contains("\"no luck\""), "{failed}");
    cluster.until_waiting("CrashLoopBackOff").await;
}

#[tokio::test(start_paused = true)]
async fn volumes_wait_for_what_they_refer_to() {
    let cluster = Cluster::new().await;
    cluster.create("{volumes: [{name: v, configMap: {name: c}}], containers: [{name: web, image: pause}]}");
    sleep(Duration::from_secs(3)).await;
    assert_eq!(
        cluster.events(),
        ["Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"c\" not found"]
    );
    cluster.api.config_maps.lock().push("c".to_owned());
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn p2_a_failing_liveness_probe_restarts_the_container() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 2}}]",
        &[("live-for", "5s")],
    );
    cluster.until("restarted", |s| s.is_some_and(|s| s.container_statuses.iter().any(|c| c.restart_count == 1))).await;
    let events = cluster.events();
    assert!(
        events.contains(&"Normal Killing: Container web failed liveness probe, will be restarted".to_owned()),
        "{events:?}"
    );
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_the_apiserver_is_back() {
    let cluster = Cluster::new().await;
    *cluster.api.down.lock() = true;
    cluster.create(NGINX);
    sleep(Duration::from_secs(30)).await;
    assert!(cluster.api.statuses.lock().is_empty());
    *cluster.api.down.lock() = false;
    let took = cluster.until_ready().await;
    assert!(took < 6_000, "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn the_node_refuses_what_does_not_fit() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: nginx, resources: {requests: {cpu: '5'}}}]");
    cluster.until("failed", |status| status.is_some_and(|status| status.phase == "Failed")).await;
    assert_eq!(cluster.status().unwrap().reason, "OutOfcpu");
    assert_eq!(cluster.reasons(), ["OutOfcpu"]);
    assert_eq!(cluster.sandboxes().await, 0);
}
