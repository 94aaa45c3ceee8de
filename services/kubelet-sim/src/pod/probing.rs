//! Running probes: one future per run, and the span of the time until a probe first passes.

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Pod;
use controller::EventType::Warning;
use futures::FutureExt;
use futures::future::BoxFuture;
use telemetry::TraceContext;
use telemetry::span::{SpanExt, pod_worker};
use tracing::Span;

use super::{NodeContext, execute, handler};
use crate::lifecycle::probes::{Due, ProbeKind, timeout};
use crate::lifecycle::{Observed, slot_of};
use crate::runtime::{Purpose, Verdict};

/// A probe's run: what it was, and whether it passed; `None`: it could not be run.
pub(super) type Probed = (Due, Option<bool>);

/// One run of a probe that is due. Failures are told as events, as often as they happen.
pub(super) fn run(
    context: &Arc<NodeContext>,
    pod: &Arc<Pod>,
    observed: &Observed,
    due: Due,
) -> BoxFuture<'static, Probed> {
    let (context, pod) = (Arc::clone(context), Arc::clone(pod));
    let target = execute::target(&context, &pod, observed, &due.id);
    async move {
        let Some(slot) = slot_of(&pod.spec, &due.container) else { return (due, None) };
        let Some(probe) = due.kind.of(&slot) else { return (due, None) };
        let verdict = match handler::probe(&probe.handler, slot.spec, &target.pod_ip) {
            Ok(handler) => {
                let access = &context.runtime.access;
                access.run(&target, &handler, purpose(due.kind), Some(timeout(probe))).await
            }
            Err(wrong) => Ok(Verdict::Failure(wrong)),
        };
        let passed = match verdict {
            Ok(Verdict::Success) => Some(true),
            Ok(Verdict::Failure(output)) => {
                let message = format!("{} probe failed: {output}", due.kind.title());
                context.api.event(&pod, &slot.field_path(), Warning, "Unhealthy", message);
                Some(false)
            }
            // The container has ended or the runtime is away: that is seen elsewhere, and is no verdict on its health.
            Err(_) => None,
        };
        (due, passed)
    }
    .boxed()
}

fn purpose(kind: ProbeKind) -> Purpose {
    match kind {
        ProbeKind::Startup => Purpose::Startup,
        ProbeKind::Liveness => Purpose::Liveness,
        ProbeKind::Readiness => Purpose::Readiness,
    }
}

/// Spans from a container's first probe until it passes: steps of the pod's way up, so only first attempts have them.
#[derive(Default)]
pub(super) struct ProbeSpans {
    open: HashMap<(String, ProbeKind), Span>,
}

impl ProbeSpans {
    /// A probe runs; its span begins with the first run.
    pub(super) fn begin(&mut self, parent: &TraceContext, pod: &Pod, due: &Due, attempt: u32) {
        let kind = match due.kind {
            ProbeKind::Startup => pod_worker::Probe::Startup,
            ProbeKind::Readiness => pod_worker::Probe::Readiness,
            ProbeKind::Liveness => return,
        };
        let Some(slot) = slot_of(&pod.spec, &due.container).filter(|_| attempt == 0) else { return };
        let key = (due.container.clone(), due.kind);
        let begin = || execute::about(pod, pod_worker::probe(parent, kind, &due.container, slot.index));
        self.open.entry(key).or_insert_with(begin);
    }

    /// A probe failed once more.
    pub(super) fn failed(&self, due: &Due) {
        if let Some(span) = self.open.get(&(due.container.clone(), due.kind)) {
            span.note("probe failed", Vec::new());
        }
    }

    /// A probe has passed for good: its span ends, and later runs make none.
    pub(super) fn passed(&mut self, due: &Due) {
        // A disabled span stays in its place, so that no other is begun.
        self.open.insert((due.container.clone(), due.kind), Span::none());
    }
}
