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
use crate::runtime::{Exited, Purpose, Verdict};

/// How many bytes of what a probe found are told, as in Kubernetes.
const MOST_OUTPUT: usize = 10 << 10;

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
                match access.run(&target, &handler, purpose(due.kind), Some(timeout(probe))).await {
                    // The container has ended: that is seen elsewhere, and is no verdict on its health.
                    Err(error) if error.is_not_found() => return (due, None),
                    verdict => verdict.map_err(|error| error.to_string()),
                }
            }
            Err(wrong) => Err(wrong),
        };
        let passed = match verdict {
            Ok(Verdict::Success) => Some(true),
            Ok(Verdict::Warning(text)) => {
                let message = format!("{} probe warning: {text}", due.kind.title());
                context.api.event(&pod, &slot.field_path(), Warning, "ProbeWarning", message);
                Some(true)
            }
            Ok(Verdict::Failure(output) | Verdict::Exited(Exited { output, .. })) => {
                let message = format!("{} probe failed: {}", due.kind.title(), beginning(&output));
                context.api.event(&pod, &slot.field_path(), Warning, "Unhealthy", message);
                Some(false)
            }
            // It could not be run at all, which says nothing about the container.
            Err(why) => {
                let message = format!("{} probe errored and resulted in unknown state: {why}", due.kind.title());
                context.api.event(&pod, &slot.field_path(), Warning, "Unhealthy", message);
                None
            }
        };
        (due, passed)
    }
    .boxed()
}

/// As much of what a probe found as is told.
fn beginning(output: &str) -> &str {
    &output[..output.floor_char_boundary(MOST_OUTPUT)]
}

fn purpose(kind: ProbeKind) -> Purpose {
    match kind {
        ProbeKind::Startup => Purpose::Startup,
        ProbeKind::Liveness => Purpose::Liveness,
        ProbeKind::Readiness => Purpose::Readiness,
    }
}

/// Spans from a container's first probe until it passes: steps of the pod's way up, or of the container's way back.
#[derive(Default)]
pub(super) struct ProbeSpans {
    /// With the id of the container that they are about.
    open: HashMap<(String, ProbeKind), (String, Span)>,
}

impl ProbeSpans {
    /// A probe that has not passed yet runs; its span begins with the first run.
    pub(super) fn begin(&mut self, parent: &TraceContext, pod: &Pod, due: &Due, attempt: u32) {
        let key = (due.container.clone(), due.kind);
        if due.kind == ProbeKind::Liveness || self.open.get(&key).is_some_and(|(id, _)| *id == due.id) {
            return;
        }
        let Some(slot) = slot_of(&pod.spec, &due.container) else { return };
        let index = if attempt == 0 { slot.index } else { slot.stop_index(&pod.spec) };
        let span = pod_worker::probe(parent, of_span(due.kind), &due.container, index, attempt > 0);
        self.open.insert(key, (due.id.clone(), execute::about(pod, span)));
    }

    /// A probe failed once more.
    pub(super) fn failed(&self, due: &Due) {
        if let Some((_, span)) = self.open.get(&(due.container.clone(), due.kind)) {
            span.note("probe failed", Vec::new());
        }
    }

    /// A probe has passed: its span ends. False: it had passed before.
    pub(super) fn passed(&mut self, due: &Due) -> bool {
        self.open.remove(&(due.container.clone(), due.kind)).is_some()
    }
}

/// A probe as traces name it.
pub(super) fn of_span(kind: ProbeKind) -> pod_worker::Probe {
    match kind {
        ProbeKind::Startup => pod_worker::Probe::Startup,
        ProbeKind::Liveness => pod_worker::Probe::Liveness,
        ProbeKind::Readiness => pod_worker::Probe::Readiness,
    }
}
