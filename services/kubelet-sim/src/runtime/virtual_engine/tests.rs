//! The engine under paused time, as a pod worker drives it: through CRI only.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::*;
use crate::cri::{ContainerEventType as Event, ContainerState};
use crate::runtime::{Events, Handler, ImageService, PodAccess, Purpose, RuntimeService, Target, Verdict};

const CIDR: &str = "10.244.3.0/24";

/// An engine with a pod network, and one pod's configuration.
pub(super) struct Fixture {
    pub(super) engine: Arc<VirtualEngine>,
    pub(super) pod: cri::PodSandboxConfig,
}

impl Fixture {
    pub(super) async fn new(annotations: &[(&str, &str)]) -> Self {
        Self::on(engine(None), annotations).await
    }

    pub(super) async fn on(engine: Arc<VirtualEngine>, annotations: &[(&str, &str)]) -> Self {
        let network_config = Some(cri::NetworkConfig { pod_cidr: CIDR.to_owned() });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
        let annotations =
            annotations.iter().map(|(k, v)| (format!("sim.traceplane.dev/{k}"), (*v).to_owned())).collect();
        let metadata =
            cri::PodSandboxMetadata { name: "web".into(), uid: "u1".into(), namespace: "default".into(), attempt: 0 };
        let hostname = "web-host".to_owned();
        Self {
            engine,
            pod: cri::PodSandboxConfig { metadata: Some(metadata), hostname, annotations, ..Default::default() },
        }
    }

    pub(super) async fn sandbox(&self) -> String {
        let request = cri::RunPodSandboxRequest { config: Some(self.pod.clone()), runtime_handler: String::new() };
        self.engine.run_pod_sandbox(request).await.unwrap()
    }

    pub(super) async fn pull(&self, image: &str) -> Result<String> {
        let image = Some(cri::ImageSpec { image: image.to_owned(), ..Default::default() });
        self.engine
            .pull_image(cri::PullImageRequest { image, auth: None, sandbox_config: Some(self.pod.clone()) })
            .await
    }

    pub(super) async fn create(&self, sandbox: &str, image: &str, command: &[&str]) -> Result<String> {
        let config = cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(cri::ImageSpec { image: image.to_owned(), ..Default::default() }),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            ..Default::default()
        };
        let (config, sandbox_config) = (Some(config), Some(self.pod.clone()));
        self.engine
            .create_container(cri::CreateContainerRequest {
                pod_sandbox_id: sandbox.to_owned(),
                config,
                sandbox_config,
            })
            .await
    }

    /// A running container of an image that was pulled.
    pub(super) async fn running(&self, image: &str, command: &[&str]) -> String {
        self.pull(image).await.unwrap();
        let sandbox = self.sandbox().await;
        let id = self.create(&sandbox, image, command).await.unwrap();
        self.engine.start_container(&id).await.unwrap();
        id
    }

    pub(super) async fn status(&self, id: &str) -> cri::ContainerStatus {
        self.engine.container_status(id).await.unwrap()
    }

    pub(super) async fn ask(&self, id: &str, handler: &Handler, purpose: Purpose) -> Verdict {
        let target = Target { container_id: id.to_owned(), pod_ip: "10.244.3.1".to_owned() };
        self.engine.run(&target, handler, purpose, Some(Duration::from_secs(1))).await.unwrap()
    }
}

pub(super) fn engine(journal: Option<(Journal, &mut Recovered)>) -> Arc<VirtualEngine> {
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), clock, journal)
}

async fn next(events: &mut Events) -> (Event, cri::ContainerEventResponse) {
    let event = events.next().await.unwrap().unwrap();
    (event.container_event_type(), event)
}

