//! Startup, liveness and readiness probes: which are due, and what their results mean.
//!
//! A result only changes something when enough of the same came in a row. Whoever runs the probes asks [`due`], runs what it names, and
//! tells [`Memory::probed`]; only a change makes a step of the pod necessary.

use std::time::Duration;

use api::core::v1::{Pod, Probe};
use jiff::{SignedDuration, Timestamp};

use super::memory::{Condemned, Memory, grace_of};
use super::observed::{Container, Observed, State};
use super::slot::{Role, Slot, slot_of, slots};

/// From a container's start to its first readiness probe: Kubernetes' kubelet takes a moment to notice that it runs.
const NOTICED: SignedDuration = SignedDuration::from_millis(100);
/// How often a probe runs that does not say.
const PERIOD: i32 = 10;

/// The three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Until it passes the others do not run; its failure restarts the container.
    Startup,
    /// Its failure restarts the container.
    Liveness,
    /// Its result is whether the container is ready.
    Readiness,
}

impl ProbeKind {
    const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The word in events: `Readiness probe failed: ...`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// What a container says about it.
    pub fn of<'a>(self, slot: &Slot<'a>) -> Option<&'a Probe> {
        match self {
            Self::Startup => slot.spec.startup_probe.as_ref(),
            Self::Liveness => slot.spec.liveness_probe.as_ref(),
            Self::Readiness => slot.spec.readiness_probe.as_ref(),
        }
    }
}

/// Results so far of one container.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeMemory {
    /// The attempt that the results are about.
    id: String,
    /// Whether the startup probe has passed.
    started: bool,
    /// When it did.
    started_at: Option<Timestamp>,
    /// Whether the readiness probe passes.
    ready: bool,
    rows: [Row; 3],
}

/// Equal results in a row of one probe, and when it runs next.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    passed: bool,
    length: i32,
    /// Since when.
    since: Timestamp,
    next: Option<Timestamp>,
    running: bool,
}

/// One run of a probe that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The container's name.
    pub container: String,
    /// Its id.
    pub id: String,
    /// Which of its probes.
    pub kind: ProbeKind,
}

/// What a result has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Same,
    /// The container has started, or is ready.
    Passed,
    /// The container is not ready any more, or must be restarted.
    Failed,
}

impl ProbeMemory {
    /// Takes over what an earlier process reported about a container that still runs.
    pub(super) fn adopt(&mut self, id: &str, started: bool, ready: bool) {
        *self = Self { id: id.to_owned(), started, ready, ..Self::default() };
    }

    fn of(&self, id: &str) -> Option<&Self> {
        Some(self).filter(|memory| memory.id == id)
    }
}

/// Whether a running container has started, as far as its startup probe knows.
pub(super) fn is_started(memory: &Memory, slot: &Slot<'_>, container: &Container) -> bool {
    let known = memory.container(&slot.spec.name);
    slot.spec.startup_probe.is_none() || known.probes.of(&container.id).is_some_and(|probes| probes.started)
}

/// Whether a running container is ready.
pub(super) fn is_ready(memory: &Memory, slot: &Slot<'_>, container: &Container) -> bool {
    let known = memory.container(&slot.spec.name);
    is_started(memory, slot, container)
        && (slot.spec.readiness_probe.is_none() || known.probes.of(&container.id).is_some_and(|probes| probes.ready))
}

/// The probes to run now, and when the next one is due.
pub fn due(pod: &Pod, observed: &Observed, memory: &Memory, now: Timestamp) -> (Vec<Due>, Option<Timestamp>) {
    let mut found = Vec::new();
    let mut next: Option<Timestamp> = None;
    for slot in slots(&pod.spec).filter(|slot| slot.role != Role::Init) {
        let Some(container) = observed.current(&slot.spec.name) else { continue };
        let State::Running(started_at) = container.state else { continue };
        if memory.is_starting(&slot.spec.name) {
            continue;
        }
        let started = is_started(memory, &slot, container);
        let known = memory.container(&slot.spec.name).probes.of(&container.id);
        for kind in ProbeKind::ALL {
            let Some(probe) = kind.of(&slot) else { continue };
            let wanted = match kind {
                ProbeKind::Startup => !started,
                ProbeKind::Liveness | ProbeKind::Readiness => started,
            };
            // Once the pod is to end, only whether it still serves is of interest.
            let to_go = memory.termination.is_some() || is_condemned(memory, container);
            if !wanted || (to_go && kind != ProbeKind::Readiness) {
                continue;
            }
            let row = known.map(|known| known.rows[kind as usize]).unwrap_or_default();
            if row.running {
                continue;
            }
            let at = row.next.unwrap_or_else(|| {
                let from = match kind {
                    ProbeKind::Readiness => known.and_then(|known| known.started_at).unwrap_or(started_at) + NOTICED,
                    ProbeKind::Startup | ProbeKind::Liveness => memory.probing_since,
                };
                first(from, started_at, probe)
            });
            if at <= now {
                found.push(Due { container: container.name.clone(), id: container.id.clone(), kind });
            } else {
                next = Some(next.map_or(at, |known| known.min(at)));
            }
        }
    }
    (found, next)
}

