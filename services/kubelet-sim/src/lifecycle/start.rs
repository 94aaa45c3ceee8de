//! Bringing a pod up and keeping it up.

use super::action::{Action, Note};
use super::memory::{ContainerMemory, Ended, Why, grace_of};
use super::observed::{Container, State};
use super::probes::is_started;
use super::progress::ERROR_SHOWN;
use super::restart::CrashBackoff;
use super::slot::{Role, Slot, init_slots, main_slots};
use super::status::next_attempt;
use super::{Input, Step, after, sandbox, terminate};

/// How often, in seconds, a back-off is told while it lasts: as often as a kubelet looks at a pod of which it hears nothing.
const TOLD_EVERY: i64 = 60;

/// What is to be done for a pod that is not to end.
///
/// `over`: its containers, or the kubelet, have decided that it is done, whatever is reported yet.
pub(super) fn plan(input: &Input<'_>, step: &mut Step, over: bool) {
    let Input { pod, memory, now, .. } = *input;
    if over {
        return finish(input, step);
    }
    if let Some(deadline) = deadline(input) {
        if deadline <= now {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            let ended = Ended { reason: "DeadlineExceeded".to_owned(), message };
            return step.actions.push(Action::Terminate(Why::Ended(ended)));
        }
        step.wake(deadline);
    }
    if main_is_over(input) {
        // Only sidecars are left, and they exist for the others.
        return step.actions.push(Action::Terminate(Why::Finished));
    }
    condemned(input, step);
    if memory.starting() {
        return;
    }
    if let Some((_, retry_at)) = &memory.setback
        && *retry_at > now
    {
        return step.wake(*retry_at);
    }
    if !sandbox::plan(input, step) {
        return;
    }
    if !memory.volumes_mounted {
        return step.actions.push(Action::MountVolumes);
    }
    if init(input, step) {
        for slot in main_slots(&pod.spec) {
            if start(input, step, &slot) {
                break;
            }
        }
    }
    forget_old(input, step);
}

/// When the pod's time is up, whatever it does.
fn deadline(input: &Input<'_>) -> Option<jiff::Timestamp> {
    let seconds = input.pod.spec.active_deadline_seconds?;
    Some(after(input.memory.start_time?, seconds))
}

/// Whether what the pod is about has ended for good.
fn main_is_over(input: &Input<'_>) -> bool {
    let spec = &input.pod.spec;
    let sidecar_lives = init_slots(spec)
        .filter(|slot| slot.role == Role::Sidecar)
        .any(|slot| input.observed.current(&slot.spec.name).is_some_and(Container::is_running));
    sidecar_lives && main_slots(spec).all(|slot| is_done(input, &slot))
}

/// Whether a container has ended for good, in this sandbox or in an earlier one.
fn is_done(input: &Input<'_>, slot: &Slot<'_>) -> bool {
    let ended = input.observed.latest(&slot.spec.name).and_then(Container::exit_code);
    ended.is_some_and(|code| !slot.restarts(&input.pod.spec, code))
}

/// Goes through the init containers in order; true once the others may start.
fn init(input: &Input<'_>, step: &mut Step) -> bool {
    let Input { pod, observed, memory, .. } = *input;
    // Where a container has been created, the init containers had succeeded; the runtime may have forgotten them since.
    let initialized = main_slots(&pod.spec).any(|slot| observed.current(&slot.spec.name).is_some());
    for slot in init_slots(&pod.spec) {
        let container = observed.current(&slot.spec.name);
        let running = container.filter(|container| container.is_running());
        match slot.role {
            Role::Sidecar => {
                if start(input, step, &slot) {
                    return false;
                }
                // The next one starts when this one has started; once initialized, a sidecar that restarts holds nobody up.
                if !initialized && !running.is_some_and(|container| is_started(memory, &slot, container)) {
                    return false;
                }
            }
            _ if initialized || container.and_then(Container::exit_code) == Some(0) => {}
            _ => {
                start(input, step, &slot);
                return false;
            }
        }
    }
    true
}

