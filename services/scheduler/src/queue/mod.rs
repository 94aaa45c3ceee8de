//! Where pods wait for a node.
//!
//! ```text
//!            PreEnqueue passes              next()
//!  add ----------------------> active ----------------> in flight --done--> (has a node, or is gone)
//!   |                          ^    ^                     |
//!   | PreEnqueue rejects       |    | its time is over,   | put_back
//!   v                          |    | or nothing is active|
//!  gated <--+                  |    |                     v
//!   |       |                  |   backoff <--- an error happened, or an event came that helps
//!   +-------+------------------+    ^                     |
//!    the pod changed: ask again     | event that helps,   v
//!                                   | or five minutes   unschedulable
//!                                   +---------------------+
//! ```
//!
//! Guarantees:
//! - A pod is in exactly one place. It is handed out to one attempt at a time, and never after it was removed.
//! - Active pods come in the order of the QueueSort plugin.
//! - An unschedulable pod comes back when an event happens that one of its rejecting plugins calls helpful ([`Framework::helps`]),
//!   even if that event happens during its attempt; and after [`Timing::flush`] anyway, in case a plugin was wrong.
//! - Such a pod waits out its back-off only while other pods are active; alone it is tried at once. A pod whose attempt ended
//!   in an error always waits it out.
//! - Causes of a pod are never lost on the way round.
//!
//! One lock guards all of it and is never held across an await or a call to the outside. The queue makes no calls and no spans.

mod heap;
mod in_flight;
mod queued_pod;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use service_kit::Backoff;
use telemetry::{Cause, Causes, TraceContext};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use heap::Heap;
use in_flight::{InFlight, Missed};
pub use queued_pod::{QueuedPod, Wake};

use crate::framework::{ClusterEvent, Framework, Rejection};
use crate::pod_info::PodInfo;

/// How long pods wait.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// After the first failed attempt; it doubles with each.
    pub initial_backoff: Duration,
    /// At most, after many.
    pub max_backoff: Duration,
    /// Without any event that helps.
    pub flush: Duration,
}

impl Default for Timing {
    /// Kubernetes' times: 1 s, 10 s, 5 min.
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            flush: Duration::from_secs(300),
        }
    }
}

/// How an attempt ended that did not end with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No node is feasible. These plugins rejected it; none means that there is no node at all.
    Unschedulable(Vec<&'static str>),
    /// Something went wrong; the same attempt may succeed later.
    Error,
}

/// What the queue hands out.
#[derive(Debug)]
pub enum Next {
    /// Find a node for this pod. Give it back with [`SchedulingQueue::done`] or [`SchedulingQueue::put_back`].
    Schedule(QueuedPod),
    /// Tell the user that this pod waits behind a gate. It stays in the queue.
    Gated(QueuedPod, Rejection),
}

/// How many pods are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Waiting for their turn.
    pub active: usize,
    /// Waiting for a time.
    pub backoff: usize,
    /// Waiting for an event.
    pub unschedulable: usize,
    /// Waiting for their gates.
    pub gated: usize,
    /// Being scheduled or bound.
    pub in_flight: usize,
}

/// The queue. See the module.
pub struct SchedulingQueue {
    framework: Arc<Framework>,
    timing: Timing,
    state: Mutex<State>,
    /// Woken when there may be something to hand out, or an earlier time to look again.
    wake: Notify,
}

struct State {
    active: Heap,
    /// Ready at a time; those that an event woke, and may go earlier.
    woken_backoff: Heap,
    /// Ready at a time, not earlier.
    error_backoff: Heap,
    unschedulable: HashMap<Arc<str>, QueuedPod>,
    /// When pods became unschedulable, oldest first; entries of pods that left since are skipped.
    parked: VecDeque<(Instant, Arc<str>)>,
    gated: HashMap<Arc<str>, (QueuedPod, Rejection)>,
    /// Gated pods that nobody was told of yet.
    untold: VecDeque<Arc<str>>,
    in_flight: InFlight,
}

