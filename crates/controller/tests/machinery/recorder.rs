//! Events, from their recording to the apiserver.

use crate::objects::{Fate, Objects};
use api::Error;
use api::core::v1::{Event, Pod};
use client::Api;
use service_kit::{Shutdown, Supervisor};
use std::time::Duration;
use telemetry::TraceContext;
use testkit::objects::pod;
use testkit::scripted::{Network, ScriptedApiserver, ScriptedCall};
use tokio::time::{Instant, sleep};
use traceplane_controller::EventType::{Normal, Warning};
use traceplane_controller::{Recorder, TRACE_ID};

const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    recorder: Recorder,
    events: Objects<Event>,
    network: Network,
    supervisor: Supervisor,
    shutdown: Shutdown,
}

impl Scene {
    fn start() -> Scene {
        Scene::start_with(|_| Fate::Served)
    }

    fn start_with(fate: impl FnMut(&ScriptedCall) -> Fate + Send + 'static) -> Scene {
        let (client, server) = ScriptedApiserver::start();
        let (events, network, shutdown) = (Objects::new(), server.network(), Shutdown::new());
        events.serve(server, fate);
        let supervisor = Supervisor::new(&shutdown);
        let recorder = Recorder::start(Api::all(client), "kubelet", "node-1", &supervisor, &shutdown);
        Scene { recorder, events, network, supervisor, shutdown }
    }

    fn say(&self, message: &str) {
        self.recorder.record(&web(), Normal, "Pulled", message);
    }

    /// The messages in the order in which they were written, with their counts.
    fn messages(&self) -> Vec<(String, i32)> {
        let mut events = self.events.list();
        events.sort_by_key(|event| event.metadata.resource_version.parse::<u64>().unwrap());
        events.into_iter().map(|event| (event.message, event.count)).collect()
    }

    async fn stop(&self) -> Duration {
        let start = Instant::now();
        self.shutdown.trigger();
        self.supervisor.wait(10 * SECOND).await.unwrap();
        start.elapsed()
    }
}

fn web() -> Pod {
    let mut pod = pod("web", "nginx");
    pod.metadata.uid = "uid".to_owned();
    pod.metadata.resource_version = "7".to_owned();
    pod
}

