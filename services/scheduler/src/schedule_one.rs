//! The algorithm, for one pod.
//!
//! ```text
//! schedule_one
//!   scheduling cycle (serial)      snapshot > feasible nodes > best node > assume > Reserve > Permit
//!   then, beside the next pod:
//!     binding cycle                wait for Permit > PreBind > Bind > PostBind
//!     or failure                   condition, Event, back into the queue
//! ```
//!
//! Invariants:
//! - From its assumption to the end of its binding a pod's room is taken, so attempts never give the same room twice.
//! - Whatever fails takes back what was promised: plugins' reservations first, the assumption last.
//! - A pod goes back into the queue only when all that its attempt writes is written. So a condition that says "no node" never
//!   overtakes the binding of a later attempt.

use std::sync::Arc;

use api::pod_conditions;
use controller::EventType;
use telemetry::span::reconcile::RunSteps;
use telemetry::span::scheduling::{self, SCHEDULE_POD};
use telemetry::span::{ObjectRef, Reconcile, SpanExt, Timing, carry, reconcile_span};
use telemetry::{Cause, KeyValue, Step, attr};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, warn};

use crate::cache::ASSUMED_FOR;
use crate::diagnosis::Diagnosis;
use crate::feasible::Infeasible;
use crate::framework::{ClusterEvent, CycleState, Rejection, RejectionKind};
use crate::metrics::Outcome;
use crate::pod_info::PodInfo;
use crate::queue::{Failure, QueuedPod};
use crate::ranking;
use crate::report::NotScheduled;
use crate::scheduler::{Algorithm, Scheduler};

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod extension_points;
#[cfg(test)]
mod tests;

/// The message of a gated pod's condition, as Kubernetes words it.
const GATED: &str = "Scheduling is blocked due to non-empty scheduling gates";

/// A pod with a node that it is not bound to yet.
struct Placed {
    node: Arc<str>,
    state: CycleState,
}

/// Why an attempt gave no node.
enum Unplaced {
    /// None is feasible.
    NoNode(Box<Diagnosis>),
    /// Something went wrong.
    Error(String),
}

impl Scheduler {
    /// One attempt. Returns when the pod has an assumed node or none; the rest goes on in a task of its own, which gives `slot`
    /// back at its end.
    pub(crate) fn schedule_one(
        self: &Arc<Self>,
        algorithm: &mut Algorithm,
        pod: QueuedPod,
        slot: OwnedSemaphorePermit,
    ) {
        if pod_conditions::is_terminating(&pod.info.pod) {
            let message = format!("skip schedule deleting pod: {}", pod.info);
            self.report.event(&pod.info.pod, EventType::Warning, "FailedScheduling", message);
            return self.queue.done(&pod.info.uid);
        }
        let started = Instant::now();
        let name = format!("scheduling of {}", pod.info);
        self.attempt_span(&pod).in_scope(|| {
            let outcome = self.scheduling_cycle(algorithm, &pod.info);
            let this = Arc::clone(self);
            let rest = async move {
                match outcome {
                    Ok(placed) => this.binding_cycle(pod, placed, started).await,
                    Err(unplaced) => this.failed(pod, unplaced, started).await,
                }
                drop(slot);
            };
            self.supervisor.spawn(name, service_kit::OnFailure::StopService, carry(rest));
        });
    }

    /// Finds a node, and takes the pod's room there.
    fn scheduling_cycle(&self, algorithm: &mut Algorithm, pod: &Arc<PodInfo>) -> Result<Placed, Unplaced> {
        scheduling::scheduling_cycle().in_scope(|| {
            algorithm.snapshot.update(&self.cache.lock());
            let mut state = CycleState::new();
            let node = self.choose(algorithm, &mut state, pod)?;
            if !self.cache.lock().assume(pod, &node) {
                return Err(Unplaced::Error(format!("pod {pod} counts on a node already")));
            }
            let reserved = self.framework.reserve(&mut state, pod, &node);
            let permitted = reserved.and_then(|()| {
                let permitted = self.framework.permit(&state, pod, &node);
                permitted.inspect_err(|_| self.framework.unreserve(&state, pod, &node))
            });
            match permitted {
                Ok(()) => Ok(Placed { node, state }),
                Err(rejection) => {
                    self.cache.lock().forget(&pod.uid);
                    Err(Unplaced::of_chosen(&node, rejection))
                }
            }
        })
    }

    /// The node for a pod, as the snapshot has it.
    fn choose(&self, algorithm: &mut Algorithm, state: &mut CycleState, pod: &PodInfo) -> Result<Arc<str>, Unplaced> {
        let Algorithm { snapshot, search, rng } = algorithm;
        match search.find(&self.framework, state, pod, snapshot) {
            Ok(feasible) => {
                let best = ranking::best(&self.framework, state, pod, &feasible, snapshot, rng);
                Ok(Arc::clone(best.expect("there is a feasible node").name()))
            }
            Err(Infeasible::Rejected(mut diagnosis)) => {
                diagnosis.post_filter_message = self.framework.post_filter(state, pod, &diagnosis, snapshot);
                Err(Unplaced::NoNode(diagnosis))
            }
            Err(Infeasible::Failed(rejection)) => Err(Unplaced::Error(rejection.failure())),
        }
    }

