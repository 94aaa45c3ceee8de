//! How work changes what the kubelet remembers: taking note of its beginning and of its end.

use std::time::Duration;

use api::core::v1::Pod;
use jiff::Timestamp;

use super::action::{Action, Failure, FailureKind, Note, Work};
use super::after;
use super::memory::{Condemned, LostSandbox, Memory, Stage, Stop, Why, grace_of};
use super::observed::{Observed, State};
use super::restart::CrashBackoff;
use super::slot::slot_of;

/// How long, in seconds, a failed pull or start shows its own reason before it shows that it is being waited for. In Kubernetes that is
/// until the pod is next looked at.
pub(super) const ERROR_SHOWN: i64 = 3;
/// How soon something that failed without a delay of its own is tried again, in seconds.
const RETRY: i64 = 5;

impl Memory {
    /// Takes note that an action begins, and answers what it keeps busy.
    pub fn begin(&mut self, action: &Action, pod: &Pod, observed: &Observed, now: Timestamp) -> Option<Work> {
        let work = match action {
            Action::RunSandbox { .. } => {
                self.volumes_mounted = false;
                Work::Sandbox
            }
            Action::MountVolumes => Work::Volumes,
            Action::Start { container, .. } => {
                let before = observed.current(container);
                let wanted = slot_of(&pod.spec, container).map(|slot| slot.spec);
                let memory = self.container_mut(container);
                match before.map(|before| (&before.state, before)) {
                    // Another image is another container: what its predecessor did is not held against it.
                    Some((_, before)) if wanted.is_some_and(|spec| before.has_other_image(spec)) => {
                        memory.crashes = None
                    }
                    Some((State::Exited { finished_at, .. }, _)) => {
                        memory.crashes = Some(CrashBackoff::grow(memory.crashes, *finished_at, now));
                    }
                    _ => {}
                }
                (memory.retry_at, memory.condemned, memory.stop, memory.stop_retry) = (None, None, None, None);
                memory.back_off_told = None;
                Work::Start(container.clone())
            }
            Action::PostStart { container, .. } => {
                self.container_mut(container).owes_hook = None;
                Work::Start(container.clone())
            }
            Action::PreStop { container, id, .. } => {
                self.set_stage(container, id, Stage::Hook);
                Work::PreStop(id.clone())
            }
            Action::Stop { container, id, timeout, .. } => {
                let nth = match self.stop_of(container, id).map(|stop| &stop.stage) {
                    Some(Stage::Signalled { nth, .. }) => nth + 1,
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
                self.terminate(why.clone(), grace_of(pod), now);
                return None;
            }
            Action::Note(note) => {
                self.take_note(note, pod, observed, now);
                return None;
            }
        };
        self.busy.insert(work.clone());
        Some(work)
    }

    fn take_note(&mut self, note: &Note, pod: &Pod, observed: &Observed, now: Timestamp) {
        if let Note::CrashLoop { container, .. } | Note::PullBackOff { container, .. } = note {
            self.container_mut(container).back_off_told = Some(now);
        }
        match note {
            Note::Killing { container, id, deadline, .. } => {
                let stop = Stop { id: id.clone(), deadline: *deadline, stage: Stage::Announced };
                let memory = self.container_mut(container);
                (memory.stop, memory.stop_retry) = (Some(stop), None);
            }
            Note::SandboxChanged { id } => self.lost = Some(LostSandbox { id: id.clone(), stopped: false }),
            Note::CrashLoop { again: true, .. } | Note::PullBackOff { again: true, .. } => {}
            Note::CrashLoop { container, delay, .. } => {
                let pod = format!("{}_{}({})", pod.metadata.name, pod.metadata.namespace, pod.metadata.uid);
                let delay = go_duration(*delay);
                let message = format!("back-off {delay} restarting failed container={container} pod={pod}");
                let attempt = observed.latest(container).map(|latest| latest.attempt);
                let memory = self.container_mut(container);
                memory.crash_loop = attempt;
                let reason = "CrashLoopBackOff".to_owned();
                memory.waiting = Some(Failure { kind: FailureKind::Container, reason, message });
            }
            Note::PullBackOff { container, image, .. } => {
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
            (Work::Cleanup, Ok(())) => {
                self.cleanup_retry = None;
                if let Some(lost) = &mut self.lost {
                    lost.stopped = true;
                }
            }
            (Work::Stop(id, nth), Err(_)) => self.stop_failed(id, *nth, now),
            (Work::Stop(..) | Work::Remove(_), Ok(())) => {}
        }
    }

    /// The runtime went away, or refuses: stopping begins again from the start, with the whole grace period.
    fn stop_failed(&mut self, id: &str, nth: u32, now: Timestamp) {
        let failed = |stop: &Stop| stop.id == id && matches!(stop.stage, Stage::Signalled { nth: n, .. } if n == nth);
        let Some(memory) = self.containers.values_mut().find(|memory| memory.stop.as_ref().is_some_and(failed)) else {
            return;
        };
        let retry_at = after(now, 1);
        (memory.stop, memory.stop_retry) = (None, Some(retry_at));
        if let Some(termination) = &mut self.termination {
            termination.deadline = after(retry_at, termination.grace);
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
                memory.pull_error_until = Some(after(now, ERROR_SHOWN));
            }
            FailureKind::Setup => memory.retry_at = Some(after(now, RETRY)),
            FailureKind::Container => {
                if let Some(id) = running {
                    // Only a hook fails in a container that runs.
                    let message = "FailedPostStartHook".to_owned();
                    let reason = "FailedPostStartHook";
                    memory.condemned = Some(Condemned { id, reason, message, grace: grace_of(pod), since: now });
                }
            }
        }
        memory.waiting = Some(failure);
    }
}

/// A delay as Go prints it: `10s`, `1m20s`, `5m0s`.
fn go_duration(delay: Duration) -> String {
    let seconds = delay.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}
