//! One pod's worker.
//!
//! A single task owns everything about its pod: memory, work under way, the status to be written. It is woken by its inbox, by the end of
//! what it began, and by time; each wake-up takes in what is new and then [settles](Worker::settle): it steps the state machine
//! until that asks for nothing more. Dropping the worker drops its work; what the runtime was told to do goes on.

mod settle;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use controller::EventType::Warning;
use futures::future::{AbortHandle, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use telemetry::Cause;
use telemetry::span::{pod_worker, work_begins};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{Instrument, Span, debug};

use super::effect::is_seen;
use super::execute::Ended;
use super::journey::Journey;
use super::probing::{ProbeSpans, Probed};
use super::reporting::{Reporting, Turn};
use super::{NodeContext, listing};
use crate::cri;
use crate::lifecycle::probes::{self, ProbeKind, Verdict};
use crate::lifecycle::{Action, Memory, Observed, Why, Work, slot_of};

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
        self.admit().await;
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
    async fn admit(&mut self) {
        let known = !self.observed.sandboxes.is_empty() || self.pod.status.start_time.is_some();
        let over = matches!(self.pod.status.phase.as_str(), "Succeeded" | "Failed");
        if over || self.memory.termination.is_some() {
            return;
        }
        if known {
            return self.context.readmit(&self.pod);
        }
        let run = self.begin_run();
        let span = run.in_scope(pod_worker::admission);
        let admitted = self.context.admit(&self.pod).instrument(span).await;
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
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