impl SchedulingQueue {
    /// An empty queue.
    pub fn new(framework: Arc<Framework>, timing: Timing) -> Self {
        let sort = Arc::clone(framework.queue_sort());
        let by_time = || Heap::new(|a, b| a.ready_at.cmp(&b.ready_at));
        let state = State {
            active: Heap::new(move |a, b| sort.compare(a, b)),
            woken_backoff: by_time(),
            error_backoff: by_time(),
            unschedulable: HashMap::new(),
            parked: VecDeque::new(),
            gated: HashMap::new(),
            untold: VecDeque::new(),
            in_flight: InFlight::default(),
        };
        Self { framework, timing, state: Mutex::new(state), wake: Notify::new() }
    }

    /// Takes in a pod without a node.
    pub fn add(&self, info: Arc<PodInfo>, cause: &Cause) {
        let mut state = self.state.lock();
        if state.in_flight.get_mut(&info.uid).is_some() {
            return;
        }
        state.take(&info.uid);
        let mut pod = QueuedPod::new(info.clone());
        pod.renew(info, Causes::from(cause.clone()));
        self.activate(&mut state, pod, None);
    }

    /// The pod changed. Its cause counts only if the change is one to a scheduler: our own status writes come back here.
    pub fn update(&self, info: Arc<PodInfo>, cause: &Cause) {
        let mut state = self.state.lock();
        if let Some(flight) = state.in_flight.get_mut(&info.uid) {
            return flight.renew(info, cause);
        }
        let Some(old) = state.version(&info.uid) else {
            drop(state);
            return self.add(info, cause);
        };
        let differs = info.differs_for_scheduling(&old);
        let causes = if differs { Causes::from(cause.clone()) } else { Causes::none() };
        let uid = Arc::clone(&info.uid);
        let renew = |pod: &mut QueuedPod| pod.renew(Arc::clone(&info), causes.clone());
        let state = &mut *state;
        for heap in [&mut state.active, &mut state.woken_backoff, &mut state.error_backoff] {
            heap.change(&uid, renew);
        }
        if let Some((pod, _)) = state.gated.get_mut(&uid) {
            renew(pod);
            if differs && let Some((pod, _)) = state.gated.remove(&uid) {
                self.activate(state, pod, None);
            }
        }
        if let Some(pod) = state.unschedulable.get_mut(&uid) {
            renew(pod);
            let event = ClusterEvent::PodUpdated { old, new: info };
            if differs && self.framework.helps(&event, &pod.info, &pod.rejectors) {
                let wake = Wake { event: event.label(), context: cause.context.clone() };
                self.wake_pod(state, &uid, wake);
            }
        }
    }

    /// The same for a pod that is in flight or, if it is not, has its node already.
    pub fn update_in_flight(&self, info: Arc<PodInfo>, cause: &Cause) {
        if let Some(flight) = self.state.lock().in_flight.get_mut(&info.uid) {
            flight.renew(info, cause);
        }
    }

    /// Whether a pod in flight would wait again if it came back.
    pub fn is_wanted(&self, uid: &str) -> bool {
        self.state.lock().in_flight.get_mut(uid).is_some_and(|flight| !flight.removed)
    }

    /// The pod is gone, or has got a node.
    pub fn remove(&self, uid: &str) {
        let mut state = self.state.lock();
        state.take(uid);
        if let Some(flight) = state.in_flight.get_mut(uid) {
            flight.removed = true;
        }
    }

    /// Something happened that may help pods.
    pub fn happened(&self, event: &ClusterEvent, cause: &Cause) {
        let wake = Wake { event: event.label(), context: cause.context.clone() };
        let mut state = self.state.lock();
        let state = &mut *state;
        state.in_flight.record(event, &wake);
        let helped = state.unschedulable.values().filter(|pod| self.may_help(event, pod));
        let helped: Vec<_> = helped.map(|pod| Arc::clone(&pod.info.uid)).collect();
        for uid in helped {
            self.wake_pod(state, &uid, wake.clone());
        }
    }

