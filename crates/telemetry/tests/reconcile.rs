//! How a run of a controller continues, links to, or does without its causes.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use telemetry::span::client::Outgoing;
use telemetry::span::reconcile::RunSteps;
use telemetry::span::{ObjectRef, Timing, client, delivered, is_recording, runtime, store};
use telemetry::testing::Recorder;
use telemetry::{
    Cause, Causes, Reconcile, SpanExt, Step, TraceContext, TraceMode, attr, reconcile_span, self_started_span,
};
use traceplane_telemetry as telemetry;

const STEPS: RunSteps =
    RunSteps { watch: Some(Step::PodCreate3a), queue: Some(Step::PodCreate3b), sync: Some(Step::WorkloadApply2c) };

fn pod() -> ObjectRef<'static> {
    ObjectRef::pod("default", "web-1", "uid-1")
}

/// A write by somebody else, `revision` telling its trace and span from others'.
fn cause(revision: i64, sampled: bool) -> Cause {
    let flags = u8::from(sampled);
    let parent = format!("00-{:032x}-{:016x}-{flags:02x}", revision + 0x100, revision + 0x200);
    let received_at = Timestamp::now();
    Cause {
        context: TraceContext::parse(&parent, ""),
        revision,
        committed_at: Some(received_at - SignedDuration::from_millis(30)),
        received_at: Some(received_at),
        replayed: false,
    }
}

/// A run that waited 20 ms in its queue.
fn run(causes: &Causes) -> Reconcile<'_> {
    let started_at = Timestamp::now();
    Reconcile {
        timing: Timing { enqueued_at: Some(started_at - SignedDuration::from_millis(20)), started_at },
        steps: STEPS,
        ..Reconcile::new("deployment", pod(), causes)
    }
}

#[test]
fn a_run_is_a_child_of_its_newest_sampled_cause_and_links_to_the_others() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes: Causes = [cause(1, true), cause(2, true), cause(3, false)].into_iter().collect();
    let continued = cause(2, true).context;

    drop(reconcile_span(&run(&causes)));

    let sync = recorder.only("sync deployment");
    assert!(sync.is_child_of(&continued), "{sync}");
    let links: Vec<_> = sync.links.iter().map(TraceContext::span_id).collect();
    assert_eq!(links, [cause(3, false).context.span_id(), cause(1, true).context.span_id()]);
    assert_eq!(sync.attr(attr::CAUSES), Some("3"));
    assert_eq!(sync.attr(attr::REVISION), Some("2"));
    assert_eq!(sync.attr(attr::K8S_POD_NAME), Some("web-1"));
    assert_eq!(sync.attr(attr::K8S_NAMESPACE_NAME), Some("default"));
    assert_eq!(sync.step(), Some(Step::WorkloadApply2c));
}

#[test]
fn the_waits_before_a_run_are_spans_of_the_same_cause_with_their_own_times() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cause = cause(7, true);
    let causes = Causes::from(cause.clone());

    drop(reconcile_span(&run(&causes)));

    let (watch, queue) = (recorder.step(Step::PodCreate3a), recorder.step(Step::PodCreate3b));
    assert_eq!((watch.name.as_str(), queue.name.as_str()), ("watch", "queue"));
    assert!(watch.is_child_of(&cause.context) && queue.is_child_of(&cause.context));
    assert_eq!(watch.start, SystemTime::from(cause.committed_at.unwrap()));
    assert_eq!(watch.duration(), Duration::from_millis(30));
    assert_eq!(queue.duration(), Duration::from_millis(20));
    assert_eq!(watch.attr(attr::WATCH_LAG_MS), Some("30"));
    assert_eq!(watch.attr(attr::REVISION), Some("7"));
    assert_eq!(queue.attr(attr::QUEUE_WAIT_MS), Some("20"));
}

