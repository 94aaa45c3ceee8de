//! What the kubelet knows of a pod beyond spec and runtime: work under way, delays, verdicts of probes, the end once it has begun.
//!
//! It is lost with the process. What must survive is in the runtime or in the pod's status, and [`Memory::adopt`] takes it up from there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::core::v1::{Pod, PodStatus};
use jiff::{SignedDuration, Timestamp};

use super::action::{Failure, Work};
use super::after;
use super::critical::is_static;
use super::observed::Observed;
use super::probes::ProbeMemory;
use super::restart::CrashBackoff;
use super::slot::{init_slots, main_slots};

/// A pod as the kubelet remembers it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// When this kubelet took the pod on.
    pub start_time: Option<Timestamp>,
    /// The pod ended by the kubelet's decision, not by its containers'.
    pub ended: Option<Ended>,
    /// The node ended the pod, which others may count as a disruption.
    pub disrupted: bool,
    /// It ended before anything was done for it: there is nothing to tell about containers.
    pub rejected: bool,
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
    /// The sandbox that cannot be lived in any more, and how far it has been dealt with.
    pub(super) lost: Option<LostSandbox>,
    /// Since when this kubelet counts the periods of the pod's probes.
    pub(super) probing_since: Timestamp,
    /// Boxed, because a tree's node has room for eleven, and most pods have one container.
    pub(super) containers: BTreeMap<String, Box<ContainerMemory>>,
}

/// A sandbox that has to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostSandbox {
    pub(super) id: String,
    /// Its network has been given back.
    pub(super) stopped: bool,
}

/// A pod's end by decision: rejected, evicted, out of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `OutOfcpu`, `DeadlineExceeded`, `Evicted` ...
    pub reason: String,
    /// The sentence beside it.
    pub message: String,
}

/// The node ends a pod, whatever its containers do: the node is short of something, or shuts down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// What the pod's status says in the end.
    pub ended: Ended,
    /// The grace period in seconds, in place of the pod's own.
    pub grace: i64,
    /// Whether the pod gets the condition `DisruptionTarget`.
    pub disrupts: bool,
}

/// The end of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Why.
    pub why: Why,
    /// The grace period in seconds: the shortest that was asked for.
    pub grace: i64,
    /// When it is over. It can come sooner; later only if the runtime went away and stopping begins again (SCENARIOS D11).
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
    /// The container that runs, but of whose postStart hook nobody knows whether it has returned.
    pub(super) owes_hook: Option<String>,
    pub(super) crashes: Option<CrashBackoff>,
    pub(super) pulls: Option<CrashBackoff>,
    /// The attempt that waits in a crash loop.
    pub(super) crash_loop: Option<u32>,
    /// When a back-off was told last.
    pub(super) back_off_told: Option<Timestamp>,
    /// The container that must go although the pod stays, and what its event says.
    pub(super) condemned: Option<Condemned>,
    /// Being stopped.
    pub(super) stop: Option<Stop>,
    /// The runtime could not stop it: not to be tried again before.
    pub(super) stop_retry: Option<Timestamp>,
    pub(super) probes: ProbeMemory,
}

/// A container that must go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condemned {
    pub(super) id: String,
    /// Why, in a word.
    pub(super) reason: &'static str,
    /// Why, as the event says it.
    pub(super) message: String,
    pub(super) grace: i64,
    /// Since when something has been wrong with it.
    pub(super) since: Timestamp,
}

/// A container being stopped.
///
/// ```text
/// Announced ──> Hook ──> HookDone ──> Signalled (again if the grace period gets shorter)
///     └──────────┴── the grace period is over ──^
/// ```
///
/// A runtime that fails to stop it makes all this begin again, hook and grace period included.
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
}

