//! One pod's worker.
//!
//! A single task owns everything about its pod: memory, work under way, the status to be written. It is woken by its inbox, by the end of
//! what it began, and by time; each wake-up takes in what is new and then [settles](Worker::settle): it steps the state machine
//! until that asks for nothing more. Dropping the worker drops its work; what the runtime was told to do goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Pod, PodStatus};
use controller::EventType::{Normal, Warning};
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use telemetry::Cause;
use telemetry::span::{pod_worker, work_begins};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{Instrument, Span, debug};

use super::effect::is_seen;
use super::execute::{Ended, Executor};
use super::journey::Journey;
use super::probing::{self, ProbeSpans, Probed};
use super::reporting::{Reporting, Turn};
use super::{NodeContext, listing};
use crate::cri;
use crate::lifecycle::probes::{self, ProbeKind, Verdict};
use crate::lifecycle::{self, Action, Input, Memory, Note, Observed, Step, Why, Work, slot_of};

/// How long, in seconds, an event may be on its way before the worker asks. An event that was lost is rare; the node notices it, too.
const TOLD_WITHIN: i64 = 5;

/// What a worker is told. Small, because each inbox has room for some of them set aside.
#[derive(Debug)]
pub(super) enum Message {
    /// The apiserver has this version.
    Version(Box<(Arc<Pod>, Cause)>),
    /// The object is gone.
    Gone(Box<Cause>),
    /// Something changed in the runtime.
    Runtime(Box<cri::ContainerEventResponse>),
    /// All that the runtime has of the pod, after events may have been missed.
    Listed(Box<Observed>),
}

/// Something that the worker began has ended.
enum End {
    Work(Box<Action>, Work, Ended),
    /// The work was given up.
    GivenUp(Work),
    /// What the runtime has, asked for.
    Listed(Option<Observed>),
    Probe(Probed),
    Status(Arc<Pod>, Result<Pod, api::Error>),
    Fetched(Result<Pod, api::Error>),
}

/// A pod's worker.
pub(super) struct Worker {
    context: Arc<NodeContext>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// The pod as it is wanted. Its status is what was last reported, or will be.
    pod: Arc<Pod>,
    observed: Observed,
    memory: Memory,
    reporting: Reporting,
    journey: Journey,
    probe_spans: ProbeSpans,
    /// Init containers' steps last until they exit.
    init_spans: HashMap<String, Span>,
    under_way: FuturesUnordered<BoxFuture<'static, End>>,
    aborts: BTreeMap<Work, AbortHandle>,
    /// Finished work whose effect has not been observed yet.
    unseen: Vec<(Box<Action>, Work, Ended)>,
    /// When to ask for what has not been told.
    ask_at: Option<Timestamp>,
    /// Something has changed since the last step.
    dirty: bool,
    /// When to step again although nothing happens.
    wake_at: Option<Timestamp>,
    /// Nothing of the pod is left.
    over: bool,
    next_probe: Option<Timestamp>,
}

impl Worker {
    /// A worker for a pod that the runtime may know already.
    pub(super) fn new(
        context: Arc<NodeContext>,
        inbox: mpsc::UnboundedReceiver<Message>,
        pod: Arc<Pod>,
        observed: Observed,
    ) -> Self {
        let now = context.clock.now();
        let memory = Memory::adopt(&pod, &observed, now);
        let mut journey = Journey::new(context.trace_mode, &context.name);
        if !matches!(pod.status.phase.as_str(), "" | "Pending") {
            journey.adopted();
        }
        Self {
            inbox,
            observed,
            memory,
            reporting: Reporting::new(Arc::clone(&pod)),
            journey,
            pod,
            probe_spans: ProbeSpans::default(),
            init_spans: HashMap::new(),
            under_way: FuturesUnordered::new(),
            aborts: BTreeMap::new(),
            unseen: Vec::new(),
            ask_at: None,
            dirty: true,
            wake_at: None,
            over: false,
            next_probe: None,
            context,
        }
    }

    /// Takes note of what made this worker necessary.
    pub(super) fn begin(&mut self, cause: &Cause) {
        self.journey.deliver(cause, self.memory.termination.is_some());
    }

    /// The object of this pod is gone already; only the runtime still has it.
    pub(super) fn orphaned(mut self) -> Self {
        self.memory.heed_removal(self.context.clock.now());
        self
    }