#[test]
fn no_span_of_a_run_starts_before_its_cause_was_committed() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let mut cause = cause(7, true);
    let committed_at = Timestamp::now();
    cause.committed_at = Some(committed_at);
    // The key had been waiting for another reason, and the receipt was stamped by a clock that lags.
    cause.received_at = Some(committed_at - SignedDuration::from_millis(5));
    let causes = Causes::from(cause);
    let mut run = run(&causes);
    run.timing.enqueued_at = Some(committed_at - SignedDuration::from_secs(60));

    drop(reconcile_span(&run));

    for span in recorder.spans() {
        assert!(span.start >= committed_at.into(), "{span} starts before its cause");
        assert!(span.end >= span.start, "{span} ends before it starts");
    }
    assert_eq!(recorder.only("watch").attr(attr::WATCH_LAG_MS), Some("0"));
}

#[test]
fn in_link_mode_every_run_is_a_consumer_root_with_links_only() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes: Causes = [cause(1, true), cause(2, true)].into_iter().collect();

    drop(reconcile_span(&Reconcile { mode: TraceMode::Link, ..run(&causes) }));

    let sync = recorder.only("sync deployment");
    assert_eq!((sync.parent.as_deref(), sync.kind.as_str(), sync.links.len()), (None, "consumer", 2));
    assert_eq!(recorder.spans().len(), 1, "the causes' traces do not grow:\n{recorder}");
    let events: Vec<_> =
        sync.events.iter().map(|(name, attributes)| (name.as_str(), &attributes[attr::STEP])).collect();
    assert_eq!(events, [("watch", &"pod.create.3a".to_owned()), ("queue", &"pod.create.3b".to_owned())]);
}

#[test]
fn a_retry_waits_again_but_receives_nothing_anew() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes = Causes::from(cause(1, true));

    drop(reconcile_span(&Reconcile { attempt: 2, ..run(&causes) }));

    assert_eq!(recorder.named("watch").len(), 0);
    assert_eq!(recorder.named("queue").len(), 1);
    assert_eq!(recorder.only("sync deployment").attr(attr::ATTEMPT), Some("2"));
}

#[test]
fn an_unsampled_cause_records_nothing_and_its_context_is_carried_on() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cause = cause(1, false);
    let causes = Causes::from(cause.clone());
    for mode in [TraceMode::Continue, TraceMode::Link] {
        let span = reconcile_span(&Reconcile { mode, ..run(&causes) });
        span.in_scope(|| {
            assert!(!is_recording());
            assert!(store::txn("/registry/pods/default/web-1").is_disabled());
            let current = TraceContext::current();
            assert_eq!(current.trace_id(), cause.context.trace_id());
            assert!(current.is_valid() && !current.is_sampled());
        });
    }
    assert_eq!(recorder.spans(), [], "{recorder}");
}

#[test]
fn a_run_without_cause_that_writes_nothing_makes_no_spans() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes = Causes::none();
    reconcile_span(&run(&causes)).in_scope(|| {
        assert!(store::txn("/registry/pods/default/web-1").is_disabled());
        assert!(headers_of(&client::outgoing("/traceplane.v1.Pods/Get", &Default::default())).is_none());
    });
    assert_eq!(recorder.spans(), [], "{recorder}");
}

#[test]
fn a_run_without_cause_that_writes_is_a_root_linked_to_the_last_known_cause() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let (causes, last_known) = (Causes::none(), cause(1, true).context);
    let sent = reconcile_span(&Reconcile { last_known: last_known.clone(), ..run(&causes) }).in_scope(|| {
        let call = client::outgoing("/traceplane.v1.Pods/Create", &Default::default());
        let read = client::outgoing("/traceplane.v1.Pods/Get", &Default::default());
        assert!(headers_of(&read).is_some(), "after a write the run is like any other");
        headers_of(&call).expect("a traceparent")
    });

    let root = recorder.only("sync deployment");
    assert_eq!(root.parent, None);
    assert_eq!(root.links.iter().map(TraceContext::span_id).collect::<Vec<_>>(), [last_known.span_id()]);
    let call = recorder.only("traceplane.v1.Pods/Create");
    assert!(call.is_child_of(&root.context), "{recorder}");
    assert_eq!(sent, call.context);
    assert_eq!(call.step(), Some(Step::PodCreate1));
}

