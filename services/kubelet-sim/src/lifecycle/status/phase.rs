//! The phase: the shortest answer to how a pod is doing.
//!
//! See [pod phase](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase).

use api::core::v1::{ContainerStatus, PodStatus};

use super::super::Input;
use super::super::memory::Why;
use super::super::slot::{Role, init_slots, main_slots};

/// Works out the phase from the containers' statuses, which must be set already.
pub(super) fn phase(input: &Input<'_>, status: &PodStatus) -> &'static str {
    let spec = &input.pod.spec;
    // A phase that says "over" is never taken back.
    match input.pod.status.phase.as_str() {
        "Succeeded" => return "Succeeded",
        "Failed" => return "Failed",
        _ => {}
    }
    let started = status.container_statuses.iter().any(|c| ran(c) || c.state.running.is_some());
    for (slot, init) in init_slots(spec).zip(&status.init_container_statuses) {
        match (slot.role, exit_code(init)) {
            (Role::Init, Some(0)) => {}
            (Role::Init, Some(code)) if !slot.restarts(spec, code) => return "Failed",
            (Role::Init, _) if !started => return "Pending",
            (Role::Sidecar, _) if !started && init.started != Some(true) => return "Pending",
            _ => {}
        }
    }
    let mut waiting = 0;
    let mut running = 0;
    let (mut stopped, mut succeeded, mut restarting) = (0, 0, 0);
    for (slot, main) in main_slots(spec).zip(&status.container_statuses) {
        if main.state.running.is_some() {
            running += 1;
        } else if let Some(code) = exit_code(main) {
            stopped += 1;
            succeeded += usize::from(code == 0);
            restarting += usize::from(slot.restarts(spec, code));
        } else {
            waiting += 1;
        }
    }
    // Once the pod is to end and nothing runs, nothing will be started any more.
    let closing = input.memory.termination.as_ref().is_some_and(|t| !matches!(t.why, Why::Finished));
    let restarting = if closing { 0 } else { restarting };
    match (waiting, running, stopped, restarting) {
        (1.., ..) => "Pending",
        (_, 1.., ..) | (_, _, _, 1..) => "Running",
        (_, _, 1.., _) if stopped == succeeded => "Succeeded",
        (_, _, 1.., _) => "Failed",
        _ => "Pending",
    }
}

/// Whether any attempt of it has run: one that waits to be restarted has, one that waits for the first time has not.
fn ran(status: &ContainerStatus) -> bool {
    exit_code(status).is_some()
}

/// How it ended, or how it ended before it began to wait for its next start.
pub(super) fn exit_code(status: &ContainerStatus) -> Option<i32> {
    if status.state.running.is_some() {
        return None;
    }
    let ended = status.state.terminated.as_ref().or(status.last_state.terminated.as_ref());
    ended.map(|terminated| terminated.exit_code)
}
