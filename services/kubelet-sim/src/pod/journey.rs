//! To which trace a worker's doings belong.
//!
//! A run of a worker ([`SYNC_POD`]) begins when there is something to do and ends when nothing is under way any more. It continues the
//! causes of the pod versions that came in since the last run. Without a cause there are two cases: the pod is still on the way that an
//! earlier run began (starting, becoming ready, ending), and the run belongs to it; or the pod had settled, and the run began by itself
//! (a crash, a failed probe, a back-off that is over): then it is a new trace that links to the last one. A version that gives nothing to do
//! makes no span, and neither does the echo of the worker's own writes.
//!
//! A container that fails and is started again is the journey `pod.restart`: its root lasts from the beginning of the trouble until the run
//! that deals with it, and links to the pod's creation.

use api::core::v1::Pod;
use jiff::Timestamp;
use telemetry::span::pod_worker::{self, SYNC_POD, container_failed, restart_run};
use telemetry::span::reconcile::RunSteps;
use telemetry::span::{ObjectRef, Reconcile, SpanExt, TraceMode, reconcile_span, self_started_span};
use telemetry::{Cause, Causes, Step, TRACEPARENT_ANNOTATION, TraceContext, attr};
use tracing::Span;

use crate::lifecycle::Trouble;

/// The traces of one pod.
pub(super) struct Journey {
    mode: TraceMode,
    node: String,
    /// Causes of versions that gave nothing to do yet.
    pending: Causes,
    /// The version that began the pod's end is among the pending.
    ending: bool,
    /// No run has begun yet.
    fresh: bool,
    run: Option<Span>,
    /// The last run, or what stands for it.
    context: TraceContext,
    /// The trace in which the pod was made, as far as it is known.
    created: TraceContext,
    /// The pod had arrived where it was going when the last run ended.
    settled: bool,
    /// The run belongs to the restart of a container.
    restart: bool,
}

impl Journey {
    pub(super) fn new(mode: TraceMode, node: &str) -> Self {
        Self {
            mode,
            node: node.to_owned(),
            pending: Causes::none(),
            ending: false,
            fresh: true,
            run: None,
            context: TraceContext::NONE,
            created: TraceContext::NONE,
            settled: false,
            restart: false,
        }
    }

    /// A pod that was up before this process was: what it does is not its creation.
    pub(super) fn adopted(&mut self) {
        self.fresh = false;
        self.settled = true;
    }

    /// A version of the pod came in.
    pub(super) fn deliver(&mut self, cause: &Cause, begins_the_end: bool) {
        self.pending.merge(cause.clone());
        self.ending |= begins_the_end;
    }

    /// What came in gives nothing to do.
    pub(super) fn nothing_to_do(&mut self) {
        if !self.ending {
            if let (None, Some(cause)) = (&self.run, self.pending.newest()) {
                // Something to link to, for a pod that this process has not done anything for yet.
                if !self.context.is_valid() {
                    self.context = cause.context.clone();
                }
            }
            self.pending = Causes::none();
        }
    }

    /// The worker begins something by itself, whatever is under way belongs to what came before.
    pub(super) fn begin_anew(&mut self) {
        if self.pending.is_empty() && !self.ending {
            self.run = None;
            self.settled = true;
        }
    }

    /// The span of the run that is under way, or of one that begins here; `trouble` is what has begun it if nobody asked for it.
    pub(super) fn run(&mut self, pod: &Pod, now: Timestamp, trouble: impl FnOnce() -> Option<Trouble>) -> Span {
        if self.ending {
            // Whatever was under way is given up for this.
            self.run = None;
        }
        if let Some(run) = &self.run {
            for cause in self.pending.iter() {
                run.link(&cause.context);
            }
            self.pending = Causes::none();
            return run.clone();
        }
        let run = self.begin(pod, now, trouble);
        run.attr(attr::K8S_NODE_NAME, self.node.clone());
        let context = TraceContext::of(&run);
        if context.is_valid() {
            self.context = context;
        }
        if !self.created.is_valid() {
            self.created = self.context.clone();
        }
        (self.fresh, self.ending, self.settled) = (false, false, false);
        self.run = Some(run.clone());
        run
    }

    fn begin(&mut self, pod: &Pod, now: Timestamp, trouble: impl FnOnce() -> Option<Trouble>) -> Span {
        let meta = &pod.metadata;
        let object = ObjectRef::pod(&meta.namespace, &meta.name, &meta.uid);
        let mut causes = std::mem::take(&mut self.pending);
        if causes.is_empty() {
            if self.settled && self.context.is_valid() {
                let created = self.created(pod);
                let trouble = trouble();
                self.restart = trouble.is_some();
                let span = match trouble {
                    Some(trouble) => restart_run(&container_failed(&created, &object, &traced(&trouble), now)),
                    None => self_started_span(SYNC_POD, &created),
                };
                span.object(&object);
                return span;
            }
            // The way goes on that an earlier run began.
            causes = Causes::from(Cause::from_context(self.context.clone()));
        } else {
            self.restart = false;
        }
        let steps = match (self.ending, self.fresh) {
            (true, _) => RunSteps { watch: Some(Step::PodDelete4), ..RunSteps::default() },
            (false, true) => RunSteps { watch: Some(Step::PodCreate5a), queue: None, sync: Some(Step::PodCreate5b) },
            (false, false) => RunSteps::default(),
        };
        reconcile_span(&Reconcile {
            name: Some(SYNC_POD),
            steps,
            mode: self.mode,
            last_known: self.context.clone(),
            ..Reconcile::new("pod", object, &causes)
        })
    }

    /// The trace that made the pod: the object says it, or we have seen it.
    fn created(&self, pod: &Pod) -> TraceContext {
        let told = pod.metadata.annotations.get(TRACEPARENT_ANNOTATION);
        let told = told.map(|parent| TraceContext::parse(parent, "")).filter(TraceContext::is_valid);
        told.unwrap_or_else(|| if self.created.is_valid() { self.created.clone() } else { self.context.clone() })
    }

    /// The run is over: nothing is under way. `settled`: the pod has arrived where it was going.
    pub(super) fn end(&mut self, settled: bool) {
        if self.run.take().is_some() {
            self.settled = settled;
        }
    }

    /// Whether what is under way is the restart of a container.
    pub(super) fn is_restart(&self) -> bool {
        self.restart
    }

    /// The trace that the pod is in, for what outlives a run.
    pub(super) fn context(&self) -> &TraceContext {
        &self.context
    }
}

fn traced(trouble: &Trouble) -> pod_worker::Trouble<'_> {
    let Trouble { container, reason, message, since, waited, failed } = trouble;
    pod_worker::Trouble { container, reason, message, since: *since, waited: *waited, failed: *failed }
}
