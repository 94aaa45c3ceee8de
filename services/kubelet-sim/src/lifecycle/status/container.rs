//! What is reported of one container.

use api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, VolumeMountStatus,
};

use super::super::Input;
use super::super::action::Failure;
use super::super::observed::{Container, State};
use super::super::probes::{is_ready, is_started};
use super::super::slot::{Role, Slot, init_slots, main_slots};
use super::unseen;

/// One per init container, in the spec's order.
pub(super) fn init_statuses(input: &Input<'_>) -> Vec<ContainerStatus> {
    init_slots(&input.pod.spec).map(|slot| status(input, &slot)).collect()
}

/// One per container, in the spec's order.
pub(super) fn main_statuses(input: &Input<'_>) -> Vec<ContainerStatus> {
    main_slots(&input.pod.spec).map(|slot| status(input, &slot)).collect()
}

fn status(input: &Input<'_>, slot: &Slot<'_>) -> ContainerStatus {
    let Input { observed, memory, .. } = *input;
    let name = &slot.spec.name;
    let known = memory.container(name);
    let latest = observed.latest(name).filter(|container| container.state != State::Created);
    let mut status = ContainerStatus {
        name: name.clone(),
        image: slot.spec.image.clone(),
        started: Some(false),
        volume_mounts: mounts(slot),
        ..Default::default()
    };
    let waiting = || known.waiting.as_ref().map_or_else(|| not_yet(input), waits_for);
    let Some(container) = latest else { return unseen::status(input, slot, status) };
    status.restart_count = i32::try_from(container.attempt).unwrap_or(i32::MAX);
    status.image.clone_from(&container.image);
    status.image_id.clone_from(&container.image_id);
    status.container_id = container_id(input, container);
    status.user = container.user.as_ref().map(user);
    status.allocated_resources.clone_from(&slot.spec.resources.requests);
    status.resources = Some(slot.spec.resources.clone());
    let state = state(input, container);
    let before = || {
        let previous = observed.containers.iter().filter(|c| c.name == *name && c.attempt < container.attempt);
        previous.map(|c| self::state(input, c)).find(|state| state.terminated.is_some()).unwrap_or_default()
    };
    if container.is_running() {
        // Until its postStart hook has returned, a container does not count as running (SCENARIOS H1).
        if memory.is_starting(name) {
            status.state = waiting();
            status.last_state = before();
            return status;
        }
        status.state = state;
        status.last_state = before();
        status.started = Some(is_started(memory, slot, container));
        status.ready = slot.role != Role::Init && is_ready(memory, slot, container);
        return status;
    }
    // What failed since explains more than how the last attempt ended; where nothing is started any more, the end is all there is to tell.
    let restarts = |code| !is_deleted(input) && slot.restarts(&input.pod.spec, code);
    if known.waiting.is_some() && container.exit_code().is_some_and(restarts) {
        status.state = waiting();
        status.last_state = state;
    } else {
        status.state = state;
        status.last_state = before();
    }
    status.ready = slot.role == Role::Init && container.exit_code() == Some(0);
    status
}

/// Which attempt the next one will be: one after the newest that the runtime has, or that was ever reported.
pub(in crate::lifecycle) fn next_attempt(input: &Input<'_>, name: &str) -> u32 {
    let seen = input.observed.latest(name).map(|container| container.attempt + 1);
    seen.max(unseen::next_attempt(input.pod, name)).unwrap_or(0)
}

/// The state of a container whose turn has not come, or that is being made.
pub(super) fn not_yet(input: &Input<'_>) -> ContainerState {
    let reason = if input.pod.spec.init_containers.is_empty() { "ContainerCreating" } else { "PodInitializing" };
    let waiting = ContainerStateWaiting { reason: reason.to_owned(), message: String::new() };
    ContainerState { waiting: Some(waiting), ..Default::default() }
}

/// The state of a container that could not be started.
pub(super) fn waits_for(failure: &Failure) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: failure.reason.clone(), message: failure.message.clone() };
    ContainerState { waiting: Some(waiting), ..Default::default() }
}

/// Whether somebody asked for the pod's deletion: then nothing of it is started again.
pub(super) fn is_deleted(input: &Input<'_>) -> bool {
    input.pod.metadata.deletion_timestamp.is_some()
}

fn state(input: &Input<'_>, container: &Container) -> ContainerState {
    match &container.state {
        State::Created => ContainerState::default(),
        State::Running(started_at) => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some((*started_at).into()) }),
            ..Default::default()
        },
        State::Exited { started_at, finished_at, code, reason, message } => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: *code,
                signal: 0,
                reason: reason.clone(),
                message: message.clone(),
                started_at: started_at.map(Into::into),
                finished_at: Some((*finished_at).into()),
                container_id: container_id(input, container),
            }),
            ..Default::default()
        },
    }
}

fn container_id(input: &Input<'_>, container: &Container) -> String {
    format!("{}://{}", input.node.runtime_name, container.id)
}

fn user(user: &crate::cri::LinuxContainerUser) -> ContainerUser {
    let supplemental_groups = user.supplemental_groups.clone();
    ContainerUser { linux: Some(LinuxContainerUser { uid: user.uid, gid: user.gid, supplemental_groups }) }
}

fn mounts(slot: &Slot<'_>) -> Vec<VolumeMountStatus> {
    let status = |mount: &api::core::v1::VolumeMount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        recursive_read_only: mount.read_only.then(|| "Disabled".to_owned()),
    };
    slot.spec.volume_mounts.iter().map(status).collect()
}