#[test]
fn a_replayed_cause_is_continued_with_all_its_waits_only_where_work_is_left() {
    let replayed = Cause { replayed: true, ..cause(4, true) };
    let causes = Causes::from(replayed.clone());
    for (mode, names) in
        [(TraceMode::Continue, vec!["watch", "queue", "sync deployment"]), (TraceMode::Link, vec!["sync deployment"])]
    {
        let recorder = Recorder::new();
        let _current = recorder.install();
        drop(reconcile_span(&Reconcile { mode, ..run(&causes) }));
        assert_eq!(recorder.spans(), [], "nothing was left to do:\n{recorder}");

        reconcile_span(&Reconcile { mode, ..run(&causes) }).in_scope(telemetry::span::work_begins);
        let made: Vec<_> = recorder.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(made, names, "{mode}");
        let continues = mode == TraceMode::Continue;
        assert!(recorder.spans().iter().all(|span| span.is_child_of(&replayed.context) == continues), "{recorder}");
    }
}

#[test]
fn a_kubelet_that_finds_a_replayed_pod_not_running_works_in_its_trace() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes = Causes::from(Cause { replayed: true, ..cause(4, true) });
    reconcile_span(&run(&causes)).in_scope(|| drop(runtime::run_sandbox()));
    let run = recorder.only("sync deployment");
    assert!(recorder.step(Step::PodCreate5c).is_child_of(&run.context), "{recorder}");
}

fn headers_of(call: &Outgoing) -> Option<TraceContext> {
    let mut headers = http::HeaderMap::new();
    call.inject(&mut headers);
    let context = TraceContext::from_headers(&headers);
    assert_eq!(context.is_valid(), !headers.contains_key(telemetry::span::UNTRACED));
    context.is_valid().then_some(context)
}

#[test]
fn self_started_work_is_a_root_that_links_to_what_created_the_object() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let creator = cause(1, true).context;
    self_started_span("liveness failure", &creator).in_scope(|| {
        // Even inside of another trace.
        drop(self_started_span("deadline", &TraceContext::NONE));
    });
    assert_eq!(recorder.only("liveness failure").links.len(), 1);
    assert!(recorder.spans().iter().all(|span| span.parent.is_none()));
}

#[test]
fn a_delivery_that_causes_no_run_is_one_watch_span() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let bound = cause(9, true);
    delivered(&bound, &pod(), Some(Step::PodCreate4b));
    delivered(&cause(10, false), &pod(), Some(Step::PodCreate4b));
    assert!(recorder.step(Step::PodCreate4b).is_child_of(&bound.context));
}

#[test]
fn a_write_inside_a_run_is_caused_by_its_transaction() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let causes = Causes::from(cause(1, true));
    let stored = reconcile_span(&run(&causes)).in_scope(|| {
        let txn = store::txn("/registry/pods/default/web-1");
        let stored = txn.in_scope(TraceContext::current);
        store::committed(&txn, Some(Step::PodCreate2e), 42);
        stored
    });
    let txn = recorder.step(Step::PodCreate2e);
    assert_eq!(stored, txn.context);
    assert!(txn.is_child_of(&recorder.only("sync deployment").context));
    assert_eq!(txn.attr(attr::REVISION), Some("42"));
    assert_eq!((txn.kind.as_str(), txn.attr(attr::DB_SYSTEM_NAME)), ("client", Some("etcd")));
}

#[test]
fn without_a_subscriber_nothing_is_made_and_nothing_breaks() {
    let causes = Causes::from(cause(1, true));
    let span = reconcile_span(&run(&causes));
    span.step(Step::PodCreate1).fail("Internal", "nobody listens");
    span.in_scope(|| assert!(!TraceContext::current().is_valid()));
}
