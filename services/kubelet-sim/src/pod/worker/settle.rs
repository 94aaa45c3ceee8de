//! Settling: stepping the state machine until it asks for nothing more, and beginning what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::core::v1::PodStatus;
use controller::EventType::{Normal, Warning};
use futures::FutureExt;
use futures::future::{AbortHandle, Abortable};
use jiff::Timestamp;
use tracing::{Instrument, Span};

use super::{End, Worker};
use crate::lifecycle::{self, Action, Input, Note, Role, Step, Why, Work, probes, slot_of};
use crate::pod::execute::Executor;
use crate::pod::reporting::Turn;
use crate::pod::{paced, probing};

impl Worker {
    /// Steps until nothing more begins, and writes the status if it has changed.
    pub(super) fn settle(&mut self) {
        while std::mem::take(&mut self.dirty) {
            let now = self.context.clock.now();
            let input = Input {
                pod: &self.pod,
                observed: &self.observed,
                memory: &self.memory,
                node: &self.context.facts,
                now,
            };
            let Step { actions, status, wake_at, over } = lifecycle::step(&input);
            self.remember(status);
            (self.wake_at, self.over) = (wake_at, over);
            for action in actions {
                // The end of a pod is reported before its object goes.
                if action == Action::DeletePod && !self.reporting.is_written() {
                    continue;
                }
                self.act(&action, now);
            }
        }
        self.report();
        self.probe();
        if self.aborts.is_empty() && self.reporting.is_idle() {
            self.journey.nothing_to_do();
            self.journey.end(self.has_arrived());
            self.rest();
        }
    }

    /// Gives back what was needed on the way: an empty tree keeps its last node, and thousands of pods are at rest at any time.
    fn rest(&mut self) {
        self.aborts = BTreeMap::new();
        if self.memory.busy.is_empty() {
            self.memory.busy = BTreeSet::new();
        }
    }

    /// The state machine sees the status that will be reported, so that times in it stand still.
    fn remember(&mut self, status: PodStatus) {
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            self.context.release(&self.pod.metadata.uid);
        }
        self.reporting.want(paced::settled(&self.context.clock, status), self.context.clock.world());
        self.pod = Arc::clone(self.reporting.pod());
    }

    fn act(&mut self, action: &Action, now: Timestamp) {
        if matches!(action, Action::RemoveSandboxes(_)) && self.memory.last_words.is_none() {
            self.memory.last_words = Some(Box::new(self.pod.status.clone()));
        }
        if let Action::Start { container, attempt: 1.. } = action
            && self.aborts.is_empty()
            && !self.memory.has_stopped(container)
            && slot_of(&self.pod.spec, container).is_some_and(|slot| slot.role != Role::Init)
        {
            // A container that comes back is a journey of its own, also where the pod has not been ready yet. One that was stopped
            // for it comes back in the journey that stopped it.
            self.journey.begin_anew();
        }
        // What lasts is told again, but nothing begins that a trace could show.
        let run = if action.is_repetition() { Span::none() } else { self.begin_run() };
        self.announce(action, &run);
        // What has begun may be waited for: when, says the next step.
        self.dirty = true;
        let Some(work) = self.memory.begin(action, &self.pod, &self.observed, now) else {
            if matches!(action, Action::Terminate(_)) {
                self.give_up_start();
            }
            return;
        };
        let executor = Executor {
            context: &self.context,
            pod: &self.pod,
            observed: &self.observed,
            ending: self.memory.termination.is_some(),
        };
        let (future, span) = run.in_scope(|| executor.carry_out(action));
        if let (Some(span), Action::Start { container, .. }) = (span, action) {
            self.init_spans.insert(container.clone(), span);
        }
        let done = Box::new(action.clone());
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(work.clone(), abort);
        let future = Abortable::new(future, registration).map(|result| match result {
            Ok(ended) => End::Work(done, work, ended),
            Err(_) => End::GivenUp(work),
        });
        self.under_way.push(future.instrument(run).boxed());
    }

    /// Tells the user about what begins.
    fn announce(&self, action: &Action, run: &Span) {
        let api = &self.context.api;
        // This is the end of a pod whose time is up. Who evicts it tells so himself.
        if let Action::Terminate(Why::Ended(ended)) = action {
            let message = ended.message.clone();
            return run.in_scope(|| api.event(&self.pod, "", Normal, &ended.reason, message));
        }
        let Action::Note(note) = action else { return };
        let meta = &self.pod.metadata;
        let (container, events) = match note {
            Note::Killing { container, message, .. } => (container, vec![(Normal, "Killing", message.clone())]),
            Note::CrashLoop { container, .. } => {
                let pod = format!("{}_{}({})", meta.name, meta.namespace, meta.uid);
                let message = format!("Back-off restarting failed container {container} in pod {pod}");
                (container, vec![(Warning, "BackOff", message)])
            }
            Note::PullBackOff { container, image, .. } => {
                let waits = (Normal, "BackOff", format!("Back-off pulling image {image:?}"));
                (container, vec![waits, (Warning, "Failed", "Error: ImagePullBackOff".to_owned())])
            }
            Note::SandboxChanged { .. } => {
                let message = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                return run.in_scope(|| api.event(&self.pod, "", Normal, "SandboxChanged", message));
            }
        };
        let field = slot_of(&self.pod.spec, container).map(|slot| slot.field_path()).unwrap_or_default();
        run.in_scope(|| {
            for (kind, reason, message) in events {
                api.event(&self.pod, &field, kind, reason, message);
            }
        });
    }

    fn report(&mut self) {
        let now = self.context.clock.world();
        let Turn::Write(pod) = self.reporting.turn(self.on_its_way(), now) else { return };
        let run = self.begin_run();
        self.reporting.begin();
        let (context, restarts) = (Arc::clone(&self.context), self.journey.is_restart());
        let write = async move {
            let real = paced::real(&context.clock, Arc::clone(&pod));
            let answer = context.api.write_status(&real, restarts).await;
            End::Status(pod, answer.map(Arc::new))
        };
        self.under_way.push(write.instrument(run).boxed());
    }

    fn probe(&mut self) {
        let now = self.context.clock.now();
        let (due, next) = probes::due(&self.pod, &self.observed, &self.memory, now);
        self.next_probe = next;
        for due in due {
            let Some(probe) = slot_of(&self.pod.spec, &due.container).and_then(|slot| due.kind.of(&slot)) else {
                continue;
            };
            self.memory.probe_begins(&due, probe, now);
            let attempt = self.observed.latest(&due.container).map_or(0, |container| container.attempt);
            if !probes::has_passed(&self.memory, &due) {
                self.probe_spans.begin(self.journey.context(), &self.pod, &due, attempt);
            }
            let run = probing::run(&self.context, &self.pod, &self.observed, due);
            self.under_way.push(run.map(End::Probe).boxed());
        }
    }

    /// Whether the status will change again in a moment, because the pod is being brought up or stopped.
    pub(super) fn on_its_way(&self) -> bool {
        self.aborts.keys().any(|work| work.is_start_up() || matches!(work, Work::Stop(..)))
    }

    /// Whether the pod has arrived where it was going: it is ready, or over. A pod that is to end arrives when it is gone.
    fn has_arrived(&self) -> bool {
        if self.memory.termination.as_ref().is_some_and(|termination| termination.why == Why::Deleted) {
            return false;
        }
        let over = matches!(self.pod.status.phase.as_str(), "Succeeded" | "Failed");
        over || api::pod_conditions::is_true(&self.pod.status, api::pod_conditions::READY)
    }
}
