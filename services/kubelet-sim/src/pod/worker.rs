//! One pod's worker.
//!
//! A single task owns everything about its pod: memory, work under way, the status to be written. It is woken by its inbox, by the end of
//! what it began, and by time; each wake-up [takes in](intake) what is new and then [settles](Worker::settle): it steps the state machine
//! until that asks for nothing more. Dropping the worker drops its work; what the runtime was told to do goes on.

mod intake;
mod settle;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use controller::EventType::Warning;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::{AbortHandle, BoxFuture};
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use telemetry::Cause;
use telemetry::span::{pod_worker, work_begins};
use tokio::time::sleep;
use tracing::{Instrument, Span};

use super::execute::Ended;
use super::journey::Journey;
use super::probing::{ProbeSpans, Probed};
use super::reporting::{Reporting, Turn};
use super::{NodeContext, paced, volumes};
use crate::cri;
use crate::lifecycle::{Action, Eviction, Memory, Observed, Work, trouble};

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Message {
    /// The apiserver has this version.
    Version(Box<(Arc<Pod>, Cause)>),
    /// The object is gone.
    Gone(Box<Cause>),
    /// The node ends the pod.
    Evict(Box<Eviction>),
    /// Something changed in the runtime.
    Runtime(Box<cri::ContainerEventResponse>),
    /// All that the runtime has of the pod, after events may have been missed.
    Listed(Box<Observed>),
}

/// Something that the worker began has ended. Small, because every worker at rest has room for one.
enum End {
    Work(Box<Action>, Work, Ended),
    /// The work was given up.
    GivenUp(Work),
    /// What the runtime has, asked for.
    Listed(Option<Observed>),
    Probe(Probed),
    Status(Arc<Pod>, Result<Arc<Pod>, api::Error>),
    Fetched(Result<Arc<Pod>, api::Error>),
}

/// Where a worker is told. Unlike tokio's channels, those of `futures` have no memory set aside for messages, and of all workers hardly any
/// has one.
pub(super) type Inbox = mpsc::UnboundedSender<Message>;

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
        let pod = paced::simulated(&context.clock, pod);
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

    /// Works until nothing of the pod is left. Boxed, because a future has its arguments twice: as they came, and in use.
    pub(super) async fn run(mut self: Box<Self>) {
        if self.memory.volumes_mounted && self.memory.termination.is_none() {
            volumes::adopt(&self.context, &self.pod);
        }
        self.admit().await;
        loop {
            self.settle();
            if self.over && self.aborts.is_empty() {
                break;
            }
            let (wake, write) = (self.until_wake(), self.until_write());
            tokio::select! {
                message = self.inbox.next() => match message {
                    Some(message) => self.take(message),
                    // The node is being stopped; the runtime keeps what runs.
                    None => break,
                },
                Some(end) = self.under_way.next() => self.ended(end),
                () = self.context.clock.sleep(wake) => self.time_has_come(),
                () = sleep(write) => {}
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
        if let Err(rejection) = admitted {
            self.context.api.event(&self.pod, "", Warning, &rejection.reason, rejection.message.clone());
            self.memory.reject(rejection.into());
        }
    }

    /// The span of the run that is under way or begins now, awake.
    fn begin_run(&mut self) -> Span {
        let trouble = || trouble(&self.pod, &self.observed, &self.memory);
        let run = self.journey.run(&self.pod, self.context.clock.now(), trouble);
        run.in_scope(work_begins);
        run
    }

    fn until_wake(&self) -> Duration {
        let now = self.context.clock.now();
        let at = [self.wake_at, self.next_probe, self.ask_at].into_iter().flatten().min();
        until(at, now)
    }

    /// Writing keeps the world's time, at whatever pace containers live.
    fn until_write(&self) -> Duration {
        let now = self.context.clock.world();
        match self.reporting.turn(self.on_its_way(), now) {
            Turn::Wait(at) => until(Some(at), now),
            _ => until(None, now),
        }
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// A day is for ever here; the loop comes round all the same.
fn until(at: Option<Timestamp>, now: Timestamp) -> Duration {
    at.map_or(Duration::from_secs(86_400), |at| Duration::try_from(at.duration_since(now)).unwrap_or_default())
}