impl Memory {
    /// A pod that comes to this kubelet: new, or known to an earlier process, whose verdicts on containers that still run are kept.
    pub fn adopt(pod: &Pod, observed: &Observed, now: Timestamp) -> Self {
        let started = pod.status.start_time.as_ref().and_then(|time| time.timestamp());
        let mut memory = Self { start_time: Some(started.unwrap_or(now)), probing_since: now, ..Self::default() };
        // What failed as a whole stays as it was told: a pod that was refused has no containers to tell about.
        if pod.status.phase == "Failed" && !pod.status.reason.is_empty() {
            let PodStatus { reason, message, .. } = &pod.status;
            memory.ended = Some(Ended { reason: reason.clone(), message: message.clone() });
            memory.rejected = pod.status.container_statuses.is_empty();
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
        memory.take_up_hooks(pod, observed);
        memory.heed(pod, now);
        memory
    }

    /// A container is reported to run when its postStart hook has returned. One that runs and was not reported has had its hook perhaps: it
    /// is run once more, so that it is delivered at least once (SCENARIOS H4). A pod from a file has no reports that survive the kubelet.
    fn take_up_hooks(&mut self, pod: &Pod, observed: &Observed) {
        if is_static(pod) {
            return;
        }
        let reported = |id: &str| {
            let mut statuses = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
            statuses.any(|status| status.state.running.is_some() && status.container_id.rsplit("//").next() == Some(id))
        };
        for slot in init_slots(&pod.spec).chain(main_slots(&pod.spec)) {
            let has_hook = slot.lifecycle().is_some_and(|lifecycle| lifecycle.post_start.is_some());
            let Some(running) = observed.current(&slot.spec.name).filter(|container| container.is_running()) else {
                continue;
            };
            if has_hook && !reported(&running.id) {
                self.container_mut(&slot.spec.name).owes_hook = Some(running.id.clone());
            }
        }
    }

    /// Takes note of what a new version of the pod says about its end: a deletion, or a shorter grace period.
    pub fn heed(&mut self, pod: &Pod, now: Timestamp) {
        if pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_else(|| grace_of(pod));
        self.terminate(Why::Deleted, grace, now);
    }

    /// Takes note that the object is gone.
    pub fn heed_removal(&mut self, now: Timestamp) {
        self.deleted = true;
        self.terminate(Why::Removed, 0, now);
    }

    /// The node does not take the pod: it fails for good before anything was done for it.
    pub fn reject(&mut self, why: Ended) {
        self.ended = Some(why);
        self.rejected = true;
    }

    /// Takes note that the node ends the pod.
    pub fn evict(&mut self, eviction: &Eviction, now: Timestamp) {
        if self.ended.is_none() {
            self.ended = Some(eviction.ended.clone());
            self.disrupted = eviction.disrupts;
        }
        self.terminate(Why::Ended(eviction.ended.clone()), eviction.grace, now);
    }

    pub(super) fn terminate(&mut self, why: Why, grace: i64, now: Timestamp) {
        let grace = grace.max(0);
        let deadline = after(now, grace);
        match &mut self.termination {
            None => self.termination = Some(Termination { why, grace, deadline }),
            // Shorter, never longer; and a deletion overrides what only ended the pod.
            Some(known) => {
                known.grace = known.grace.min(grace);
                known.deadline = known.deadline.min(deadline);
                if why == Why::Removed || (why == Why::Deleted && known.why != Why::Removed) {
                    known.why = why;
                }
            }
        }
    }

    /// What is known of a container.
    pub(super) fn container(&self, name: &str) -> &ContainerMemory {
        static NOTHING: std::sync::LazyLock<ContainerMemory> = std::sync::LazyLock::new(ContainerMemory::default);
        self.containers.get(name).map_or(&*NOTHING, Box::as_ref)
    }

    pub(super) fn container_mut(&mut self, name: &str) -> &mut ContainerMemory {
        // Most look-ups are hits; the name is copied only once.
        if !self.containers.contains_key(name) {
            self.containers.insert(name.to_owned(), Box::default());
        }
        self.containers.get_mut(name).expect("inserted above if it was missing")
    }

    /// Whether the newest attempt at a container was stopped although the pod stays, and no other has begun since.
    pub fn has_stopped(&self, name: &str) -> bool {
        self.container(name).stop.is_some()
    }

    /// The stop under way of the container with this id.
    pub(super) fn stop_of(&self, name: &str, id: &str) -> Option<&Stop> {
        self.container(name).stop.as_ref().filter(|stop| stop.id == id)
    }

    pub(super) fn set_stage(&mut self, name: &str, id: &str, stage: Stage) {
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