    /// Works until nothing of the pod is left.
    pub(super) async fn run(mut self) {
        self.admit();
        loop {
            self.settle();
            if self.over && self.aborts.is_empty() {
                break;
            }
            let wake = self.until_wake();
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.take(message),
                    // The node is being stopped; the runtime keeps what runs.
                    None => break,
                },
                Some(end) = self.under_way.next() => self.ended(end),
                () = sleep(wake) => self.time_has_come(),
            }
        }
        self.journey.end(true);
        self.context.release(&self.pod.metadata.uid);
    }

    /// Whether the node takes the pod, before anything is done for it.
    fn admit(&mut self) {
        let known = !self.observed.sandboxes.is_empty() || self.pod.status.start_time.is_some();
        let over = matches!(self.pod.status.phase.as_str(), "Succeeded" | "Failed");
        if over || self.memory.termination.is_some() {
            return;
        }
        if known {
            return self.context.readmit(&self.pod);
        }
        let run = self.begin_run();
        let (context, pod) = (&self.context, &self.pod);
        let admitted = run.in_scope(|| pod_worker::admission().in_scope(|| context.admit(pod)));
        if let Err(ended) = admitted {
            self.context.api.event(&self.pod, "", Warning, &ended.reason, ended.message.clone());
            self.memory.ended = Some(ended);
        }
    }

    /// The span of the run that is under way or begins now, awake.
    fn begin_run(&mut self) -> Span {
        let run = self.journey.run(&self.pod);
        run.in_scope(work_begins);
        run
    }

    fn take(&mut self, message: Message) {
        let now = self.context.clock.now();
        match message {
            Message::Version(version) => {
                let (pod, cause) = *version;
                let news = self.reporting.take(Arc::clone(&pod));
                self.pod = Arc::clone(self.reporting.pod());
                if news {
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
    fn give_up_start(&mut self) {
        for (_, abort) in self.aborts.iter().filter(|(work, _)| work.is_start_up()) {
            abort.abort();
        }
    }

    fn ended(&mut self, end: End) {
        let now = self.context.clock.now();
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
                self.reporting.written(pod);
                self.pod = Arc::clone(self.reporting.pod());
                self.dirty = true;
            }
            End::Status(tried, Err(error)) => self.not_written(tried, &error, now),
            End::Fetched(Ok(pod)) if pod.metadata.uid == self.pod.metadata.uid => {
                self.take(Message::Version(Box::new((Arc::new(pod), Cause::default()))));
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
            let fetched =
                async move { End::Fetched(context.api.get(&pod.metadata.namespace, &pod.metadata.name).await) };
            self.under_way.push(fetched.boxed());
        }
        self.dirty = true;
    }

    fn time_has_come(&mut self) {
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
            let listed = async move { listing::list_pod(context.runtime.containers.as_ref(), &uid).await.ok() };
            self.under_way.push(listed.map(End::Listed).boxed());
        }
    }

    fn until_wake(&self) -> Duration {
        let now = self.context.clock.now();
        let held = match self.reporting.turn(self.on_its_way(), now) {
            Turn::Wait(until) => Some(until),
            _ => None,
        };
        let at = [self.wake_at, self.next_probe, self.ask_at, held].into_iter().flatten().min();
        // A day is for ever here; the loop comes round all the same.
        at.map_or(Duration::from_secs(86_400), |at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
    }

    /// Steps until nothing more begins, and writes the status if it has changed.
    fn settle(&mut self) {
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
            self.remember(status, now);
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
        }
    }

    /// The state machine sees the status that will be reported, so that times in it stand still.
    fn remember(&mut self, status: PodStatus, now: Timestamp) {
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            self.context.release(&self.pod.metadata.uid);
        }
        self.reporting.want(status, now);
        self.pod = Arc::clone(self.reporting.pod());
    }

    fn act(&mut self, action: &Action, now: Timestamp) {
        if matches!(action, Action::RemoveSandboxes(_)) && self.memory.last_words.is_none() {
            self.memory.last_words = Some(Box::new(self.pod.status.clone()));
        }
        let run = self.begin_run();
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
        let Action::Note(note) = action else { return };
        let meta = &self.pod.metadata;
        let (container, events) = match note {
            Note::Killing { container, message, .. } => (container, vec![(Normal, "Killing", message.clone())]),
            Note::CrashLoop { container, .. } => {
                let pod = format!("{}_{}({})", meta.name, meta.namespace, meta.uid);
                let message = format!("Back-off restarting failed container {container} in pod {pod}");
                (container, vec![(Warning, "BackOff", message)])
            }
            Note::PullBackOff { container, image } => {
                let waits = (Normal, "BackOff", format!("Back-off pulling image {image:?}"));
                (container, vec![waits, (Warning, "Failed", "Error: ImagePullBackOff".to_owned())])
            }
        };
        let field = slot_of(&self.pod.spec, container).map(|slot| slot.field_path()).unwrap_or_default();
        run.in_scope(|| {
            for (kind, reason, message) in events {
                self.context.api.event(&self.pod, &field, kind, reason, message);
            }
        });
    }

    fn report(&mut self) {
        let now = self.context.clock.now();
        let Turn::Write(pod) = self.reporting.turn(self.on_its_way(), now) else { return };
        let run = self.begin_run();
        self.reporting.begin();
        let context = Arc::clone(&self.context);
        let write = async move {
            let answer = context.api.write_status(&pod).await;
            End::Status(pod, answer)
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
            self.probe_spans.begin(self.journey.context(), &self.pod, &due, attempt);
            let run = probing::run(&self.context, &self.pod, &self.observed, due);
            self.under_way.push(run.map(End::Probe).boxed());
        }
    }

    fn probed(&mut self, due: &probes::Due, passed: Option<bool>) {
        let pod = Arc::clone(&self.pod);
        let Some(probe) = slot_of(&pod.spec, &due.container).and_then(|slot| due.kind.of(&slot)) else { return };
        match self.memory.probed(&pod, due, probe, passed) {
            Verdict::Same if passed == Some(false) => self.probe_spans.failed(due),
            Verdict::Same => {}
            Verdict::Passed => {
                self.probe_spans.passed(due);
                self.dirty = true;
            }
            Verdict::Failed => {
                if due.kind != ProbeKind::Readiness {
                    self.journey.begin_anew();
                }
                self.dirty = true;
            }
        }
    }

    /// Whether the status will change again in a moment, because the pod is being brought up or stopped.
    fn on_its_way(&self) -> bool {
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

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