fn is_condemned(memory: &Memory, container: &Container) -> bool {
    memory.container(&container.name).condemned.as_ref().is_some_and(|condemned| condemned.id == container.id)
}

/// The first run of a probe: the first of its ticks at which the container runs and the initial delay is over.
///
/// As in Kubernetes a probe ticks every period, from the moment in which the kubelet took the pod on; readiness from the
/// moment in which the container was seen running, or passed its startup probe, so that it becomes ready without delay.
fn first(from: Timestamp, started_at: Timestamp, probe: &Probe) -> Timestamp {
    let delay = SignedDuration::from_secs(probe.initial_delay_seconds.max(0).into());
    let earliest = started_at.saturating_add(delay).unwrap_or(Timestamp::MAX);
    let missing = earliest.duration_since(from).as_nanos().max(0);
    let period = period(probe);
    let ticks = missing.div_euclid(period.as_nanos()) + i128::from(missing % period.as_nanos() > 0);
    let wait = i64::try_from(ticks)
        .ok()
        .and_then(|ticks| Some(SignedDuration::from_secs(period.as_secs().checked_mul(ticks)?)));
    wait.and_then(|wait| from.saturating_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

fn period(probe: &Probe) -> SignedDuration {
    SignedDuration::from_secs(if probe.period_seconds > 0 { probe.period_seconds } else { PERIOD }.into())
}

/// Whether a probe has said once of this very container that all is well, also to an earlier process.
pub fn has_passed(memory: &Memory, due: &Due) -> bool {
    let known = memory.container(&due.container).probes.of(&due.id);
    known.is_some_and(|known| match due.kind {
        ProbeKind::Startup => known.started,
        ProbeKind::Readiness => known.ready,
        ProbeKind::Liveness => true,
    })
}

/// How long one run of a probe may take.
pub fn timeout(probe: &Probe) -> Duration {
    Duration::from_secs(u64::try_from(probe.timeout_seconds.max(1)).unwrap_or(1))
}

impl Memory {
    /// Takes note that a probe runs. The next one follows a period later, however long this one takes.
    pub fn probe_begins(&mut self, due: &Due, probe: &Probe, now: Timestamp) {
        let known = &mut self.container_mut(&due.container).probes;
        if known.id != due.id {
            known.adopt(&due.id, false, false);
        }
        let period = period(probe);
        let row = &mut known.rows[due.kind as usize];
        // In step with the first run rather than with the moment at which this one was noticed.
        let planned = row.next.filter(|planned| now.duration_since(*planned) < period).unwrap_or(now);
        row.next = planned.saturating_add(period).ok();
        row.running = true;
    }

    /// Takes note of a probe's result; `None`: it could not be run, which says nothing.
    pub fn probed(&mut self, pod: &Pod, due: &Due, probe: &Probe, passed: Option<bool>, now: Timestamp) -> Verdict {
        let known = &mut self.container_mut(&due.container).probes;
        if known.id != due.id {
            return Verdict::Same;
        }
        let row = &mut known.rows[due.kind as usize];
        row.running = false;
        let Some(passed) = passed else { return Verdict::Same };
        row.length = if row.passed == passed { row.length.saturating_add(1) } else { 1 };
        if row.length == 1 {
            row.since = now;
        }
        let since = row.since;
        row.passed = passed;
        let threshold = if passed { probe.success_threshold } else { probe.failure_threshold };
        let default = if passed { 1 } else { 3 };
        if row.length < if threshold > 0 { threshold } else { default } {
            return Verdict::Same;
        }
        match (due.kind, passed) {
            (ProbeKind::Startup, true) => {
                known.started_at.get_or_insert(now);
                changed(&mut known.started, true)
            }
            (ProbeKind::Readiness, passed) => changed(&mut known.ready, passed),
            (ProbeKind::Liveness, true) => Verdict::Same,
            (ProbeKind::Startup | ProbeKind::Liveness, false) => {
                let kind = due.kind.title().to_lowercase();
                let name = &due.container;
                let message = match slot_of(&pod.spec, name) {
                    Some(slot) if slot.role != Role::Main => format!("Init container {name} failed {kind} probe"),
                    Some(slot) if slot.restarts_when_ill(&pod.spec) => {
                        format!("Container {name} failed {kind} probe, will be restarted")
                    }
                    _ => format!("Container {name} failed {kind} probe"),
                };
                // A probe may allow less time, or more, than the pod.
                let grace = probe.termination_grace_period_seconds.unwrap_or_else(|| grace_of(pod));
                let reason = if due.kind == ProbeKind::Startup { "StartupProbe" } else { "LivenessProbe" };
                let condemned = Condemned { id: due.id.clone(), reason, message, grace, since };
                let memory = self.container_mut(&due.container);
                if memory.condemned.as_ref().is_some_and(|known| known.id == due.id) {
                    return Verdict::Same;
                }
                memory.condemned = Some(condemned);
                Verdict::Failed
            }
        }
    }
}

fn changed(flag: &mut bool, to: bool) -> Verdict {
    if std::mem::replace(flag, to) == to {
        Verdict::Same
    } else if to {
        Verdict::Passed
    } else {
        Verdict::Failed
    }
}
