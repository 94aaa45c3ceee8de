//! What a write tells of who caused it (TRACES 1).

use super::*;
use api::coordination::v1::Lease;
use store::Traced;
use telemetry::testing::Recorder;
use telemetry::{ApiSteps, RequestDetail, Step, TRACEPARENT_ANNOTATION, TraceContext, self_started_span};
use tracing::Instrument;

async fn start() -> Server {
    let store = MemoryStore::new();
    Server::start_with(store.clone(), Arc::new(Traced::new(store)), Settings::default()).await
}

fn steps(verb: &str) -> RequestContext {
    let steps = ApiSteps::for_request("pods", verb, "", RequestDetail::default());
    RequestContext { steps, ..user("alice") }
}

#[tokio::test(start_paused = true)]
async fn t1_every_event_carries_the_transaction_that_caused_it_removals_included() {
    let recorder = Recorder::new();
    let _installed = recorder.install();
    let server = start().await;
    let mut events = server.watch::<Pod>("", ListOptions::default()).await;
    let (create, delete) = (steps("create"), steps("delete"));
    let request = self_started_span("create request", &TraceContext::NONE);
    let options = CreateOptions::default();
    server.pods().create(&create, "", pod("web"), &options).instrument(request).await.unwrap();
    let added = events.event().await;
    let request = self_started_span("delete request", &TraceContext::NONE);
    let deleted = server.pods().delete(&delete, "default", "web", &grace(0)).instrument(request).await.unwrap();
    assert!(deleted.removed);
    let gone = events.event().await;

    let commits = recorder.named("etcd txn");
    assert_eq!(commits.len(), 2);
    for (commit, event, step) in [(&commits[0], added, Step::PodCreate2e), (&commits[1], gone, Step::PodDelete9b)] {
        let cause = event.cause.unwrap();
        assert_eq!(commit.step(), Some(step));
        assert_eq!(cause.traceparent, commit.context.traceparent());
        assert_eq!(cause.revision.to_string(), event.object.metadata.resource_version);
        assert!(cause.commit_time.is_some());
    }
    let validate = recorder.only("validate");
    assert_eq!(validate.step(), Some(Step::PodCreate2d));
}

#[tokio::test(start_paused = true)]
async fn t1_an_object_names_the_trace_that_last_decided_what_it_shall_be() {
    let recorder = Recorder::new();
    let _installed = recorder.install();
    let server = start().await;
    let annotation = |metadata: &ObjectMeta| metadata.annotations.get(TRACEPARENT_ANNOTATION).cloned();
    let request = self_started_span("create", &TraceContext::NONE);
    let context = TraceContext::of(&request).traceparent();
    let created = server.create(deployment("web")).instrument(request).await;
    assert_eq!(annotation(&created.metadata), Some(context.clone()));

    let mut scaled = created.clone();
    scaled.status.replicas = 1;
    let request = self_started_span("status", &TraceContext::NONE);
    let reported = server.update_status(scaled.clone()).instrument(request).await.unwrap();
    assert_eq!(annotation(&reported.metadata), Some(context), "a status decides nothing");

    scaled.metadata.resource_version.clear();
    scaled.spec.replicas = Some(3);
    let request = self_started_span("scale", &TraceContext::NONE);
    let context = TraceContext::of(&request).traceparent();
    let updated = server.update(scaled).instrument(request).await.unwrap();
    assert_eq!(annotation(&updated.metadata), Some(context));
    assert_eq!(updated.metadata.generation, 2, "the annotation itself is no change of intent");

    let request = self_started_span("heartbeat", &TraceContext::NONE);
    let lease = Lease { metadata: metadata("node-1"), ..Lease::default() };
    assert_eq!(annotation(&server.create(lease).instrument(request).await.metadata), None);
}

#[tokio::test(start_paused = true)]
async fn t1_a_pod_that_is_being_deleted_names_the_trace_of_its_deletion() {
    let recorder = Recorder::new();
    let _installed = recorder.install();
    let server = start().await;
    server.running_pod("web").await;
    let request = self_started_span("delete", &TraceContext::NONE);
    let context = TraceContext::of(&request).traceparent();
    let deleted = server.delete("web", &DeleteOptions::default()).instrument(request).await.unwrap();
    assert_eq!(deleted.object.decode().metadata.annotations[TRACEPARENT_ANNOTATION], context);
}

#[tokio::test(start_paused = true)]
async fn t5_causes_survive_a_restart_of_the_apiserver() {
    let recorder = Recorder::new();
    let _installed = recorder.install();
    let first = start().await;
    let start = first.create(pod("before")).await.metadata.resource_version;
    let request = self_started_span("create", &TraceContext::NONE);
    first.create(pod("web")).instrument(request).await;
    let commit = recorder.only("etcd txn");
    let second = Server::start_on(first.store.clone()).await;
    drop(first);
    // A client resumes on the new server, from what it had seen on the old one.
    let options = ListOptions { resource_version: start, ..ListOptions::default() };
    let event = second.watch::<Pod>("", options).await.event().await;
    assert_eq!(event.object.metadata.name, "web");
    assert_eq!(event.cause.unwrap().traceparent, commit.context.traceparent());
}
