//! From a watch event to the run that it causes: how a trace crosses a watch (TRACES section 1, rule 3).
//!
//! ```text
//! etcd txn ──┬─ watch    commit to receipt          made afterwards, with the times of the cause
//! (the       ├─ queue    enqueue to start           made afterwards
//!  cause)    └─ sync x   the run                    live; its clients and stages are its children
//! ```
//!
//! Invariant: on one clock no span starts before its parent. A cause's commit time lies inside the span that made it, so
//! times are clamped to it; two machines' clocks may still disagree, and then the picture is as wrong as the clocks.
//! What the runner does with keys, retries and back-off is not known here.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::trace::{Span as _, SpanBuilder, Tracer};
use opentelemetry::{Context, KeyValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{ObjectRef, SpanExt, idle, step_value, with_parent};
use crate::setup::tracer;
use crate::{Cause, Causes, Step, TraceContext, attr};

/// How a reconcile relates to its causes: the flag `--trace-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceMode {
    /// The run is a child of its newest sampled cause and links to the others: one trace from request to effect.
    #[default]
    Continue,
    /// KEP-5915 to the letter: every run is a new root of kind CONSUMER that links to all its causes.
    Link,
}

/// The word is no trace mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a trace mode: use continue or link")]
pub struct UnknownTraceMode(String);

impl std::str::FromStr for TraceMode {
    type Err = UnknownTraceMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "continue" => Ok(Self::Continue),
            "link" => Ok(Self::Link),
            _ => Err(UnknownTraceMode(word.to_owned())),
        }
    }
}

impl std::fmt::Display for TraceMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Continue => "continue",
            Self::Link => "link",
        })
    }
}

/// When the key began to wait and when its run started, by this process's clock.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// When the key was added to the queue (for a retry: when it was added again); `None` without a queue.
    pub enqueued_at: Option<Timestamp>,
    /// When a worker took it.
    pub started_at: Timestamp,
}

impl Timing {
    /// A run that starts now.
    pub fn starting_now(enqueued_at: Option<Timestamp>) -> Self {
        Self { enqueued_at, started_at: Timestamp::now() }
    }
}

/// Which steps of the catalogue the three spans of a run are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSteps {
    /// Commit to receipt.
    pub watch: Option<Step>,
    /// Enqueue to start.
    pub queue: Option<Step>,
    /// The run.
    pub sync: Option<Step>,
}

/// One run of one key, as far as its trace is concerned.
#[derive(Clone, Debug)]
pub struct Reconcile<'a> {
    /// The controller: low-cardinality, part of the span's name.
    pub controller: &'a str,
    /// The span's name; `sync <controller>` unless set (`SchedulePod`, `sync pod`).
    pub name: Option<&'static str>,
    /// The object that the key names.
    pub object: ObjectRef<'a>,
    /// What made the run necessary.
    pub causes: &'a Causes,
    /// When it waited and started.
    pub timing: Timing,
    /// The steps it is.
    pub steps: RunSteps,
    /// Continue or link.
    pub mode: TraceMode,
    /// Which try of the same work this is, from 1. A retry received nothing anew, so it has no `watch` span.
    pub attempt: u32,
    /// The object's last known cause, or its annotation: a run without cause links to it.
    pub last_known: TraceContext,
}

impl<'a> Reconcile<'a> {
    /// A first attempt that starts now, in the default mode, of no particular step.
    pub fn new(controller: &'a str, object: ObjectRef<'a>, causes: &'a Causes) -> Self {
        Self {
            controller,
            name: None,
            object,
            causes,
            timing: Timing::starting_now(None),
            steps: RunSteps::default(),
            mode: TraceMode::default(),
            attempt: 1,
            last_known: TraceContext::NONE,
        }
    }
}

/// Starts the span of a run and makes the spans of the wait before it. Run the reconciler inside (`Instrument`).
///
/// - With a sampled cause: a child of the newest one ([`TraceMode::Continue`]) or a root that links to all.
/// - With one that was replayed (a start, a relist): the same, but it and its waits are exported only if work begins inside.
/// - With unsampled causes only: nothing is recorded, but the context is carried, so that effects stay unsampled.
/// - Without a cause: a new root, linked to [`Reconcile::last_known`]. It is exported only if work begins inside:
///   a resync that changes nothing makes no spans.
pub fn reconcile_span(run: &Reconcile<'_>) -> Span {
    if tracer().is_none() {
        return Span::none();
    }
    let name = run.name.map_or_else(|| format!("sync {}", run.controller).into(), Cow::Borrowed);
    let span = match (run.causes.newest_sampled(), run.causes.newest(), run.mode) {
        (Some(cause), _, TraceMode::Continue) => continue_cause(run, cause, &name),
        (Some(cause), _, TraceMode::Link) => link_causes(run, cause, &name),
        (None, Some(cause), _) => return with_parent(&name, None, cause.context.to_otel()),
        (None, None, _) => {
            let span = with_parent(&name, None, idle::under(&Context::new(), || ()));
            span.link(&run.last_known);
            span
        }
    };
    if !span.is_disabled() {
        describe(run, &span);
    }
    span
}

/// Begins work that nobody asked for (a liveness failure, a deadline, an HPA decision): a new root, linked to what created
/// the object, if that is known.
pub fn self_started_span(name: &str, link: &TraceContext) -> Span {
    let span = with_parent(name, None, Context::new());
    span.link(link);
    span
}