pub(super) fn get(path: &str) -> Handler {
    Handler::HttpGet { url: format!("http://10.244.3.1:80{path}"), headers: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn a_pod_goes_through_its_life_and_every_change_is_told_in_order() {
    let it = Fixture::new(&[]).await;
    let mut events = it.engine.events().await.unwrap();
    let id = it.running("nginx", &[]).await;
    let status = it.status(&id).await;
    assert_eq!(status.state(), ContainerState::ContainerRunning);
    assert_eq!(status.image.unwrap().image, "docker.io/library/nginx:latest");
    assert!(status.image_ref.starts_with("docker.io/library/nginx@sha256:"));

    it.engine.stop_container(&id, 30).await.unwrap();
    let status = it.status(&id).await;
    assert_eq!(
        (status.state(), status.exit_code, status.reason.as_str()),
        (ContainerState::ContainerExited, 0, "Completed")
    );

    let sandbox = it.engine.list_pod_sandbox(None).await.unwrap().remove(0).id;
    it.engine.remove_pod_sandbox(&sandbox).await.unwrap();
    it.engine.remove_pod_sandbox(&sandbox).await.expect("removing is idempotent");

    let expected = [
        (Event::ContainerStartedEvent, &sandbox),
        (Event::ContainerCreatedEvent, &id),
        (Event::ContainerStartedEvent, &id),
        (Event::ContainerStoppedEvent, &id),
        (Event::ContainerStoppedEvent, &sandbox),
        (Event::ContainerDeletedEvent, &sandbox),
    ];
    for (kind, what) in expected {
        let (got, event) = next(&mut events).await;
        assert_eq!((got, &event.container_id), (kind, what));
        assert_eq!(event.pod_sandbox_status.unwrap().metadata.unwrap().uid, "u1", "every event names its pod");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_takes_an_address_and_gives_it_back() {
    let it = Fixture::new(&[]).await;
    let sandbox = it.sandbox().await;
    let address = |status: cri::PodSandboxStatusResponse| status.status.unwrap().network.map(|network| network.ip);
    assert_eq!(address(it.engine.pod_sandbox_status(&sandbox).await.unwrap()).as_deref(), Some("10.244.3.1"));
    it.engine.stop_pod_sandbox(&sandbox).await.unwrap();
    assert_eq!(address(it.engine.pod_sandbox_status(&sandbox).await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn d7_d8_term_is_heeded_or_the_kill_comes_when_time_is_up() {
    /// Name, image, command, timeout in seconds, exit code, time it takes in milliseconds.
    type Case = (&'static str, &'static str, &'static [&'static str], i64, i32, u64);
    let cases: [Case; 5] = [
        ("nginx stops politely", "nginx", &[], 30, 0, 20),
        ("a sleep ignores TERM as process 1 does", "busybox", &["sleep", "3600"], 30, 137, 30_002),
        ("no time at all is a kill", "nginx", &[], 0, 137, 2),
        ("whoever exits by himself first is not killed", "busybox", &["sleep", "5"], 30, 0, 5_000),
        ("a failing command shows its own code", "busybox", &["sh", "-c", "sleep 4; exit 7"], 30, 7, 4_000),
    ];
    for (name, image, command, timeout, code, takes) in cases {
        let it = Fixture::new(&[]).await;
        let id = it.running(image, command).await;
        let start = Instant::now();
        it.engine.stop_container(&id, timeout).await.unwrap();
        let took = u64::try_from(start.elapsed().as_millis()).unwrap();
        assert!((takes..=takes + 5).contains(&took), "{name}: took {took} ms");
        assert_eq!(it.status(&id).await.exit_code, code, "{name}");
        it.engine.stop_container(&id, timeout).await.expect("stopping is idempotent");
    }
}

#[tokio::test(start_paused = true)]
async fn d12_a_second_stop_shortens_the_first_and_never_lengthens_it() {
    let it = Fixture::new(&[("term-time", "ignore")]).await;
    let id = it.running("nginx", &[]).await;
    let start = Instant::now();
    let (engine, first) = (it.engine.clone(), id.clone());
    let first = tokio::spawn(async move { engine.stop_container(&first, 30).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (engine, longer) = (it.engine.clone(), id.clone());
    let longer = tokio::spawn(async move { engine.stop_container(&longer, 300).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    it.engine.stop_container(&id, 3).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5);
    for stop in [first, longer] {
        stop.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn containers_end_by_themselves_when_and_how_they_are_told_to() {
    let it = Fixture::new(&[("run-for", "2s"), ("exit-code", "137"), ("exit-reason", "OOMKilled")]).await;
    let mut events = it.engine.events().await.unwrap();
    let id = it.running("nginx", &[]).await;
    loop {
        let (kind, event) = next(&mut events).await;
        if kind == Event::ContainerStoppedEvent {
            assert_eq!(event.containers_statuses[0].reason, "OOMKilled");
            break;
        }
    }
    let status = it.status(&id).await;
    assert_eq!((status.finished_at - status.started_at) / 1_000_000, 2_000);
}

#[tokio::test(start_paused = true)]
async fn pulls_take_their_time_once_and_fail_as_they_are_told_to() {
    let it = Fixture::new(&[]).await;
    let timed = async |image: &str| {
        let start = Instant::now();
        let pulled = it.pull(image).await;
        (u64::try_from(start.elapsed().as_millis()).unwrap(), pulled)
    };
    let (first, second) = tokio::join!(timed("nginx"), timed("nginx"));
    assert_eq!((first.0, second.0), (600, 600), "two who want the same image share one pull");
    assert_eq!(timed("nginx").await.0, 20, "an image that is there is only compared with the registry's");
    let missing = timed("nginx:missing").await.1.unwrap_err();
    assert!(missing.is_not_found());
    assert!(
        missing.to_string().starts_with("rpc error: code = NotFound desc = failed to pull and unpack image"),
        "{missing}"
    );
    assert!(timed("registry.invalid/app").await.1.unwrap_err().message.contains("no such host"));
}

#[tokio::test(start_paused = true)]
async fn probes_see_a_container_come_up_live_and_fall_ill() {
    let it = Fixture::new(&[("ready-after", "3s"), ("ready-for", "4s"), ("live-for", "9s"), ("ports", "80")]).await;
    let id = it.running("nginx", &[]).await;
    let mut seen = Vec::new();
    for _ in 0..11 {
        let probe = async |purpose| it.ask(&id, &get("/"), purpose).await == Verdict::Success;
        seen.push((probe(Purpose::Startup).await, probe(Purpose::Readiness).await, probe(Purpose::Liveness).await));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let at = |from, to, age: usize| (from..to).contains(&age);
    let expected: Vec<_> = (0..11).map(|age| (at(3, 99, age), at(3, 7, age), at(0, 9, age))).collect();
    assert_eq!(seen, expected);
    let refused = it.ask(&id, &Handler::TcpSocket("10.244.3.1:8080".to_owned()), Purpose::Liveness).await;
    assert_eq!(refused, Verdict::Failure("dial tcp 10.244.3.1:8080: connect: connection refused".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn hooks_take_as_long_as_they_say_and_may_stop_the_container() {
    let it = Fixture::new(&[("pre-stop-time", "5s")]).await;
    let id = it.running("nginx", &[]).await;
    let exec = |line: &str| Handler::Exec(line.split(' ').map(str::to_owned).collect());
    let target = Target { container_id: id.clone(), pod_ip: String::new() };
    let start = Instant::now();
    let verdict = it.engine.run(&target, &exec("sleep 2"), Purpose::PostStart, None).await.unwrap();
    assert_eq!((verdict, start.elapsed().as_secs()), (Verdict::Success, 2), "as its command says");
    let verdict = it.engine.run(&target, &exec("/usr/sbin/nginx -s quit"), Purpose::PreStop, None).await.unwrap();
    assert_eq!((verdict, start.elapsed().as_secs()), (Verdict::Success, 7), "as the annotation says");
    assert_eq!(it.status(&id).await.state(), ContainerState::ContainerExited, "the hook asked it to quit");
    let late = it.engine.run(&target, &exec("true"), Purpose::PreStop, None).await;
    assert!(late.unwrap_err().message.contains("is not running"));
}

#[tokio::test(start_paused = true)]
async fn failures_that_annotations_ask_for_happen_where_they_should() {
    let broken = async |key: &'static str| Fixture::new(&[(key, "no luck")]).await;
    let it = broken("sandbox-error").await;
    let request = cri::RunPodSandboxRequest { config: Some(it.pod.clone()), ..Default::default() };
    assert_eq!(it.engine.run_pod_sandbox(request).await.unwrap_err().message, "no luck");

    let it = broken("create-error").await;
    it.pull("nginx").await.unwrap();
    assert_eq!(it.create(&it.sandbox().await, "nginx", &[]).await.unwrap_err().message, "no luck");

    let it = broken("start-error").await;
    it.pull("nginx").await.unwrap();
    let id = it.create(&it.sandbox().await, "nginx", &[]).await.unwrap();
    assert_eq!(it.engine.start_container(&id).await.unwrap_err().message, "no luck");
    let status = it.status(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str(), status.started_at), (128, "StartError", 0));

    let it = broken("inspect-error").await;
    let spec = cri::ImageSpec { image: "nginx".into(), annotations: it.pod.annotations.clone(), ..Default::default() };
    assert_eq!(it.engine.image_status(spec).await.unwrap_err().message, "no luck");

    let it = Fixture::new(&[("run-for", "a while")]).await;
    it.pull("nginx").await.unwrap_err();
    let mistake = it.pull("nginx").await.unwrap_err().message;
    assert!(mistake.starts_with("annotation sim.traceplane.dev/run-for: \"a while\" is not a time"), "{mistake}");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_does_not_keep_up_is_cut_off_and_others_are_not() {
    let it = Fixture::new(&[]).await;
    let mut slow = it.engine.events().await.unwrap();
    let mut quick = it.engine.events().await.unwrap();
    let mut seen = 0;
    for _ in 0..SUBSCRIBER_BUFFER / 2 + 1 {
        let sandbox = it.sandbox().await;
        it.engine.remove_pod_sandbox(&sandbox).await.unwrap();
        for _ in 0..3 {
            next(&mut quick).await;
            seen += 1;
        }
    }
    assert!(seen > SUBSCRIBER_BUFFER);
    let mut got = 0;
    while slow.next().await.is_some() {
        got += 1;
    }
    assert_eq!(got, SUBSCRIBER_BUFFER, "then the stream ended, so that it lists");
}

#[tokio::test(start_paused = true)]
async fn containers_outlive_the_process_and_keep_their_appointments() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    let catalogue = Arc::new(Catalogue::built_in());
    let (journal, mut recovered) = Journal::open(directory.path()).unwrap();
    let first = VirtualEngine::new("n1", catalogue.clone(), clock.clone(), Some((journal.clone(), &mut recovered)));
    let it = Fixture::on(first, &[]).await;
    let forever = it.running("nginx", &[]).await;
    let brief = it.running("busybox", &["sleep", "5"]).await;
    let before = it.status(&forever).await;
    journal.flush().await;
    drop((it, journal));

    // The writer lets go of the directory when the last handle is gone, which another thread sees a moment later.
    let (journal, mut recovered) = loop {
        match Journal::open(directory.path()) {
            Ok(opened) => break opened,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let second = VirtualEngine::new("n1", catalogue, clock, Some((journal, &mut recovered)));
    let it = Fixture::on(second, &[]).await;
    assert_eq!(it.status(&forever).await, before, "same id, same start");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let status = it.status(&brief).await;
    assert_eq!((status.finished_at - status.started_at) / 1_000_000, 5_000);
    let addresses: Vec<_> = {
        let sandbox = it.sandbox().await;
        it.engine
            .pod_sandbox_status(&sandbox)
            .await
            .unwrap()
            .status
            .unwrap()
            .network
            .map(|n| n.ip)
            .into_iter()
            .collect()
    };
    assert_eq!(addresses, ["10.244.3.3"], "addresses in use are not given twice");
    assert!(it.engine.list_images().await.unwrap().len() >= 2, "images stay on the node");
}

/// S3 NetworkPluginNotReady, DockerDaemonNotReady
#[tokio::test(start_paused = true)]
async fn s3_a_runtime_that_is_not_up_yet_says_so_and_does_nothing() {
    let mut catalogue = Catalogue::built_in();
    catalogue.runtime.set_all("runtime-ready-after=5s,network-ready-after=10s").unwrap();
    let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
    let it = Fixture::on(VirtualEngine::new("n1", Arc::new(catalogue), clock, None), &[]).await;
    let complaints = async || {
        let conditions = it.engine.status().await.unwrap().status.unwrap().conditions;
        conditions.into_iter().filter(|c| !c.status).map(|c| format!("{} {}", c.r#type, c.reason)).collect::<Vec<_>>()
    };
    assert_eq!(complaints().await, ["RuntimeReady DockerDaemonNotReady", "NetworkReady NetworkPluginNotReady"]);
    let request = cri::RunPodSandboxRequest { config: Some(it.pod.clone()), ..Default::default() };
    assert_eq!(it.engine.run_pod_sandbox(request).await.unwrap_err().code, tonic::Code::Unavailable);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(complaints().await, ["NetworkReady NetworkPluginNotReady"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(complaints().await.is_empty());
    it.running("nginx", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn usage_follows_its_steps_and_too_much_memory_ends_the_process() {
    let settings = [("cpu-usage", "100m, 10s:2"), ("memory-usage", "20Mi, 30s:100Mi"), ("disk-usage", "5s:1Gi")];
    let it = Fixture::new(&settings).await;
    it.pull("nginx").await.unwrap();
    let sandbox = it.sandbox().await;
    let resources = cri::LinuxContainerResources { memory_limit_in_bytes: 64 << 20, ..Default::default() };
    let config = cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(cri::ImageSpec { image: "nginx".into(), ..Default::default() }),
        linux: Some(cri::LinuxContainerConfig { resources: Some(resources), ..Default::default() }),
        ..Default::default()
    };
    let request = cri::CreateContainerRequest { pod_sandbox_id: sandbox, config: Some(config), sandbox_config: None };
    let id = it.engine.create_container(request).await.unwrap();
    it.engine.start_container(&id).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let filter = |id: &str| Some(cri::ContainerStatsFilter { id: id.to_owned(), ..Default::default() });
    let stats = it.engine.list_container_stats(filter(&id)).await.unwrap().remove(0);
    let (cpu, memory) = (stats.cpu.unwrap(), stats.memory.unwrap());
    let value = |value: Option<cri::UInt64Value>| value.unwrap().value;
    assert_eq!(value(cpu.usage_nano_cores), 2_000_000_000);
    assert_eq!(value(cpu.usage_core_nano_seconds) / 1_000_000, 1_000 + 10_000, "10 s of a tenth, 5 s of two");
    assert_eq!((value(memory.working_set_bytes), value(memory.available_bytes)), (20 << 20, 44 << 20));
    assert_eq!(value(stats.writable_layer.unwrap().used_bytes), 1 << 30);
    assert!(it.engine.list_container_stats(filter("other")).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(16)).await;
    let status = it.status(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
    assert_eq!((status.finished_at - status.started_at) / 1_000_000_000, 30);
    assert!(it.engine.list_container_stats(None).await.unwrap().is_empty(), "what is over uses nothing");
}

#[tokio::test(start_paused = true)]
async fn exit_codes_change_from_attempt_to_attempt_and_probes_from_time_to_time() {
    let it = Fixture::new(&[("run-for", "1s"), ("exit-code", "1,1,0")]).await;
    it.pull("nginx").await.unwrap();
    let sandbox = it.sandbox().await;
    for (attempt, code) in [(0, 1), (1, 1), (2, 0), (7, 0)] {
        let config = cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: "main".into(), attempt }),
            image: Some(cri::ImageSpec { image: "nginx".into(), ..Default::default() }),
            ..Default::default()
        };
        let (pod_sandbox_id, config) = (sandbox.clone(), Some(config));
        let request = cri::CreateContainerRequest { pod_sandbox_id, config, sandbox_config: None };
        let id = it.engine.create_container(request).await.unwrap();
        it.engine.start_container(&id).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(it.status(&id).await.exit_code, code, "attempt {attempt}");
    }

    let it = Fixture::new(&[("readiness", "2s:pass 4s:fail 6s:hang 8s:pass"), ("liveness", "5s:fail")]).await;
    let id = it.running("nginx", &[]).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let page = get("/");
        let (ready, alive) = (it.ask(&id, &page, Purpose::Readiness), it.ask(&id, &page, Purpose::Liveness));
        let text = |verdict: Verdict| match verdict {
            Verdict::Failure(text) => text.rsplit(": ").next().unwrap_or_default().to_owned(),
            _ => "fine".to_owned(),
        };
        let (ready, alive) = tokio::join!(ready, alive);
        seen.push((text(ready), text(alive)));
        let age = i64::try_from(seen.len()).unwrap() * 2_000_000_000;
        let next = it.status(&id).await.started_at + age;
        tokio::time::sleep(Duration::from_nanos(u64::try_from(next - it.engine.now()).unwrap())).await;
    }
    let fine = "fine";
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    let expected = [("connection refused", fine), (fine, fine), ("500", fine), (late, "500"), (fine, "500")];
    assert_eq!(seen, expected.map(|(ready, alive)| (ready.to_owned(), alive.to_owned())));
}
