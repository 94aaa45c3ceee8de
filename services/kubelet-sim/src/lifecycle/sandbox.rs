//! The sandbox that a pod lives in: made first, and made again when it is lost or out of date (SCENARIOS I1, I5, I7).
//!
//! ```text
//! none ──> RunSandbox ──> ready ──> lost, or an init container's image has changed
//!              ^                                     │
//!              └── sandbox stopped <── containers stopped <── SandboxChanged, if anything is left to run
//! ```

use super::action::{Action, Note, Work};
use super::memory::grace_of;
use super::observed::{Container, Sandbox, State};
use super::slot::{Role, Slot, init_slots, main_slots, slots};
use super::{Input, Step, after, terminate};

/// What a process that is killed reports.
const KILLED: i32 = 137;

/// What is to be done for the sandbox; true once the pod has one to live in.
pub(super) fn plan(input: &Input<'_>, step: &mut Step) -> bool {
    let Input { observed, memory, .. } = *input;
    let Some(sandbox) = observed.sandboxes.first() else {
        step.actions.push(Action::RunSandbox { attempt: 0 });
        return false;
    };
    let outdated = input.node.init_image_restarts && init_image_changed(input) && any_runs_again(input);
    if sandbox.ready && !outdated {
        return true;
    }
    let known = memory.lost.as_ref().filter(|lost| lost.id == sandbox.id);
    if known.is_none() && any_runs_again(input) {
        step.actions.push(Action::Note(Note::SandboxChanged { id: sandbox.id.clone() }));
    } else if !stop_containers(input, step) {
        match known {
            Some(lost) if lost.stopped => step.actions.push(Action::RunSandbox { attempt: sandbox.attempt + 1 }),
            Some(_) => stop(input, step, sandbox),
            // Nothing is left to run: once that shows, the pod is over.
            None => {}
        }
    }
    false
}

/// Whether an init container was run, or runs, from another image than is wanted now.
fn init_image_changed(input: &Input<'_>) -> bool {
    init_slots(&input.pod.spec).filter(|slot| slot.role == Role::Init).any(|slot| {
        input.observed.current(&slot.spec.name).is_some_and(|container| container.has_other_image(slot.spec))
    })
}

/// Whether a new sandbox would have something to do: a container that has not run yet, or that is started again when it is killed.
fn any_runs_again(input: &Input<'_>) -> bool {
    let spec = &input.pod.spec;
    let runs_again = |slot: Slot<'_>| match input.observed.latest(&slot.spec.name).map(|container| &container.state) {
        Some(State::Running(_)) => slot.restarts(spec, KILLED),
        Some(State::Exited { code, .. }) => slot.restarts(spec, *code),
        Some(State::Created) | None => true,
    };
    main_slots(spec).any(runs_again)
}

/// Stops what still runs in a sandbox that goes; false once nothing does.
fn stop_containers(input: &Input<'_>, step: &mut Step) -> bool {
    let Input { pod, observed, now, .. } = *input;
    let mut running = false;
    for slot in slots(&pod.spec) {
        let attempts = observed.containers.iter().filter(|container| container.name == slot.spec.name);
        for container in attempts.filter(|container| Container::is_running(container)) {
            let message = format!("Stopping container {}", container.name);
            let order = terminate::Order { deadline: after(now, grace_of(pod)), message, turn: true };
            terminate::stop(input, step, &slot, container, &order);
            running = true;
        }
    }
    running
}

/// Gives back the network of a sandbox that goes.
fn stop(input: &Input<'_>, step: &mut Step, sandbox: &Sandbox) {
    if input.memory.busy.contains(&Work::Cleanup) {
        return;
    }
    match input.memory.cleanup_retry.filter(|retry_at| *retry_at > input.now) {
        Some(retry_at) => step.wake(retry_at),
        None => step.actions.push(Action::StopSandboxes(vec![sandbox.id.clone()])),
    }
}