/// Records that a watch delivered `cause` to someone who runs nothing because of it: the scheduler sees its own binding,
/// a client waits for a phase. One `watch` span, from commit to receipt.
pub fn delivered(cause: &Cause, object: &ObjectRef<'_>, step: Option<Step>) {
    if cause.context.is_sampled()
        && let Some(wait) = Wait::for_watch(cause, object, step)
    {
        wait.emit();
    }
}

fn continue_cause(run: &Reconcile<'_>, cause: &Cause, name: &str) -> Span {
    let mut waits = Vec::new();
    if run.attempt <= 1 {
        waits.extend(Wait::for_watch(cause, &run.object, run.steps.watch));
    }
    if let Some(enqueued_at) = run.timing.enqueued_at {
        waits.push(Wait::for_queue(cause, &run.object, run.steps.queue, enqueued_at, run.timing.started_at));
    }
    let mut parent = cause.context.to_otel();
    if cause.replayed {
        parent = idle::under(&parent, move || waits.into_iter().for_each(Wait::emit));
    } else {
        waits.into_iter().for_each(Wait::emit);
    }
    let span = with_parent(name, None, parent);
    run.causes.others().for_each(|other| _ = span.link(&other.context));
    span
}

/// In link mode the waits belong to no trace: the cause's must not grow, and the root starts after them. They are events.
fn link_causes(run: &Reconcile<'_>, newest: &Cause, name: &str) -> Span {
    let parent = if newest.replayed { idle::under(&Context::new(), || ()) } else { Context::new() };
    let span = with_parent(name, Some("consumer"), parent);
    run.causes.iter().for_each(|cause| _ = span.link(&cause.context));
    if span.is_disabled() {
        return span;
    }
    if let (Some(received_at), true) = (newest.received_at, run.attempt <= 1) {
        let attributes = watch_attributes(newest, run.steps.watch);
        span.add_event_with_timestamp("watch", received_at.into(), attributes);
    }
    if let Some(enqueued_at) = run.timing.enqueued_at {
        let attributes = queue_attributes(enqueued_at, run.timing.started_at, run.steps.queue);
        span.add_event_with_timestamp("queue", run.timing.started_at.into(), attributes);
    }
    span
}

fn describe(run: &Reconcile<'_>, span: &Span) {
    span.step(run.steps.sync)
        .object(&run.object)
        .attr(attr::CONTROLLER, run.controller.to_owned())
        .attr(attr::CAUSES, i64::try_from(run.causes.total()).unwrap_or(i64::MAX));
    if let Some(enqueued_at) = run.timing.enqueued_at {
        span.attr(attr::QUEUE_WAIT_MS, millis_between(enqueued_at, run.timing.started_at));
    }
    if let Some(cause) = run.causes.newest_sampled().filter(|cause| cause.revision > 0) {
        span.attr(attr::REVISION, cause.revision);
    }
    if run.attempt > 1 {
        span.attr(attr::ATTEMPT, i64::from(run.attempt));
    }
}

/// A wait that is over: its span is made with the times of its start and end.
struct Wait {
    name: &'static str,
    parent: TraceContext,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
}

impl Wait {
    /// Commit to receipt. A cause that came by annotation was not delivered at any known time.
    fn for_watch(cause: &Cause, object: &ObjectRef<'_>, step: Option<Step>) -> Option<Self> {
        let (start, end) = (cause.committed_at?, cause.received_at?);
        Some(Self::new("watch", cause, object, (start, end), watch_attributes(cause, step)))
    }

    /// Enqueue to start.
    fn for_queue(
        cause: &Cause,
        object: &ObjectRef<'_>,
        step: Option<Step>,
        enqueued_at: Timestamp,
        started_at: Timestamp,
    ) -> Self {
        let attributes = queue_attributes(enqueued_at, started_at, step);
        Self::new("queue", cause, object, (enqueued_at, started_at), attributes)
    }

    fn new(
        name: &'static str,
        cause: &Cause,
        object: &ObjectRef<'_>,
        (start, end): (Timestamp, Timestamp),
        mut attributes: Vec<KeyValue>,
    ) -> Self {
        // Not before the commit: the key may have waited for another reason before, and another clock may lag.
        let start = cause.committed_at.map_or(start, |committed_at| start.max(committed_at));
        attributes.extend(object.attributes());
        Self { name, parent: cause.context.clone(), start: start.into(), end: start.max(end).into(), attributes }
    }

    fn emit(self) {
        let Some(tracer) = tracer() else { return };
        let builder = SpanBuilder::from_name(self.name).with_start_time(self.start).with_attributes(self.attributes);
        tracer.build_with_context(builder, &self.parent.to_otel()).end_with_timestamp(self.end);
    }
}

fn watch_attributes(cause: &Cause, step: Option<Step>) -> Vec<KeyValue> {
    let mut attributes = step_attribute(step);
    attributes.push(KeyValue::new(attr::REVISION, cause.revision));
    if let (Some(committed_at), Some(received_at)) = (cause.committed_at, cause.received_at) {
        attributes.push(KeyValue::new(attr::WATCH_LAG_MS, millis_between(committed_at, received_at)));
    }
    attributes
}

fn queue_attributes(enqueued_at: Timestamp, started_at: Timestamp, step: Option<Step>) -> Vec<KeyValue> {
    let mut attributes = step_attribute(step);
    attributes.push(KeyValue::new(attr::QUEUE_WAIT_MS, millis_between(enqueued_at, started_at)));
    attributes
}

fn step_attribute(step: Option<Step>) -> Vec<KeyValue> {
    step.map(|step| KeyValue::new(attr::STEP, step_value(step))).into_iter().collect()
}

/// Milliseconds with their fraction, never negative: most waits are shorter than one.
fn millis_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_millis_f64().max(0.0)
}
