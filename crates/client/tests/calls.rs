//! What a call does when the server does not simply answer: attempts, deadlines, spans. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use api::core::v1::Pod;
use api::meta::v1::{DeleteOptions, ListOptions};
use api::rpc::List;
use api::{Error, Reason};
use std::time::Duration;
use telemetry::TraceContext;
use telemetry::testing::Recorder;
use testkit::objects::pod;
use testkit::scripted::ScriptedApiserver;
use tokio::time::Instant;

use traceplane_client::{Api, Client, WatchEvent};

fn pods(client: Client) -> Api<Pod> {
    Api::namespaced(client, "default")
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_again_until_the_server_is_back() {
    let (client, mut server) = ScriptedApiserver::start();
    let reading = tokio::spawn(async move { pods(client).get("web").await });
    for _ in 0..3 {
        server.expect::<Pod>("Get").await.refuse(&Error::unavailable("the store does not answer"));
    }
    server.expect::<Pod>("Get").await.answer(&pod("web", "nginx"));
    assert_eq!(reading.await.unwrap().unwrap().metadata.name, "web");
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_as_long_as_the_server_asks_and_not_for_ever() {
    let (client, mut server) = ScriptedApiserver::start();
    let start = Instant::now();
    let reading = tokio::spawn(async move { pods(client).list(ListOptions::default()).await });
    for attempt in 0..5 {
        let call = server.expect::<Pod>("List").await;
        let waited = start.elapsed();
        assert!(waited >= Duration::from_secs(2 * attempt), "attempt {attempt} came after {waited:?}");
        call.refuse(&Error::too_many_requests("busy", 2));
    }
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!((error.reason, error.message.as_str()), (Reason::TooManyRequests, "busy"));
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_attempt_of_a_read_starts_later_than_ten_seconds_after_the_first() {
    let (client, mut server) = ScriptedApiserver::start();
    let start = Instant::now();
    let reading = tokio::spawn(async move { pods(client).list(ListOptions::default()).await });
    for _ in 0..2 {
        server.expect::<Pod>("List").await.refuse(&Error::too_many_requests("busy", 7));
    }
    assert_eq!(reading.await.unwrap().unwrap_err().reason, Reason::TooManyRequests);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_in_doubt_is_not_repeated_and_one_turned_away_is() {
    let (client, mut server) = ScriptedApiserver::start();
    let create = || {
        let pods = pods(client.clone());
        tokio::spawn(async move { pods.create(&pod("web", "nginx")).await })
    };
    let creating = create();
    server.expect::<Pod>("Create").await.refuse(&Error::unavailable("which may have happened").retry_after(1));
    assert_eq!(creating.await.unwrap().unwrap_err().reason, Reason::ServiceUnavailable);
    assert!(server.is_quiet_for(Duration::from_secs(60)).await, "it may have happened");

    let creating = create();
    server.expect::<Pod>("Create").await.refuse(&Error::too_many_requests("busy", 1));
    server.expect::<Pod>("Create").await.answer(&pod("web", "nginx"));
    creating.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_made_again() {
    let (client, mut server) = ScriptedApiserver::start();
    let network = server.network();
    let (reader, writer) = (pods(client.clone()), pods(client));
    let reading = tokio::spawn(async move { reader.get("web").await });
    let lost = server.expect::<Pod>("Get").await;
    network.cut();
    server.expect::<Pod>("Get").await.answer(&pod("web", "nginx"));
    reading.await.unwrap().unwrap();
    drop(lost);

    let writing = tokio::spawn(async move { writer.delete("web", DeleteOptions::default()).await });
    let lost = server.expect::<Pod>("Delete").await;
    network.cut();
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!(error.reason, Reason::ServiceUnavailable, "{error}");
    assert!(error.message.contains("https://scripted:6443"), "{error}");
    drop(lost);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_given_up_soon() {
    let (client, server) = ScriptedApiserver::start();
    server.network().down();
    let start = Instant::now();
    let error = pods(client).get("web").await.unwrap_err();
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert!(error.message.starts_with("cannot reach apiserver at https://scripted:6443"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_call_hangs() {
    let (client, mut server) = ScriptedApiserver::start();
    let start = Instant::now();
    let writing = tokio::spawn({
        let pods = pods(client.clone());
        async move { pods.create(&pod("web", "nginx")).await }
    });
    let hanging = server.expect::<Pod>("Create").await;
    assert_eq!(hanging.headers.get("grpc-timeout").unwrap(), "60000000u", "the server knows when to stop");
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!((error.reason, start.elapsed().as_secs()), (Reason::Timeout, 60), "{error}");
    assert!(error.message.contains("https://scripted:6443"), "{error}");

    let start = Instant::now();
    let watching = tokio::spawn({
        let pods = pods(client.clone().with_timeout(Duration::from_secs(5)));
        async move { pods.watch(ListOptions::default()).await.map(drop) }
    });
    let hanging = server.expect::<Pod>("Watch").await;
    assert_eq!(hanging.headers.get("grpc-timeout"), None, "an accepted watch has no deadline");
    let error = watching.await.unwrap().unwrap_err();
    assert_eq!((error.reason, start.elapsed().as_secs()), (Reason::Timeout, 5), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_hands_over_objects_causes_and_bookmarks() {
    let (client, mut server) = ScriptedApiserver::start();
    let opening = tokio::spawn(async move { pods(client).watch(ListOptions::default()).await });
    let script = server.watch::<Pod>().await;
    let mut watch = opening.await.unwrap().unwrap();
    let mut web = pod("web", "nginx");
    web.metadata.resource_version = "7".to_owned();
    script.added(&web);
    script.bookmark(9);
    script.initial_events_end(10);
    script.fail(&Error::expired("too old resource version: 10 (12)"));
    let Some(Ok(WatchEvent::Added(object, cause))) = watch.next().await else { panic!("the pod comes first") };
    assert_eq!((object.metadata.name.as_str(), cause.revision), ("web", 7));
    assert_eq!(cause.context, TraceContext::parse(&testkit::scripted::traceparent(7), ""));
    for (revision, end) in [("9", false), ("10", true)] {
        let Some(Ok(WatchEvent::Bookmark { resource_version, initial_events_end })) = watch.next().await else {
            panic!("then the bookmarks")
        };
        assert_eq!((resource_version.as_str(), initial_events_end), (revision, end));
    }
    assert_eq!(watch.next().await.unwrap().unwrap_err().reason, Reason::Expired);
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_a_span_with_its_number() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (client, mut server) = ScriptedApiserver::start();
    let work = telemetry::self_started_span("work", &TraceContext::NONE);
    let reading = tokio::spawn(tracing::Instrument::instrument(
        async move { pods(client).list(ListOptions::default()).await },
        work.clone(),
    ));
    server.expect::<Pod>("List").await.refuse(&Error::unavailable("starting"));
    let second = server.expect::<Pod>("List").await;
    let sent = TraceContext::parse(second.headers["traceparent"].to_str().unwrap(), "");
    second.answer(&List::<Pod>::default());
    reading.await.unwrap().unwrap();
    drop(work);
    let attempts = recorder.named("traceplane.v1.Pods/List");
    assert_eq!(attempts.len(), 2, "{recorder}");
    assert!(attempts[0].error.is_some() && attempts[1].error.is_none(), "{recorder}");
    assert_eq!(attempts[1].attr(telemetry::attr::ATTEMPT), Some("2"));
    assert_eq!(attempts[1].context, sent, "the server continues the attempt that it answers");
}

#[tokio::test(start_paused = true)]
async fn an_untraced_client_asks_for_no_spans() {
    let (client, mut server) = ScriptedApiserver::start();
    let reading = tokio::spawn(async move { pods(client).untraced().get("web").await });
    let call = server.expect::<Pod>("Get").await;
    assert_eq!(call.headers.get("traceplane-trace").unwrap(), "off");
    assert_eq!(call.headers.get("traceparent"), None);
    call.answer(&pod("web", "nginx"));
    reading.await.unwrap().unwrap();
}
