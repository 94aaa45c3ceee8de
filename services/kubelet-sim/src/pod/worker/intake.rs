//! Taking in what is new: what the worker is told, how that ended which it began, what probes say, and that a time has come.

use std::sync::Arc;

use api::core::v1::Pod;
use futures::FutureExt;
use jiff::Timestamp;
use telemetry::Cause;
use telemetry::span::SpanExt;
use tracing::debug;

use super::{End, Message, Worker, after};
use crate::lifecycle::probes::{self, ProbeKind, Verdict};
use crate::lifecycle::{Why, Work, slot_of};
use crate::pod::effect::is_seen;
use crate::pod::{listing, paced, probing};

/// How long, in seconds, an event may be on its way before the worker asks. An event that was lost is rare; the node notices it, too.
const TOLD_WITHIN: i64 = 5;

impl Worker {
    pub(super) fn take(&mut self, message: Message) {
        let now = self.context.clock.now();
        match message {
            Message::Version(version) => {
                let (pod, cause) = *version;
                let pod = paced::simulated(&self.context.clock, pod);
                let news = self.reporting.take(Arc::clone(&pod));
                self.pod = Arc::clone(self.reporting.pod());
                if news {
                    self.context.volumes.told(&self.pod);
                    let ends = pod.metadata.deletion_timestamp.is_some();
                    let begins_the_end = ends && self.memory.termination.as_ref().is_none_or(|t| t.why != Why::Deleted);
                    self.journey.deliver(&cause, begins_the_end);
                    self.memory.heed(&pod, now);
                    self.dirty = true;
                }
            }
            Message::Gone(cause) => {
                if self.memory.termination.is_none() {
                    self.journey.deliver(&cause, true);
                }
                self.memory.heed_removal(now);
                self.reporting.close();
                self.dirty = true;
            }
            Message::Evict(eviction) => {
                if self.memory.termination.is_none() {
                    self.journey.begin_anew();
                }
                self.memory.evict(&eviction, now);
                self.dirty = true;
            }
            Message::Runtime(event) => self.dirty |= self.observed.apply(*event),
            Message::Listed(observed) => {
                self.dirty |= self.observed != *observed;
                self.observed = *observed;
            }
        }
        if self.memory.termination.is_some() {
            self.give_up_start();
        }
        self.check_effects();
        self.init_spans.retain(|name, _| {
            let latest = self.observed.latest(name);
            latest.is_none_or(|container| container.exit_code().is_none())
        });
    }

    /// What would bring the pod up is not wanted any more.
    pub(super) fn give_up_start(&mut self) {
        for (_, abort) in self.aborts.iter().filter(|(work, _)| work.is_start_up()) {
            abort.abort();
        }
    }

    pub(super) fn ended(&mut self, end: End) {
        let now = self.context.clock.world();
        match end {
            End::Work(action, work, result) => {
                if let (Work::Start(name), Err(_)) = (&work, &result) {
                    self.init_spans.remove(name);
                }
                self.unseen.push((action, work, result));
                self.check_effects();
            }
            End::Listed(Some(observed)) => {
                self.take(Message::Listed(Box::new(observed)));
                // What still cannot be seen has been undone by somebody else.
                self.give_up_waiting();
            }
            // The runtime does not answer; it is asked again.
            End::Listed(None) => {}
            End::GivenUp(work) => {
                self.aborts.remove(&work);
                self.memory.busy.remove(&work);
                self.dirty = true;
            }
            End::Probe((due, passed)) => self.probed(&due, passed),
            End::Status(_, Ok(pod)) => {
                self.reporting.written(paced::simulated(&self.context.clock, pod));
                self.pod = Arc::clone(self.reporting.pod());
                self.dirty = true;
            }
            End::Status(tried, Err(error)) => self.not_written(tried, &error, now),
            End::Fetched(Ok(pod)) if pod.metadata.uid == self.pod.metadata.uid => {
                self.take(Message::Version(Box::new((pod, Cause::default()))));
                self.dirty = true;
            }
            End::Fetched(Err(error)) if !error.is_not_found() => self.reporting.put_off(now),
            // Another pod has the name by now, or none.
            End::Fetched(_) => self.take(Message::Gone(Box::default())),
        }
    }

