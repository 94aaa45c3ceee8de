//! What the kubelet knows of a pod beyond spec and runtime: work under way, delays, verdicts of probes, the end once it has begun.
//!
//! It is lost with the process. What must survive is in the runtime or in the pod's status, and [`Memory::adopt`] takes it up from there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::core::v1::{Pod, PodStatus};
use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Failure, FailureKind, Note, Work};
use super::after;
use super::observed::{Observed, State};
use super::probes::ProbeMemory;
use super::restart::CrashBackoff;

/// How long a failed pull shows its own reason before it shows that it is being waited for.
const PULL_ERROR_SHOWN: i64 = 3;
/// How soon something that failed without a delay of its own is tried again, in seconds.
const RETRY: i64 = 5;

/// A pod as the kubelet remembers it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When this kubelet took the pod on.
    pub start_time: Option<Timestamp>,
    /// The pod ended by the kubelet's decision, not by its containers'.
    pub ended: Option<Ended>,
    /// The end, once it has begun.
    pub termination: Option<Termination>,
    /// What is under way.
    pub busy: BTreeSet<Work>,
    /// Whether volumes are there.
    pub volumes_mounted: bool,
    /// Why sandbox or volumes could not be made, and when to try again.
    pub setback: Option<(Failure, Timestamp)>,
    /// Cleaning up or deleting failed: when to try again.
    pub cleanup_retry: Option<Timestamp>,
    /// The object is deleted, or was gone in the first place.
    pub deleted: bool,
    /// The status from before the runtime forgot the pod: nothing can be learnt after that.
    pub last_words: Option<Box<PodStatus>>,
    containers: BTreeMap<String, ContainerMemory>,
}

/// A pod's end by decision: rejected, evicted, out of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `OutOfcpu`, `DeadlineExceeded`, `Evicted` ...
    pub reason: String,
    /// The sentence beside it.
    pub message: String,
}

/// The end of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Why.
    pub why: Why,
    /// When the grace period is over. It can come sooner, never later.
    pub deadline: Timestamp,
}

/// Why a pod ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody asked for its deletion.
    Deleted,
    /// The object is gone already: deleted by force, or unknown to the apiserver.
    Removed,
    /// The kubelet decided.
    Ended(Ended),
    /// What it was about is done; only sidecars are left.
    Finished,
}

/// One container of the pod.
#[derive(Clone, Debug, Default)]
pub(super) struct ContainerMemory {
    /// Why it is not running, as users see it.
    pub(super) waiting: Option<Failure>,
    /// When it may be started again after a failure without a container.
    pub(super) retry_at: Option<Timestamp>,
    /// Until when a failed pull shows its own reason.
    pub(super) pull_error_until: Option<Timestamp>,
    pub(super) crashes: Option<CrashBackoff>,
    pulls: Option<CrashBackoff>,
    /// The attempt that waits in a crash loop, so that it is told once.
    pub(super) crash_loop: Option<u32>,
    /// The container that must go although the pod stays, and what its event says.
    pub(super) condemned: Option<Condemned>,
    /// Being stopped.
    pub(super) stop: Option<Stop>,
    pub(super) probes: ProbeMemory,
}

/// A container that must go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    pub(super) id: String,
    pub(super) message: String,
    pub(super) grace: i64,
}

/// A container being stopped.
///
/// ```text
/// Announced ──> Hook ──> HookDone ──> Signalled (again if the grace period gets shorter)
///     └──────────┴── the grace period is over ──^ │
///                                        Refused <┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) id: String,
    /// When its grace period ends.
    pub(super) deadline: Timestamp,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The user knows; nothing has been done yet.
    Announced,
    /// The preStop hook runs.
    Hook,
    /// The preStop hook has returned.
    HookDone,
    /// TERM was sent, the nth time; KILL follows at this time.
    Signalled { kill_at: Timestamp, nth: u32 },
    /// The runtime refused. It is asked again at this time, the nth time.
    Refused { retry_at: Timestamp, nth: u32 },
}

impl Memory {
    /// A pod that comes to this kubelet: new, or known to an earlier process, whose verdicts on containers that still run are kept.
    pub fn adopt(pod: &Pod, observed: &Observed, now: Timestamp) -> Self {
        let started = pod.status.start_time.as_ref().and_then(|time| time.timestamp());
        let mut memory = Self { start_time: Some(started.unwrap_or(now)), ..Self::default() };
        // What failed as a whole stays as it was told: a pod that was refused has no containers to tell about.
        if pod.status.phase == "Failed" && !pod.status.reason.is_empty() {
            let PodStatus { reason, message, .. } = &pod.status;
            memory.ended = Some(Ended { reason: reason.clone(), message: message.clone() });
        }
        // Mounts live as long as the sandbox they serve.
        memory.volumes_mounted = observed.sandbox().is_some() && !observed.containers.is_empty();
        let statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        for status in statuses {
            let id = status.container_id.rsplit("//").next().unwrap_or_default();
            let running = observed.containers.iter().find(|container| container.id == id && container.is_running());
            if let Some(container) = running {
                let probes = &mut memory.container_mut(&container.name).probes;
                probes.adopt(&container.id, status.started.unwrap_or(false), status.ready);
            }
        }
        memory.heed(pod, now);
        memory
    }