#[tokio::test(start_paused = true)]
async fn an_event_says_who_saw_what_when_and_in_which_trace() {
    let spans = telemetry::testing::Recorder::new();
    let _current = spans.install();
    let scene = Scene::start();
    let work = telemetry::self_started_span("work", &TraceContext::NONE);
    work.in_scope(|| {
        scene.recorder.on_host("node-2").record_at(&web(), "spec.containers{main}", Warning, "BackOff", "Back-off");
    });
    sleep(SECOND).await;
    let event = scene.events.only();
    let (meta, about) = (&event.metadata, &event.involved_object);
    assert!(meta.namespace == "default" && meta.name.starts_with("web."), "{meta:?}");
    assert_eq!(meta.annotations[TRACE_ID], TraceContext::of(&work).trace_id());
    assert_eq!((about.api_version.as_str(), about.kind.as_str(), about.name.as_str()), ("v1", "Pod", "web"));
    assert_eq!((about.uid.as_str(), about.resource_version.as_str()), ("uid", "7"));
    assert_eq!(about.field_path, "spec.containers{main}");
    assert_eq!((event.source.component.as_str(), event.source.host.as_str()), ("kubelet", "node-2"));
    assert_eq!(
        (event.reason.as_str(), event.message.as_str(), event.r#type.as_str()),
        ("BackOff", "Back-off", "Warning")
    );
    assert_eq!((event.count, event.first_timestamp), (1, event.last_timestamp));
    drop(work);
    assert_eq!(spans.spans().len(), 1, "writing makes no spans: {spans}");
}

#[tokio::test(start_paused = true)]
async fn repetitions_raise_the_count_and_an_event_that_is_gone_is_made_anew() {
    let scene = Scene::start();
    (0..4).for_each(|_| scene.say("again"));
    scene.say("other");
    sleep(SECOND).await;
    assert_eq!(scene.messages(), [("again".to_owned(), 4), ("other".to_owned(), 1)]);
    assert_eq!(scene.events.calls(), ["Create", "Patch", "Patch", "Patch", "Create"]);
    let first = scene.events.list().remove(0);
    scene.events.clear();
    scene.say("again");
    sleep(SECOND).await;
    let anew = scene.events.only();
    assert_eq!((anew.count, anew.first_timestamp), (5, first.first_timestamp));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_reordered_while_the_apiserver_is_away() {
    let scene = Scene::start();
    scene.say("before");
    sleep(SECOND).await;
    scene.network.down();
    (0..8).for_each(|number| scene.say(&format!("meanwhile {number}")));
    sleep(60 * SECOND).await;
    scene.network.up();
    sleep(15 * SECOND).await;
    let expected: Vec<(String, i32)> = std::iter::once("before".to_owned())
        .chain((0..8).map(|number| format!("meanwhile {number}")))
        .map(|message| (message, 1))
        .collect();
    assert_eq!(scene.messages(), expected);
    assert_eq!(scene.recorder.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_makes_no_second_event() {
    let mut calls = 0;
    let scene = Scene::start_with(move |_| {
        calls += 1;
        if calls % 2 == 1 { Fate::Unanswered } else { Fate::Served }
    });
    scene.say("again");
    scene.say("again");
    sleep(60 * SECOND).await;
    assert_eq!(scene.messages(), [("again".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_apiserver_refuses_is_not_tried_again_and_holds_up_nothing() {
    let scene = Scene::start_with(|call| {
        let event = call.request::<api::rpc::CreateRequest<Event>>().object;
        match event.message.as_str() {
            "refused" => Fate::Refused(Error::forbidden("", "events", "", "the namespace is being terminated")),
            _ => Fate::Served,
        }
    });
    scene.say("refused");
    scene.say("taken");
    sleep(SECOND).await;
    assert_eq!(scene.messages(), [("taken".to_owned(), 1)]);
    assert_eq!(scene.events.calls(), ["Create", "Create"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_written_is_given_up_in_the_end() {
    let scene = Scene::start_with(|call| {
        let event = call.request::<api::rpc::CreateRequest<Event>>().object;
        if event.message == "stuck" { Fate::Refused(Error::unavailable("overload")) } else { Fate::Served }
    });
    let start = Instant::now();
    scene.say("stuck");
    scene.say("next");
    while scene.messages().is_empty() {
        sleep(SECOND).await;
    }
    assert!(start.elapsed() > 60 * SECOND && start.elapsed() < 180 * SECOND, "{:?}", start.elapsed());
    assert_eq!(scene.messages(), [("next".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts_and_never_blocks() {
    let scene = Scene::start();
    scene.network.down();
    (0..1100).for_each(|number| scene.say(&format!("message {number}")));
    assert_eq!(scene.recorder.dropped(), 100);
}

#[tokio::test(start_paused = true)]
async fn shutdown_writes_what_is_queued_and_what_stopping_tasks_record() {
    let scene = Scene::start();
    scene.say("before");
    scene.shutdown.trigger();
    sleep(SECOND / 10).await;
    scene.say("while stopping");
    let took = scene.stop().await;
    assert_eq!(scene.messages(), [("before".to_owned(), 1), ("while stopping".to_owned(), 1)]);
    assert!(took < SECOND / 2, "{took:?}");
    scene.say("too late");
    assert_eq!(scene.recorder.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_an_apiserver_that_is_away() {
    for hangs in [true, false] {
        let scene =
            Scene::start_with(
                move |_| {
                    if hangs { Fate::Unanswered } else { Fate::Refused(Error::unavailable("starting")) }
                },
            );
        (0..5).for_each(|number| scene.say(&format!("message {number}")));
        sleep(SECOND).await;
        let took = scene.stop().await;
        assert!(took <= 2 * SECOND, "{took:?}");
    }
}