    /// Finishes the work whose effect can be seen by now.
    fn check_effects(&mut self) {
        let now = self.context.clock.now();
        for (action, work, result) in std::mem::take(&mut self.unseen) {
            if is_seen(&action, &result, &self.observed) {
                self.aborts.remove(&work);
                if let Work::Stop(id, _) = &work
                    && let Some(hook) = self.aborts.get(&Work::PreStop(id.clone()))
                {
                    // A hook that outlived the grace period has died with its container.
                    hook.abort();
                }
                self.memory.finish(&work, result, &self.pod, &self.observed, now);
                self.dirty = true;
            } else {
                self.unseen.push((action, work, result));
            }
        }
        let waits = !self.unseen.is_empty();
        self.ask_at = waits.then(|| self.ask_at.unwrap_or_else(|| after(now, TOLD_WITHIN)));
    }

    fn give_up_waiting(&mut self) {
        let now = self.context.clock.now();
        for (_, work, result) in std::mem::take(&mut self.unseen) {
            self.aborts.remove(&work);
            self.memory.finish(&work, result, &self.pod, &self.observed, now);
            self.dirty = true;
        }
        self.ask_at = None;
    }

    fn not_written(&mut self, tried: Arc<Pod>, error: &api::Error, now: Timestamp) {
        debug!(pod = %self.pod.metadata.name, %error, "the status was not written");
        if error.is_not_found() {
            return self.take(Message::Gone(Box::default()));
        }
        if self.reporting.failed(error, tried, now) {
            let (context, pod) = (Arc::clone(&self.context), Arc::clone(&self.pod));
            let fetched = async move {
                let fetched = context.api.get(&pod.metadata.namespace, &pod.metadata.name).await;
                End::Fetched(fetched.map(Arc::new))
            };
            self.under_way.push(fetched.boxed());
        }
        self.dirty = true;
    }

    pub(super) fn time_has_come(&mut self) {
        let now = self.context.clock.now();
        if self.wake_at.is_some_and(|at| at <= now) {
            self.dirty = true;
            if self.memory.termination.is_none() && self.memory.setback.is_none() && self.aborts.is_empty() {
                // A back-off or a deadline is over: that is nobody's doing.
                self.journey.begin_anew();
            }
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = Some(after(now, TOLD_WITHIN));
            let (context, uid) = (Arc::clone(&self.context), self.pod.metadata.uid.clone());
            let listed = async move { listing::list_pod(&context, &uid).await.ok() };
            self.under_way.push(listed.map(End::Listed).boxed());
        }
    }

    fn probed(&mut self, due: &probes::Due, passed: Option<bool>) {
        let pod = Arc::clone(&self.pod);
        let Some(probe) = slot_of(&pod.spec, &due.container).and_then(|slot| due.kind.of(&slot)) else { return };
        match self.memory.probed(&pod, due, probe, passed, self.context.clock.now()) {
            Verdict::Same if passed == Some(false) => self.probe_spans.failed(due),
            Verdict::Same => {}
            Verdict::Passed => {
                if !self.probe_spans.passed(due) {
                    self.probe_turned(due, true);
                }
                self.dirty = true;
            }
            Verdict::Failed => {
                match due.kind {
                    ProbeKind::Readiness => self.probe_turned(due, false),
                    ProbeKind::Startup | ProbeKind::Liveness => self.journey.begin_anew(),
                }
                self.dirty = true;
            }
        }
    }

    /// What a probe says of a container that had been up has changed: nobody asked for that, so it begins a trace.
    fn probe_turned(&mut self, due: &probes::Due, passed: bool) {
        self.journey.begin_anew();
        let run = self.begin_run();
        let span =
            run.in_scope(|| telemetry::span::pod_worker::probe_turned(probing::of_span(due.kind), &due.container));
        if !passed {
            span.fail("Unhealthy", format_args!("{} probe failed", due.kind.title()));
        }
    }
}