    /// Takes note of what a new version of the pod says about its end: a deletion, or a shorter grace period.
    pub fn heed(&mut self, pod: &Pod, now: Timestamp) {
        if pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_else(|| grace_of(pod));
        self.terminate(Why::Deleted, after(now, grace));
    }

    /// Takes note that the object is gone.
    pub fn heed_removal(&mut self, now: Timestamp) {
        self.deleted = true;
        self.terminate(Why::Removed, now);
    }

    fn terminate(&mut self, why: Why, deadline: Timestamp) {
        match &mut self.termination {
            None => self.termination = Some(Termination { why, deadline }),
            // Shorter, never longer; and a deletion overrides what only ended the pod.
            Some(known) => {
                known.deadline = known.deadline.min(deadline);
                if why == Why::Removed || (why == Why::Deleted && known.why != Why::Removed) {
                    known.why = why;
                }
            }
        }
    }

    /// Takes note that an action begins, and answers what it keeps busy.
    pub fn begin(&mut self, action: &Action, pod: &Pod, observed: &Observed, now: Timestamp) -> Option<Work> {
        let work = match action {
            Action::RunSandbox { .. } => {
                self.volumes_mounted = false;
                Work::Sandbox
            }
            Action::MountVolumes => Work::Volumes,
            Action::Start { container, .. } => {
                let failed_at = match observed.current(container).map(|c| &c.state) {
                    Some(State::Exited { finished_at, .. }) => Some(*finished_at),
                    _ => None,
                };
                let memory = self.container_mut(container);
                if let Some(failed_at) = failed_at {
                    memory.crashes = Some(CrashBackoff::grow(memory.crashes, failed_at, now));
                }
                (memory.retry_at, memory.condemned, memory.stop) = (None, None, None);
                Work::Start(container.clone())
            }
            Action::PreStop { container, id, .. } => {
                self.set_stage(container, id, Stage::Hook);
                Work::PreStop(id.clone())
            }
            Action::Stop { container, id, timeout, .. } => {
                let nth = match self.stop_of(container, id).map(|stop| &stop.stage) {
                    Some(Stage::Signalled { nth, .. } | Stage::Refused { nth, .. }) => nth + 1,
                    _ => 0,
                };
                let kill_at = now.saturating_add(*timeout).unwrap_or(Timestamp::MAX);
                self.set_stage(container, id, Stage::Signalled { kill_at, nth });
                Work::Stop(id.clone(), nth)
            }
            Action::StopSandboxes(_) | Action::RemoveSandboxes(_) => Work::Cleanup,
            Action::RemoveContainer(id) => Work::Remove(id.clone()),
            Action::DeletePod => Work::Delete,
            Action::Terminate(why) => {
                if let Why::Ended(ended) = why {
                    self.ended = Some(ended.clone());
                }
                self.terminate(why.clone(), after(now, grace_of(pod)));
                return None;
            }
            Action::Note(note) => {
                self.take_note(note, pod, observed);
                return None;
            }
        };
        self.busy.insert(work.clone());
        Some(work)
    }

    fn take_note(&mut self, note: &Note, pod: &Pod, observed: &Observed) {
        match note {
            Note::Killing { container, id, deadline, .. } => {
                let stop = Stop { id: id.clone(), deadline: *deadline, stage: Stage::Announced };
                self.container_mut(container).stop = Some(stop);
            }
            Note::CrashLoop { container, delay } => {
                let pod = format!("{}_{}({})", pod.metadata.name, pod.metadata.namespace, pod.metadata.uid);
                let delay = go_duration(*delay);
                let message = format!("back-off {delay} restarting failed container={container} pod={pod}");
                let attempt = observed.latest(container).map(|latest| latest.attempt);
                let memory = self.container_mut(container);
                memory.crash_loop = attempt;
                let reason = "CrashLoopBackOff".to_owned();
                memory.waiting = Some(Failure { kind: FailureKind::Container, reason, message });
            }
            Note::PullBackOff { container, image } => {
                let memory = self.container_mut(container);
                memory.pull_error_until = None;
                let why = memory.waiting.take().map(|failure| format!(": {}: {}", failure.reason, failure.message));
                let message = format!("Back-off pulling image {image:?}{}", why.unwrap_or_default());
                let reason = "ImagePullBackOff".to_owned();
                memory.waiting = Some(Failure { kind: FailureKind::Pull, reason, message });
            }
        }
    }