    /// Binds the pod to its node.
    async fn binding_cycle(&self, pod: QueuedPod, Placed { node, state }: Placed, started: Instant) {
        let info = &pod.info;
        let binding = async {
            self.framework.wait_on_permit(info).await?;
            self.framework.pre_bind(&state, info, &node).await?;
            self.framework.bind(&state, info, &node).await?;
            self.cache.lock().bound(&info.uid, Instant::now() + ASSUMED_FOR);
            self.framework.post_bind(&state, info, &node);
            Ok(())
        };
        match binding.instrument(scheduling::binding_cycle()).await {
            Ok(()) => {
                self.queue.done(&info.uid);
                debug!(pod = %info, %node, attempts = pod.attempts, "bound");
                Span::current().attr(attr::K8S_NODE_NAME, node.to_string());
                let message = format!("Successfully assigned {info} to {node}");
                self.report.event(&info.pod, EventType::Normal, "Scheduled", message);
                self.metrics.attempt(&pod, Outcome::Scheduled, started.elapsed());
            }
            Err(rejection) => {
                self.framework.unreserve(&state, info, &node);
                self.cache.lock().forget(&info.uid);
                // To the others it is as if the pod had been there and left.
                self.queue.happened(&ClusterEvent::AssignedPodRemoved(Arc::clone(info)), &Cause::default());
                self.failed(pod, Unplaced::of_chosen(&node, rejection), started).await;
            }
        }
    }

    /// Tells why there is no node, and lets the pod wait for better times.
    async fn failed(&self, pod: QueuedPod, unplaced: Unplaced, started: Instant) {
        let (reason, outcome, message, failure) = match unplaced {
            Unplaced::NoNode(diagnosis) => {
                let message = diagnosis.to_string();
                let failure = Failure::Unschedulable(diagnosis.rejectors.into_iter().collect());
                (NotScheduled::Unschedulable, Outcome::Unschedulable, message, failure)
            }
            Unplaced::Error(message) => (NotScheduled::SchedulerError, Outcome::Error, message, Failure::Error),
        };
        let span = Span::current();
        span.attr(attr::VERDICT, reason.as_str()).attr(attr::MESSAGE, message.clone());
        if outcome == Outcome::Error {
            warn!(pod = %pod.info, attempts = pod.attempts, error = message, "an attempt failed, trying again");
            span.fail(reason.as_str(), &message);
        } else {
            debug!(pod = %pod.info, attempts = pod.attempts, message, "no node");
        }
        self.metrics.attempt(&pod, outcome, started.elapsed());
        if self.queue.is_wanted(&pod.info.uid) {
            self.report.event(&pod.info.pod, EventType::Warning, "FailedScheduling", message.clone());
            self.report.not_scheduled(&pod.info.pod, reason, &message).await;
        }
        self.queue.put_back(pod, failure);
    }

    /// Tells that a pod waits behind its gates.
    pub(crate) fn report_gated(self: &Arc<Self>, pod: QueuedPod, rejection: &Rejection, slot: OwnedSemaphorePermit) {
        debug!(pod = %pod.info, reason = rejection.message(), "gated");
        let this = Arc::clone(self);
        let span = reconcile_span(&Reconcile {
            mode: self.settings.mode,
            ..Reconcile::new("scheduler", object(&pod.info), &pod.causes)
        });
        let telling = async move {
            this.report.not_scheduled(&pod.info.pod, NotScheduled::SchedulingGated, GATED).await;
            drop(slot);
        };
        self.supervisor.spawn("report of a gated pod", service_kit::OnFailure::StopService, telling.instrument(span));
    }

    /// The span of an attempt: it continues what caused the pod to need one, and links to what brought it back.
    fn attempt_span(&self, pod: &QueuedPod) -> Span {
        // To the trace, an attempt with news about the pod is a first one: there is a delivery to be shown.
        let attempt = if pod.continues_new_cause() { 1 } else { pod.attempts.max(2) };
        let span = reconcile_span(&Reconcile {
            name: Some(SCHEDULE_POD),
            timing: Timing::starting_now(Some(pod.enqueued_at)),
            steps: RunSteps { watch: Some(Step::PodCreate3a), queue: Some(Step::PodCreate3b), sync: None },
            mode: self.settings.mode,
            attempt,
            ..Reconcile::new("scheduler", object(&pod.info), &pod.causes)
        });
        if pod.attempts > 1 {
            span.attr(attr::ATTEMPT, i64::from(pod.attempts));
        }
        if let Some(wake) = &pod.woken_by {
            span.link(&wake.context).note("woken", vec![KeyValue::new("traceplane.scheduler.event", wake.event)]);
        }
        span
    }
}

impl Unplaced {
    /// The chosen node was taken back.
    fn of_chosen(node: &Arc<str>, rejection: Rejection) -> Self {
        match rejection.kind {
            RejectionKind::Error => Self::Error(rejection.failure()),
            _ => Self::NoNode(Box::new(Diagnosis::of_chosen(node, rejection))),
        }
    }
}

fn object(pod: &PodInfo) -> ObjectRef<'_> {
    ObjectRef::pod(pod.namespace(), pod.name(), &pod.uid)
}
