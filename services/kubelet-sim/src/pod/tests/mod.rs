//! Workers on a virtual engine, under paused time, against an apiserver of a few lines.

mod bad_input;
mod failures;
mod hooks;
mod journeys;
mod life;
mod paced;
mod reasons;
mod volumes;

use std::collections::BTreeMap;
use std::time::Duration;

use api::core::v1::PodStatus;
use jiff::Timestamp;
use service_kit::Shutdown;
use telemetry::{Cause, TraceContext};
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
    config_maps: Mutex<BTreeMap<String, tokio::sync::watch::Sender<Known>>>,
    node_labels: Mutex<BTreeMap<String, String>>,
    down: Mutex<bool>,
    /// The trace contexts in which statuses were written and objects deleted, by what was done.
    writes: Mutex<Vec<(&'static str, TraceContext)>>,
}

impl Apiserver {
    fn put(&self, pod: Pod) -> Pod {
        self.put_because(pod, TraceContext::current())
    }

    /// Stores a pod on behalf of a span, which its watchers are told.
    fn put_because(&self, mut pod: Pod, context: TraceContext) -> Pod {
        let mut revision = self.revision.lock();
        *revision += 1;
        pod.metadata.resource_version = revision.to_string();
        self.pods.lock().insert(pod.metadata.name.clone(), pod.clone());
        let cause = Cause::received(context, i64::try_from(*revision).unwrap(), Some(Timestamp::now()));
        self.tell(PodChange::Version(Arc::new(pod.clone()), cause));
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

    /// What is known of a config map.
    fn known(&self, name: &str) -> tokio::sync::watch::Sender<Known> {
        let mut known = self.config_maps.lock();
        known.entry(name.to_owned()).or_insert_with(|| tokio::sync::watch::Sender::new(Known::Missing)).clone()
    }

    /// Makes a config map with these values, or changes it.
    fn set_config_map(&self, name: &str, values: &[(&str, &str)]) {
        let entries = values.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        self.known(name).send_replace(Known::Is(Arc::new(Content { entries, immutable: false })));
    }

    fn available(&self) -> Result<(), api::Error> {
        if *self.down.lock() { Err(api::Error::unavailable("down")) } else { Ok(()) }
    }
}

#[async_trait]
impl PodApi for Apiserver {
    async fn write_status(&self, pod: &Pod, restarts: bool) -> Result<Pod, api::Error> {
        sleep(Duration::from_millis(1)).await;
        self.available()?;
        let stored = self.get(&pod.metadata.namespace, &pod.metadata.name).await?;
        if stored.metadata.resource_version != pod.metadata.resource_version {
            return Err(api::Error::modified("", "pods", &pod.metadata.name));
        }
        let what = if restarts { "status of a restart" } else { "status" };
        self.writes.lock().push((what, TraceContext::current()));
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
        self.writes.lock().push(("delete", TraceContext::current()));
        if self.pods.lock().get(&pod.metadata.name).is_some_and(|stored| stored.metadata.finalizers.is_empty()) {
            self.remove(&pod.metadata.name);
        }
        Ok(())
    }

    async fn config_map(&self, _namespace: &str, name: &str) -> Result<ConfigMap, api::Error> {
        match &*self.known(name).borrow() {
            Known::Is(_) => Ok(ConfigMap::default()),
            _ => Err(api::Error::not_found("", "configmaps", name)),
        }
    }

    async fn secret(&self, _namespace: &str, name: &str) -> Result<Secret, api::Error> {
        Err(api::Error::not_found("", "secrets", name))
    }

    fn follow(&self, reference: &Reference) -> Followed {
        let name = if reference.kind == SourceKind::ConfigMap { reference.name.as_str() } else { "" };
        Followed::new(self.known(name).subscribe(), Arc::new(()))
    }

    fn services(&self, _namespace: &str) -> Option<Vec<Arc<Service>>> {
        Some(Vec::new())
    }

    async fn node(&self, _name: &str) -> Result<Node, api::Error> {
        self.available()?;
        let mut node = Node::default();
        node.metadata.labels = self.node_labels.lock().clone();
        Ok(node)
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
    files: Option<PodFiles>,
}

impl Cluster {
    async fn new() -> Self {
        Self::with_files(None).await
    }