    /// Takes note of how work ended.
    pub fn finish(&mut self, work: &Work, result: Result<(), Failure>, pod: &Pod, observed: &Observed, now: Timestamp) {
        self.busy.remove(work);
        match (work, result) {
            (Work::Sandbox | Work::Volumes, Err(failure)) => self.setback = Some((failure, after(now, RETRY))),
            (Work::Sandbox, Ok(())) => self.setback = None,
            (Work::Volumes, Ok(())) => (self.setback, self.volumes_mounted) = (None, true),
            (Work::Start(name), Ok(())) => {
                let memory = self.container_mut(name);
                (memory.waiting, memory.pulls, memory.pull_error_until) = (None, None, None);
            }
            (Work::Start(name), Err(failure)) => self.start_failed(name, failure, pod, observed, now),
            (Work::PreStop(id), _) => {
                let hooked = self.containers.values_mut().filter_map(|memory| memory.stop.as_mut());
                for stop in hooked.filter(|stop| stop.id == *id && stop.stage == Stage::Hook) {
                    stop.stage = Stage::HookDone;
                }
            }
            (Work::Delete, Ok(())) => self.deleted = true,
            (Work::Cleanup | Work::Delete | Work::Remove(_), Err(_)) => self.cleanup_retry = Some(after(now, 1)),
            (Work::Cleanup, Ok(())) => self.cleanup_retry = None,
            (Work::Stop(id, nth), Err(_)) => {
                let stops = self.containers.values_mut().filter_map(|memory| memory.stop.as_mut());
                for stop in stops.filter(|stop| stop.id == *id) {
                    stop.stage = Stage::Refused { retry_at: after(now, 1), nth: *nth };
                }
            }
            (Work::Stop(..) | Work::Remove(_), Ok(())) => {}
        }
    }

    fn start_failed(&mut self, name: &str, failure: Failure, pod: &Pod, observed: &Observed, now: Timestamp) {
        let running = observed.current(name).filter(|container| container.is_running()).map(|c| c.id.clone());
        let memory = self.container_mut(name);
        match failure.kind {
            FailureKind::Pull => {
                let backoff = CrashBackoff::grow(memory.pulls, now, now);
                memory.pulls = Some(backoff);
                memory.retry_at = now.saturating_add(backoff.delay()).ok();
                memory.pull_error_until = Some(after(now, PULL_ERROR_SHOWN));
            }
            FailureKind::Setup => memory.retry_at = Some(after(now, RETRY)),
            FailureKind::Container => {
                if let Some(id) = running {
                    let message = format!("{} failed; the container is stopped", failure.reason);
                    memory.condemned = Some(Condemned { id, message, grace: grace_of(pod) });
                }
            }
        }
        memory.waiting = Some(failure);
    }

    /// What is known of a container.
    pub(super) fn container(&self, name: &str) -> &ContainerMemory {
        static NOTHING: std::sync::LazyLock<ContainerMemory> = std::sync::LazyLock::new(ContainerMemory::default);
        self.containers.get(name).unwrap_or(&NOTHING)
    }

    pub(super) fn container_mut(&mut self, name: &str) -> &mut ContainerMemory {
        // Most look-ups are hits; the name is copied only once.
        if !self.containers.contains_key(name) {
            self.containers.insert(name.to_owned(), ContainerMemory::default());
        }
        self.containers.get_mut(name).expect("inserted above if it was missing")
    }

    /// The stop under way of the container with this id.
    pub(super) fn stop_of(&self, name: &str, id: &str) -> Option<&Stop> {
        self.container(name).stop.as_ref().filter(|stop| stop.id == id)
    }

    fn set_stage(&mut self, name: &str, id: &str, stage: Stage) {
        if let Some(stop) = self.container_mut(name).stop.as_mut().filter(|stop| stop.id == id) {
            stop.stage = stage;
        }
    }

    /// Whether anything that brings the pod up is under way.
    pub(super) fn starting(&self) -> bool {
        self.busy.iter().any(Work::is_start_up)
    }

    /// Whether a container is being started, its postStart hook included.
    pub(super) fn is_starting(&self, name: &str) -> bool {
        self.busy.contains(&Work::Start(name.to_owned()))
    }
}

/// A pod's own grace period, in seconds.
pub(super) fn grace_of(pod: &Pod) -> i64 {
    pod.spec.termination_grace_period_seconds.unwrap_or(30).max(0)
}

/// Time from `from` until `to`, at least zero.
pub(super) fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from).max(SignedDuration::ZERO)).unwrap_or_default()
}

/// A delay as Go prints it: `10s`, `1m20s`, `5m0s`.
fn go_duration(delay: Duration) -> String {
    let seconds = delay.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}
