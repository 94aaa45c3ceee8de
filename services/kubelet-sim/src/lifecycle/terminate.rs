//! The end of a pod, and of a single container: preStop hook, TERM, KILL, within one grace period (SCENARIOS D6 to D9).

use std::time::Duration;

use jiff::Timestamp;

use super::action::{Action, Note, Work};
use super::memory::{Memory, Stage, Why, until};
use super::observed::Container;
use super::slot::{Role, Slot, slots};
use super::{Input, Step};

/// What a process gets between TERM and KILL however little of the grace period is left; also the one extension for a preStop
/// hook that outlives the grace period.
const LEAST: Duration = Duration::from_secs(2);

/// How a container is to be stopped.
pub(super) struct Order {
    /// When the grace period ends.
    pub(super) deadline: Timestamp,
    /// What the event says.
    pub(super) message: String,
    /// Whether it may get TERM already. Sidecars wait for those that they serve.
    pub(super) turn: bool,
}

/// What is to be done for a pod that is to end.
pub(super) fn plan(input: &Input<'_>, step: &mut Step) {
    let Input { pod, observed, memory, now, .. } = *input;
    let Some(termination) = &memory.termination else { return };
    if let Some(last_words) = &memory.last_words {
        step.status = last_words.as_ref().clone();
    }
    // A container that its hook has ended is still told to stop, as the hook's successor: then its end is told like any other.
    let in_hook = |container: &Container| {
        let stop = memory.stop_of(&container.name, &container.id);
        stop.is_some_and(|stop| matches!(stop.stage, Stage::Hook | Stage::HookDone))
    };
    let living: Vec<&Container> = observed.containers.iter().filter(|c| c.is_running() || in_hook(c)).collect();
    let mut stoppable = false;
    for slot in slots(&pod.spec) {
        // What an earlier spec named has no slot; it goes with its sandbox.
        for container in living.iter().filter(|container| container.name == slot.spec.name) {
            let message = format!("Stopping container {}", container.name);
            let turn = is_its_turn(input, &slot, &living);
            stop(input, step, &slot, container, &Order { deadline: termination.deadline, message, turn });
            stoppable = true;
        }
    }
    let busy = |work: &Work| work.is_start_up() || matches!(work, Work::Stop(..) | Work::Cleanup | Work::Delete);
    if stoppable || memory.busy.iter().any(busy) {
        return;
    }
    if let Some(retry_at) = memory.cleanup_retry.filter(|retry_at| *retry_at > now) {
        return step.wake(retry_at);
    }
    match termination.why {
        Why::Ended(_) | Why::Finished => stop_sandboxes(input, step, memory),
        Why::Deleted | Why::Removed if !observed.sandboxes.is_empty() => {
            let ids = observed.sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect();
            step.actions.push(Action::RemoveSandboxes(ids));
        }
        Why::Deleted if !memory.deleted => step.actions.push(Action::DeletePod),
        // With finalizers the object stays; there is nothing left to do for it here.
        Why::Deleted => {}
        Why::Removed => step.over = true,
    }
}

/// Sidecars are stopped after the containers they serve, the last one started first. Everybody else is stopped at once.
fn is_its_turn(input: &Input<'_>, slot: &Slot<'_>, living: &[&Container]) -> bool {
    slot.role != Role::Sidecar
        || !slots(&input.pod.spec)
            .filter(|other| other.role == Role::Main || (other.role == Role::Sidecar && other.index > slot.index))
            .any(|other| living.iter().any(|container| container.name == other.spec.name))
}

/// The next step towards the end of a running container.
pub(super) fn stop(input: &Input<'_>, step: &mut Step, slot: &Slot<'_>, container: &Container, order: &Order) {
    let Input { memory, now, .. } = *input;
    let Some(stop) = memory.stop_of(&container.name, &container.id) else {
        if let Some(retry_at) = memory.container(&container.name).stop_retry.filter(|retry_at| *retry_at > now) {
            return step.wake(retry_at);
        }
        let (container, id) = (container.name.clone(), container.id.clone());
        let note = Note::Killing { container, id, message: order.message.clone(), deadline: order.deadline };
        return step.actions.push(Action::Note(note));
    };
    // A single container's own deadline was set when its end was announced; the pod's may come sooner.
    let deadline = stop.deadline.min(order.deadline);
    let signal = |timeout: Duration, extended: bool| Action::Stop {
        container: container.name.clone(),
        id: container.id.clone(),
        timeout: whole_seconds(timeout.max(LEAST)),
        extended,
    };
    let left = until(now, deadline);
    match &stop.stage {
        Stage::Announced if has_pre_stop(slot) && deadline > now => {
            let (container, id) = (container.name.clone(), container.id.clone());
            step.actions.push(Action::PreStop { container, id, until: deadline });
        }
        Stage::Hook if deadline <= now => step.actions.push(signal(LEAST, true)),
        Stage::Hook => step.wake(deadline),
        Stage::Announced | Stage::HookDone if order.turn || deadline <= now => step.actions.push(signal(left, false)),
        Stage::Announced | Stage::HookDone => step.wake(deadline),
        // A shorter grace period arrived. Whole seconds and the least time blur the comparison by a second.
        Stage::Signalled { kill_at, .. } => {
            let sooner = left.max(LEAST) + Duration::from_secs(1);
            if until(now, *kill_at) > sooner {
                step.actions.push(signal(left, false));
            }
        }
    }
}

/// Stops the sandboxes that still stand.
pub(super) fn stop_sandboxes(input: &Input<'_>, step: &mut Step, memory: &Memory) {
    let standing = input.observed.sandboxes.iter().filter(|sandbox| sandbox.ready);
    let ids: Vec<String> = standing.map(|sandbox| sandbox.id.clone()).collect();
    if ids.is_empty() || memory.busy.contains(&Work::Cleanup) {
        return;
    }
    match memory.cleanup_retry.filter(|retry_at| *retry_at > input.now) {
        Some(retry_at) => step.wake(retry_at),
        None => step.actions.push(Action::StopSandboxes(ids)),
    }
}

fn has_pre_stop(slot: &Slot<'_>) -> bool {
    slot.lifecycle().is_some_and(|lifecycle| lifecycle.pre_stop.is_some())
}

/// CRI counts whole seconds; the last one begun counts.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_millis() > 0))
}
