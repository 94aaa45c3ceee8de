//! The spans of reads and writes, and that a commit's span is the cause that it records.

// Helpers of tests, too, may fail by panicking.
#![allow(clippy::unwrap_used)]

use opentelemetry::trace::FutureExt;
use store::conformance::{by, next, origin, value};
use store::{Error, ListOptions, MemoryStore, Revision, Store, Traced, WriteContext};
use telemetry::testing::Recorder;
use telemetry::{Step, TraceContext, attr, self_started_span};
use tracing::Instrument;

const KEY: &str = "/registry/pods/default/a";

fn store() -> (MemoryStore, Traced<MemoryStore>) {
    let memory = MemoryStore::new();
    (memory.clone(), Traced::new(memory))
}

fn commit() -> WriteContext {
    WriteContext { step: Some("pod.create.2e".parse::<Step>().unwrap()), ..WriteContext::default() }
}

#[tokio::test]
async fn a_commit_is_a_span_with_its_revision_and_the_cause_of_what_it_wrote() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (_, store) = store();
    let mut watch = store.watch(Revision::new(1)).await.unwrap();
    let request = self_started_span("request", &TraceContext::NONE);
    let caller = TraceContext::of(&request);

    let revisions = async {
        let created = store.create(KEY, value("one"), &commit()).await.unwrap();
        let updated = store.update(KEY, created, value("two"), &commit()).await.unwrap();
        [created, updated, store.delete(KEY, updated, &commit()).await.unwrap()]
    }
    .instrument(request)
    .await;

    let spans = recorder.named("etcd txn");
    assert_eq!(spans.len(), 3);
    for (span, revision) in spans.iter().zip(revisions) {
        assert!(span.is_child_of(&caller), "{span}");
        assert_eq!(span.attr(attr::REVISION), Some(revision.to_string().as_str()));
        assert_eq!(span.step(), commit().step);
        assert_eq!(span.error, None);

        let batch = next(&mut watch).await;
        let cause = &batch.events[0].cause;
        assert_eq!((batch.revision, &cause.context), (revision, &span.context));
        let committed = cause.committed_at.unwrap();
        let (start, end): (jiff::Timestamp, jiff::Timestamp) =
            (span.start.try_into().unwrap(), span.end.try_into().unwrap());
        assert!(start <= committed && committed <= end, "{start} {committed} {end}");
    }
}

#[tokio::test]
async fn reads_are_spans_and_expected_outcomes_are_no_errors() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (memory, store) = store();
    async {
        store.get(KEY).await.unwrap();
        store.list("/registry/pods/", ListOptions::default()).await.unwrap();
        let revision = store.create(KEY, value("one"), &commit()).await.unwrap();
        store.create(KEY, value("one"), &commit()).await.unwrap_err();
        store.update(KEY, Revision::new(1), value("two"), &commit()).await.unwrap_err();
        memory.set_available(false);
        store.delete(KEY, revision, &commit()).await.unwrap_err();
    }
    .instrument(self_started_span("request", &TraceContext::NONE))
    .await;

    let keys: Vec<_> =
        recorder.named("etcd range").iter().map(|span| span.attr(attr::STORE_KEY).unwrap().to_owned()).collect();
    assert_eq!(keys, [KEY, "/registry/pods/"]);
    let outcomes: Vec<_> = recorder
        .named("etcd txn")
        .iter()
        .map(|span| {
            (span.attr(attr::ERROR_TYPE).unwrap_or("none").to_owned(), span.error.is_some(), span.step().is_some())
        })
        .collect();
    // A step says that something was committed: an attempt that was turned away is none.
    let expected = [
        ("none", false, true),
        ("AlreadyExists", false, false),
        ("Conflict", false, false),
        ("ServiceUnavailable", true, false),
    ];
    assert_eq!(outcomes, expected.map(|(reason, failed, step)| (reason.to_owned(), failed, step)));
}

#[tokio::test]
async fn a_write_in_doubt_is_still_the_step_that_its_effects_hang_on() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (memory, store) = store();
    memory.lose_answers_to_writes();
    let context = commit();
    let write = store.create(KEY, value("one"), &context);
    let error = write.instrument(self_started_span("request", &TraceContext::NONE)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { in_doubt: true, .. }), "{error:?}");
    assert_eq!(recorder.only("etcd txn").step(), commit().step);
}

#[tokio::test]
async fn an_unsampled_write_makes_no_span_and_still_records_its_context() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (_, store) = store();
    let unsampled = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "");
    store.create(KEY, value("one"), &commit()).with_context(unsampled.to_otel()).await.unwrap();
    assert_eq!(store.get(KEY).await.unwrap().unwrap().cause.context, unsampled);

    // Outside of any context there is only what the caller brings.
    let error = store.create(KEY, value("one"), &by(1)).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }));
    store.create("/registry/pods/default/b", value("one"), &by(1)).await.unwrap();
    assert_eq!(store.get("/registry/pods/default/b").await.unwrap().unwrap().cause.context, origin(1));
    assert!(recorder.spans().is_empty(), "{recorder}");
}
