//! The last status of a pod, when nothing of it will run any more: whatever was not seen to end counts as ended.

use api::core::v1::{ContainerStatus, PodStatus};

use super::super::Input;
use super::super::action::Work;
use super::super::memory::Memory;
use super::super::slot::{Role, init_slots};
use super::phase::exit_code;
use super::unseen::unknown;

/// Whether nothing of the pod runs or is being started or stopped. What is left to do then concerns its sandbox and its object.
pub(super) fn is_still(memory: &Memory) -> bool {
    memory.busy.iter().all(|work| matches!(work, Work::Cleanup | Work::Remove(_) | Work::Delete))
}

/// Ends the containers' statuses. Containers that never had their turn stay as they are.
pub(super) fn close(input: &Input<'_>, status: &mut PodStatus) {
    let initialized = is_initialized(input, status);
    let begun = status.init_container_statuses.iter().rposition(has_begun).map_or(1, |last| last + 1);
    let init = status.init_container_statuses.iter_mut().take(begun);
    let main = status.container_statuses.iter_mut().filter(|_| initialized);
    for container in init.chain(main).filter(|container| container.state.terminated.is_none()) {
        container.state = unknown("The container could not be located when the pod was terminated");
    }
}

fn has_begun(container: &ContainerStatus) -> bool {
    container.state.waiting.is_none() || container.last_state.terminated.is_some()
}

/// Whether the containers' turn had come.
fn is_initialized(input: &Input<'_>, status: &PodStatus) -> bool {
    let Some((slot, last)) = init_slots(&input.pod.spec).zip(&status.init_container_statuses).next_back() else {
        return true;
    };
    let passed = match slot.role {
        Role::Sidecar => last.state.running.is_some() && last.started == Some(true),
        _ => exit_code(last) == Some(0),
    };
    passed || status.container_statuses.iter().any(has_begun)
}