    /// The next thing to do, when there is one. Cancel-safe.
    pub async fn next(&self) -> Next {
        loop {
            let look_again = match self.take_next(Instant::now()) {
                Ok(next) => return next,
                Err(at) => at,
            };
            match look_again {
                None => self.wake.notified().await,
                Some(at) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(at) => {}
                },
            }
        }
    }

    /// A pod in flight has its node.
    pub fn done(&self, uid: &str) {
        self.state.lock().in_flight.end(uid);
    }

    /// A pod in flight has no node and waits again, unless it is gone.
    pub fn put_back(&self, mut pod: QueuedPod, failure: Failure) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some((flight, missed)) = state.in_flight.end(&pod.info.uid) else { return };
        if flight.removed {
            return;
        }
        pod.has_new_cause = false;
        let old = Arc::clone(&pod.info);
        pod.renew(flight.version, flight.causes);
        match failure {
            Failure::Error => {
                pod.errors += 1;
                pod.rejectors.clear();
                pod.ready_at = now + self.backoff(pod.errors);
                pod.wait_from(now, None);
                state.error_backoff.push(pod);
                self.wake.notify_one();
            }
            Failure::Unschedulable(rejectors) => {
                pod.errors = 0;
                pod.rejections += 1;
                pod.rejectors = rejectors;
                pod.ready_at = now + self.backoff(pod.rejections);
                let helped = self.helped_meanwhile(&pod, old, missed);
                let uid = Arc::clone(&pod.info.uid);
                state.park(pod, now);
                match helped {
                    Some(wake) => self.wake_pod(state, &uid, wake),
                    // There is a new time to look again.
                    None => self.wake.notify_one(),
                }
            }
        }
    }

    /// How many pods are where.
    pub fn lengths(&self) -> Lengths {
        let state = self.state.lock();
        Lengths {
            active: state.active.len(),
            backoff: state.woken_backoff.len() + state.error_backoff.len(),
            unschedulable: state.unschedulable.len(),
            gated: state.gated.len(),
            in_flight: state.in_flight.len(),
        }
    }

    /// Makes a pod active, if its gates let it.
    fn activate(&self, state: &mut State, mut pod: QueuedPod, wake: Option<Wake>) {
        match self.framework.pre_enqueue(&pod.info) {
            Ok(()) => {
                pod.wait_from(Instant::now(), wake);
                state.active.push(pod);
            }
            Err(rejection) => {
                let uid = Arc::clone(&pod.info.uid);
                state.untold.push_back(Arc::clone(&uid));
                state.gated.insert(uid, (pod, rejection));
            }
        }
        self.wake.notify_one();
    }

    /// Lets an unschedulable pod come back.
    fn wake_pod(&self, state: &mut State, uid: &str, wake: Wake) {
        let Some(mut pod) = state.unschedulable.remove(uid) else { return };
        let now = Instant::now();
        if pod.ready_at > now {
            pod.wait_from(now, Some(wake));
            state.woken_backoff.push(pod);
            self.wake.notify_one();
        } else {
            self.activate(state, pod, Some(wake));
        }
    }

    /// What happened during its attempt that may help it.
    fn helped_meanwhile(&self, pod: &QueuedPod, old: Arc<PodInfo>, missed: Missed) -> Option<Wake> {
        let Missed::Events(mut events) = missed else {
            return Some(Wake { event: "ManyEvents", context: TraceContext::NONE });
        };
        if pod.info.differs_for_scheduling(&old) {
            let event = ClusterEvent::PodUpdated { old, new: Arc::clone(&pod.info) };
            let wake = Wake { event: event.label(), context: TraceContext::NONE };
            events.push((event, wake));
        }
        events.into_iter().find(|(event, _)| self.may_help(event, pod)).map(|(_, wake)| wake)
    }

    fn may_help(&self, event: &ClusterEvent, pod: &QueuedPod) -> bool {
        if matches!(event, ClusterEvent::AssignedPodRemoved(gone) if gone.uid == pod.info.uid) {
            // Its own binding failed: that frees nothing which it did not have.
            return false;
        }
        if pod.rejectors.is_empty() {
            return matches!(event, ClusterEvent::NodeAdded(_));
        }
        self.framework.helps(event, &pod.info, &pod.rejectors)
    }

    fn backoff(&self, failures: u32) -> Duration {
        Backoff::new(self.timing.initial_backoff, self.timing.max_backoff).delay_after(failures.saturating_sub(1))
    }

    /// Something to hand out, or when to look again.
    fn take_next(&self, now: Instant) -> Result<Next, Option<Instant>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.flush(state, now);
        while let Some(uid) = state.untold.pop_front() {
            if let Some((pod, rejection)) = state.gated.get_mut(&uid) {
                let told = pod.clone();
                pod.has_new_cause = false;
                return Ok(Next::Gated(told, rejection.clone()));
            }
        }
        for backoff in [State::error_backoff, State::woken_backoff] {
            while backoff(state).peek().is_some_and(|pod| pod.ready_at <= now) {
                let Some(mut pod) = backoff(state).pop() else { break };
                let wake = pod.woken_by.take();
                self.activate(state, pod, wake);
            }
        }
        let next = state.active.pop().or_else(|| state.woken_backoff.pop());
        let Some(mut pod) = next else {
            let parked = state.parked.front().map(|(since, _)| *since + self.timing.flush);
            let ready = state.error_backoff.peek().map(|pod| pod.ready_at);
            return Err([parked, ready].into_iter().flatten().min());
        };
        pod.attempts += 1;
        state.in_flight.begin(&pod.info);
        Ok(Next::Schedule(pod))
    }

    /// Tries those again that have waited for an event for too long.
    fn flush(&self, state: &mut State, now: Instant) {
        while let Some((since, uid)) = state.parked.front() {
            let waits_since_then = state.unschedulable.get(uid).is_some_and(|pod| pod.queued == *since);
            if waits_since_then && *since + self.timing.flush > now {
                return;
            }
            let Some((_, uid)) = state.parked.pop_front() else { return };
            if waits_since_then {
                let wake = Wake { event: "UnschedulableTimeout", context: TraceContext::NONE };
                self.wake_pod(state, &uid, wake);
            }
        }
    }
}

