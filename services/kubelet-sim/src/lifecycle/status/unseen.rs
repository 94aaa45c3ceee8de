//! What is reported of a container that the runtime does not have: not made yet, removed since, or lost.
//!
//! Of one that has been reported before, the old status is all that is left to tell by.

use api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::super::Input;
use super::super::slot::{Role, Slot, main_slots};
use super::container::{is_deleted, not_yet, waits_for};

/// How a container ended that was not seen to end.
pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// What a process that is killed reports.
const KILLED: i32 = 137;

/// The status on top of what is known of every container.
pub(super) fn status(input: &Input<'_>, slot: &Slot<'_>, new: ContainerStatus) -> ContainerStatus {
    let mut status = ContainerStatus { state: not_yet(input), ..new };
    match reported(input.pod, &slot.spec.name) {
        Some(old) if old.state.terminated.is_some() => status = ContainerStatus { ready: false, ..old.clone() },
        Some(old) => {
            status.restart_count = old.restart_count;
            status.last_state.clone_from(&old.last_state);
            if old.state.running.is_some() && old.last_state.terminated.is_none() {
                let message =
                    "The container could not be located when the pod was deleted.  The container used to be Running";
                status.last_state = unknown(message);
                status.restart_count += i32::from(!is_deleted(input));
            }
        }
        None => {}
    }
    status.started = Some(false);
    if slot.role == Role::Init {
        if status.state.waiting.is_some() && is_initialized(input) {
            status.state = passed();
        }
        status.ready = status.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
        if status.ready {
            return status;
        }
    }
    let known = input.memory.container(&slot.spec.name);
    if let Some(failure) = known.waiting.as_ref().filter(|_| !is_deleted(input)) {
        let before = std::mem::replace(&mut status.state, waits_for(failure));
        if before.terminated.is_some() {
            status.last_state = before;
        }
    }
    status
}

/// Which attempt follows those that were reported; `None` if there were none.
pub(super) fn next_attempt(pod: &Pod, name: &str) -> Option<u32> {
    let told = reported(pod, name)?;
    let ran = !told.container_id.is_empty() || told.last_state.terminated.is_some();
    // The loss of a container has been counted already.
    let counted = told.container_id.is_empty()
        && told.last_state.terminated.as_ref().is_some_and(|ended| ended.reason == STATUS_UNKNOWN);
    let count = u32::try_from(told.restart_count).ok()?;
    ran.then(|| if counted { count } else { count + 1 })
}

/// A container that has ended, nobody knows how.
pub(super) fn unknown(message: &str) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: KILLED,
        reason: STATUS_UNKNOWN.to_owned(),
        message: message.to_owned(),
        ..Default::default()
    };
    ContainerState { terminated: Some(terminated), ..Default::default() }
}

/// An init container that must have succeeded, since what follows it has been made.
fn passed() -> ContainerState {
    let message = "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally";
    let terminated =
        ContainerStateTerminated { reason: "Completed".to_owned(), message: message.to_owned(), ..Default::default() };
    ContainerState { terminated: Some(terminated), ..Default::default() }
}

fn is_initialized(input: &Input<'_>) -> bool {
    main_slots(&input.pod.spec).any(|slot| input.observed.current(&slot.spec.name).is_some())
}

/// What was last reported of a container.
fn reported<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let mut all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    all.find(|status| status.name == name)
}