/// Starts a container if it should run and does not. True: it is being started, so nothing else may be for now.
fn start(input: &Input<'_>, step: &mut Step, slot: &Slot<'_>) -> bool {
    let Input { observed, memory, now, .. } = *input;
    let name = &slot.spec.name;
    let known = memory.container(name);
    // What was done before the sandbox was lost is not done again, except for init containers.
    if slot.role == Role::Main && is_done(input, slot) {
        return false;
    }
    let go = Action::Start { container: name.clone(), attempt: next_attempt(input, name) };
    match observed.current(name).map(|container| (&container.state, container)) {
        Some((State::Running(_), container)) if known.owes_hook.as_ref() == Some(&container.id) => {
            let (container, id, attempt) = (name.clone(), container.id.clone(), container.attempt);
            step.actions.push(Action::PostStart { container, id, attempt });
            return true;
        }
        Some((State::Running(_), _)) => return false,
        Some((State::Exited { code, .. }, _)) if !slot.restarts(&input.pod.spec, *code) => return false,
        Some((State::Exited { finished_at, .. }, container)) if !container.has_other_image(slot.spec) => {
            if let Some((until, delay)) = CrashBackoff::wait(known.crashes, *finished_at)
                && until > now
            {
                // A start that failed (RunContainerError, PostStartHookError) says so for a while.
                let told_at = if known.waiting.is_some() { after(*finished_at, ERROR_SHOWN) } else { now };
                let again = known.crash_loop == Some(container.attempt);
                if told_at > now {
                    step.wake(told_at);
                } else if !again || is_to_be_told(known, step, now) {
                    step.actions.push(Action::Note(Note::CrashLoop { container: name.clone(), delay, again }));
                }
                step.wake(until);
                return false;
            }
        }
        // What was created and never started is left behind: a start that was given up half-way. Another image does not wait.
        Some((State::Created | State::Exited { .. }, _)) | None => {}
    }
    if waits_for_image(known, slot, step, now) {
        return false;
    }
    step.actions.push(go);
    true
}

/// Whether a container that could not be started is not to be tried again yet.
fn waits_for_image(known: &ContainerMemory, slot: &Slot<'_>, step: &mut Step, now: jiff::Timestamp) -> bool {
    let Some(retry_at) = known.retry_at.filter(|retry_at| *retry_at > now) else { return false };
    step.wake(retry_at);
    let again = known.pull_error_until.is_none();
    let tell = match known.pull_error_until {
        Some(shown_until) if shown_until > now => {
            step.wake(shown_until);
            false
        }
        Some(_) => true,
        None => is_to_be_told(known, step, now),
    };
    if tell {
        let (container, image) = (slot.spec.name.clone(), slot.spec.image.clone());
        step.actions.push(Action::Note(Note::PullBackOff { container, image, again }));
    }
    true
}

/// Whether a back-off that was told is to be told again, now or later. What failed without a back-off has not been told.
fn is_to_be_told(known: &ContainerMemory, step: &mut Step, now: jiff::Timestamp) -> bool {
    let Some(told) = known.back_off_told else { return false };
    let due = after(told, TOLD_EVERY);
    if due > now {
        step.wake(due);
    }
    due <= now
}

/// Stops containers that must go although the pod stays: unhealthy ones, and those whose image has changed.
fn condemned(input: &Input<'_>, step: &mut Step) {
    let Input { pod, observed, memory, now, .. } = *input;
    for slot in init_slots(&pod.spec).chain(main_slots(&pod.spec)) {
        let name = &slot.spec.name;
        let Some(container) = observed.current(name).filter(|container| container.is_running()) else { continue };
        let known = memory.container(name);
        let sentence = known.condemned.as_ref().filter(|condemned| condemned.id == container.id);
        let (message, grace) = match sentence {
            Some(condemned) => (condemned.message.clone(), condemned.grace),
            None if slot.role == Role::Main && container.has_other_image(slot.spec) => {
                (format!("Container {name} definition changed, will be restarted"), grace_of(pod))
            }
            None if slot.role == Role::Sidecar && container.has_other_image(slot.spec) => {
                (format!("Init container {name} definition changed"), grace_of(pod))
            }
            None => continue,
        };
        terminate::stop(
            input,
            step,
            &slot,
            container,
            &terminate::Order { deadline: after(now, grace), message, turn: true },
        );
    }
}

/// A pod that is over keeps its containers to be read, but not its sandbox.
fn finish(input: &Input<'_>, step: &mut Step) {
    let Input { observed, memory, .. } = *input;
    if observed.containers.iter().any(Container::is_running) {
        // A pod that failed at its first init container may still have sidecars.
        return step.actions.push(Action::Terminate(Why::Finished));
    }
    terminate::stop_sandboxes(input, step, memory);
}

/// Removes attempts that nobody can ask about any more: all but the newest two of each container.
fn forget_old(input: &Input<'_>, step: &mut Step) {
    let Input { pod, observed, memory, now, .. } = *input;
    if let Some(retry_at) = memory.cleanup_retry.filter(|retry_at| *retry_at > now) {
        return step.wake(retry_at);
    }
    for slot in init_slots(&pod.spec).chain(main_slots(&pod.spec)) {
        let attempts = observed.containers.iter().filter(|container| container.name == slot.spec.name);
        for old in attempts.skip(2).filter(|old| !old.is_running()) {
            if !memory.busy.contains(&super::Work::Remove(old.id.clone())) {
                step.actions.push(Action::RemoveContainer(old.id.clone()));
            }
        }
    }
}
