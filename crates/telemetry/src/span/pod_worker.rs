//! The kubelet's pod worker: what it decides and waits for on the node. What the runtime does is in [`super::runtime`].
//!
//! The run of a worker is a reconcile with the name [`SYNC_POD`]. Probes and the end of a termination happen long after the
//! run that began them, so they take the context that they belong to as an argument.

use jiff::Timestamp;
use opentelemetry::trace::{Link, Span as _, SpanBuilder, Status, Tracer};
use opentelemetry::{Context, KeyValue};
use tracing::Span;

use super::{ObjectRef, SpanExt, child, child_of, step_value, work_begins};
use crate::setup::tracer;
use crate::{Step, TraceContext, attr};

/// The name of the span around one run of a pod's worker.
pub const SYNC_POD: &str = "sync pod";

/// Whether the node takes the pod at all: resources, ports, node affinity.
pub fn admission() -> Span {
    child("node admission", None)
}

/// A probe of a container. Failed tries are events, the span ends when the result changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Until it passes the other two do not run.
    Startup,
    /// Whether the container may serve.
    Readiness,
    /// Whether it has to be restarted: its failure starts a trace of its own, so its span is no step.
    Liveness,
}

impl Probe {
    fn span(self) -> &'static str {
        match self {
            Self::Startup => "startup probe",
            Self::Readiness => "readiness probe",
            Self::Liveness => "liveness probe",
        }
    }
}

/// The time until a probe of container `index` passed for the first time, in the journey of `parent`. `again`: the container was started
/// before.
pub fn probe(parent: &TraceContext, probe: Probe, container: &str, index: u32, again: bool) -> Span {
    let step = match (probe, again) {
        (Probe::Startup, false) => Some(Step::PodCreate5h(index)),
        (Probe::Readiness, false) => Some(Step::PodCreate5i(index)),
        (Probe::Startup, true) => Some(Step::PodRestart8(index)),
        (Probe::Readiness, true) => Some(Step::PodRestart9(index)),
        (Probe::Liveness, _) => None,
    };
    let span = child_of(parent, probe.span(), step);
    span.attr(attr::K8S_CONTAINER_NAME, container.to_owned());
    span
}

/// A probe changed its mind about a container that was up: no step, but what follows has its cause in the picture.
pub fn probe_turned(probe: Probe, container: &str) -> Span {
    work_begins();
    let span = child(probe.span(), None);
    span.attr(attr::K8S_CONTAINER_NAME, container.to_owned());
    span
}

/// What begins a restart: a container in trouble, since when, and whether its next start had to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// Its name.
    pub container: &'a str,
    /// What happened: low cardinality.
    pub reason: &'a str,
    /// Whether that is bad news; a container may also have done its work, and is started again all the same.
    pub failed: bool,
    /// In a sentence.
    pub message: &'a str,
    /// The first failure of the probe, or the container's end.
    pub since: Timestamp,
    /// Until now, if its next start had to wait since then.
    pub waited: bool,
}

/// The root of a restart's journey, over by now: step 1, with step 2 in it where there was a wait. It links to `created`. Answers its context;
/// none where nothing is exported.
pub fn container_failed(
    created: &TraceContext,
    pod: &ObjectRef<'_>,
    trouble: &Trouble<'_>,
    now: Timestamp,
) -> TraceContext {
    let Some(tracer) = tracer() else { return TraceContext::NONE };
    let attributes = |step: Step| -> Vec<KeyValue> {
        let own = [
            KeyValue::new(attr::STEP, step_value(step)),
            KeyValue::new(attr::K8S_CONTAINER_NAME, trouble.container.to_owned()),
            KeyValue::new(attr::ERROR_TYPE, trouble.reason.to_owned()),
        ];
        own.into_iter().chain(pod.attributes()).collect()
    };
    let since = trouble.since.min(now);
    let mut root = SpanBuilder::from_name(Step::PodRestart1.span())
        .with_start_time(since)
        .with_attributes(attributes(Step::PodRestart1));
    if created.is_valid() {
        root = root.with_links(vec![Link::with_context(created.span_context())]);
    }
    let mut root = tracer.build_with_context(root, &Context::new());
    if trouble.failed {
        root.set_status(Status::error(trouble.message.to_owned()));
    }
    let context = TraceContext::from(root.span_context());
    if trouble.waited {
        let wait = SpanBuilder::from_name(Step::PodRestart2.span())
            .with_start_time(since)
            .with_attributes(attributes(Step::PodRestart2));
        tracer.build_with_context(wait, &context.to_otel()).end_with_timestamp(now.into());
    }
    root.end_with_timestamp(now.into());
    context
}

/// The run of the worker that follows [`container_failed`].
pub fn restart_run(root: &TraceContext) -> Span {
    child_of(root, SYNC_POD, Some(Step::PodRestart3))
}

/// A lifecycle hook of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// After the container was created, with no order against its entrypoint.
    PostStart,
    /// Before TERM, inside the grace period.
    PreStop,
}

/// One run of a hook of container `index`. `again`: of one that is being restarted.
pub fn hook(hook: Hook, container: &str, index: u32, again: bool) -> Span {
    work_begins();
    let span = match (hook, again) {
        (Hook::PostStart, false) => child("postStart hook", Some(Step::PodCreate5g(index))),
        (Hook::PostStart, true) => child("postStart hook", Some(Step::PodRestart7(index))),
        (Hook::PreStop, false) => child("preStop hook", Some(Step::PodDelete6a)),
        (Hook::PreStop, true) => child("preStop hook", None),
    };
    span.attr(attr::K8S_CONTAINER_NAME, container.to_owned());
    span
}

/// The one extra period of 2 s for a preStop hook that outlives the grace period.
pub fn pre_stop_extension() -> Span {
    child("preStop extension", Some(Step::PodDelete6b))
}

/// All of a termination, from TERM to the removal of the sandbox.
pub fn terminate(grace_seconds: i64) -> Span {
    work_begins();
    let span = child("terminate pod", None);
    span.attr(attr::GRACE_SECONDS, grace_seconds);
    span
}