impl State {
    /// Takes a pod out of wherever it waits.
    fn take(&mut self, uid: &str) -> Option<QueuedPod> {
        [&mut self.active, &mut self.woken_backoff, &mut self.error_backoff]
            .into_iter()
            .find_map(|heap| heap.remove(uid))
            .or_else(|| self.unschedulable.remove(uid))
            .or_else(|| self.gated.remove(uid).map(|(pod, _)| pod))
    }

    /// The version of a pod that waits here.
    fn version(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let mut version = None;
        for heap in [&mut self.active, &mut self.woken_backoff, &mut self.error_backoff] {
            heap.change(uid, |pod| version = Some(Arc::clone(&pod.info)));
        }
        version
            .or_else(|| self.unschedulable.get(uid).map(|pod| Arc::clone(&pod.info)))
            .or_else(|| self.gated.get(uid).map(|(pod, _)| Arc::clone(&pod.info)))
    }

    fn park(&mut self, mut pod: QueuedPod, now: Instant) {
        pod.queued = now;
        self.parked.push_back((now, Arc::clone(&pod.info.uid)));
        self.unschedulable.insert(Arc::clone(&pod.info.uid), pod);
    }

    fn error_backoff(&mut self) -> &mut Heap {
        &mut self.error_backoff
    }

    fn woken_backoff(&mut self) -> &mut Heap {
        &mut self.woken_backoff
    }
}
