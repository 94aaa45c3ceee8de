//! The kubelet's pod worker: what it decides and waits for on the node. What the runtime does is in [`super::runtime`].
//!
//! The run of a worker is a reconcile with the name [`SYNC_POD`]. Probes and the end of a termination happen long after the
//! run that began them, so they take the context that they belong to as an argument.

use tracing::Span;

use super::{SpanExt, child, child_of, work_begins};
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

/// The time until a probe of container `index` changed its mind, in the journey of `parent`.
pub fn probe(parent: &TraceContext, probe: Probe, container: &str, index: u32) -> Span {
    let (name, step) = match probe {
        Probe::Startup => ("startup probe", Some(Step::PodCreate5h(index))),
        Probe::Readiness => ("readiness probe", Some(Step::PodCreate5i(index))),
        Probe::Liveness => ("liveness probe", None),
    };
    let span = child_of(parent, name, step);
    span.attr(attr::K8S_CONTAINER_NAME, container.to_owned());
    span
}

/// A lifecycle hook of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// After the container was created, with no order against its entrypoint.
    PostStart,
    /// Before TERM, inside the grace period.
    PreStop,
}

/// One run of a hook of container `index`.
pub fn hook(hook: Hook, container: &str, index: u32) -> Span {
    work_begins();
    let span = match hook {
        Hook::PostStart => child("postStart hook", Some(Step::PodCreate5g(index))),
        Hook::PreStop => child("preStop hook", Some(Step::PodDelete6a)),
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