    /// A node whose containers would see files.
    async fn with_files(files: Option<PodFiles>) -> Self {
        Self::at_pace(Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap()), files).await
    }

    /// A node with its own idea of time.
    async fn at_pace(clock: Clock, files: Option<PodFiles>) -> Self {
        let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), clock.clone(), None);
        let network_config = Some(cri::NetworkConfig { pod_cidr: "10.244.0.0/24".to_owned() });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
        Self::on(Arc::default(), engine, clock, files)
    }

    /// A kubelet on what an earlier one left.
    fn on(api: Arc<Apiserver>, engine: Arc<VirtualEngine>, clock: Clock, files: Option<PodFiles>) -> Self {
        let kept = files.clone();
        let facts =
            NodeFacts { host_ip: "192.168.0.7".to_owned(), runtime_name: "virtual".into(), init_image_restarts: true };
        let status = serde_json::json!({"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}});
        let node = Node { status: serde_json::from_value(status).unwrap(), ..Node::default() };
        let context = Arc::new(NodeContext {
            name: "n1".to_owned(),
            runtime: Runtime::of(engine.clone()),
            api: api.clone(),
            root_dir: "/var/lib/kubelet".into(),
            volumes: Volumes::new(files),
            dns: NodeDns::default(),
            facts,
            clock: clock.clone(),
            trace_mode: TraceMode::default(),
            node: watch::Sender::new(Arc::new(node)),
            running_pods: Gauge::default(),
            admitted: Mutex::default(),
            health: Mutex::default(),
            changed: Notify::new(),
        });
        let shutdown = Shutdown::new();
        let (workers, watch) = Workers::new(context.clone());
        tokio::spawn(workers.run(shutdown.clone()));
        for pod in api.pods.lock().values() {
            let _ = watch.send(PodChange::Version(Arc::new(pod.clone()), Cause::default()));
        }
        let _ = watch.send(PodChange::Complete);
        *api.watch.lock() = Some(watch);
        Self { api, engine, context, clock, shutdown, files: kept }
    }

    /// The kubelet dies; the runtime and the apiserver live on.
    async fn restart(self) -> Self {
        let Self { api, engine, context, clock, shutdown, files } = self;
        shutdown.trigger();
        *api.watch.lock() = None;
        let kubelet = Arc::downgrade(&context);
        drop(context);
        // Paused time goes on only when nothing runs: neither a task of the dead, nor a thread that it had write to the disk.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(kubelet.strong_count(), 0, "two kubelets must not work on the same files");
        Self::on(api, engine, clock, files)
    }

    fn create(&self, spec: &str) -> Pod {
        self.create_with(spec, &[])
    }

    fn create_with(&self, spec: &str, annotations: &[(&str, &str)]) -> Pod {
        self.create_because(spec, annotations, TraceContext::NONE)
    }

    fn create_because(&self, spec: &str, annotations: &[(&str, &str)], context: TraceContext) -> Pod {
        let json: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
        let mut pod = Pod { spec: serde_json::from_value(json).unwrap(), ..Pod::default() };
        pod.metadata.name = "web".to_owned();
        pod.metadata.namespace = "default".to_owned();
        pod.metadata.uid = format!("uid-{}", *self.api.revision.lock());
        pod.spec.node_name = "n1".to_owned();
        let prefixed = |(k, v): &(&str, &str)| (format!("sim.traceplane.dev/{k}"), (*v).to_owned());
        pod.metadata.annotations = annotations.iter().map(prefixed).collect();
        self.api.put_because(pod, context)
    }

    fn change(&self, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.api.pods.lock().get("web").cloned().expect("the pod exists");
        change(&mut pod);
        self.api.put(pod);
    }

    fn delete_because(&self, grace: i64, context: TraceContext) {
        let mut pod = self.api.pods.lock().get("web").cloned().expect("the pod exists");
        pod.metadata.deletion_timestamp = Some(self.clock.now().into());
        pod.metadata.deletion_grace_period_seconds = Some(grace);
        self.api.put_because(pod, context);
    }

    fn delete(&self, grace: i64) {
        self.delete_because(grace, TraceContext::NONE);
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
