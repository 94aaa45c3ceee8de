//! Which attempt at a container is meant. Pure.
//!
//! Kubernetes' kubelet goes by the status that it has reported last. Ours asks the runtime, which knows of a restart before anything is
//! reported; only what has no container to show for it is told from the status.

use api::core::v1::{ContainerStatus, Pod};
use api::{Error, Reason};

use crate::lifecycle::{Container, Observed, Sandbox, State};

/// The attempt whose lines are wanted: the current one, or the one that ended before it. `BadRequest`, in Kubernetes' words, where there
/// is none.
pub(super) fn logged(pod: &Pod, observed: &Observed, name: &str, previous: bool) -> api::Result<String> {
    let pod_name = &pod.metadata.name;
    let refuse = |what: String| Err(Error::bad_request(what));
    let status = status(pod, name);
    // Newest first.
    let mut ran =
        observed.containers.iter().filter(|container| container.name == name && container.state != State::Created);
    let Some(current) = ran.next() else {
        if previous {
            return refuse(format!("previous terminated container {name:?} in pod {pod_name:?} not found"));
        }
        return refuse(not_started(pod_name, name, status));
    };
    if !previous {
        return Ok(current.id.clone());
    }
    // A container that waits to be started again has its last attempt behind it.
    let waits = status.is_some_and(|status| status.state.waiting.is_some());
    let ended = |container: &&Container| matches!(container.state, State::Exited { .. });
    let before = if waits && ended(&current) { Some(current) } else { ran.find(ended) };
    match before {
        Some(container) => Ok(container.id.clone()),
        None => refuse(format!("previous terminated container {name:?} in pod {pod_name:?} not found")),
    }
}

/// Why a container has nothing to show.
fn not_started(pod: &str, name: &str, status: Option<&ContainerStatus>) -> String {
    let container = format!("container {name:?} in pod {pod:?}");
    let Some(status) = status else { return format!("{container} is not available") };
    if status.state.terminated.is_some() || status.last_state.terminated.is_some() {
        return format!("{container} is terminated");
    }
    match status.state.waiting.as_ref().map(|waiting| waiting.reason.as_str()) {
        Some("ErrImagePull") => format!("{container} is waiting to start: image can't be pulled"),
        Some("ImagePullBackOff") => format!("{container} is waiting to start: trying and failing to pull image"),
        Some(reason) => format!("{container} is waiting to start: {reason}"),
        None => format!("{container} is waiting to start - no logs yet"),
    }
}

fn status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = &pod.status;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses);
    all.chain(&status.ephemeral_container_statuses).find(|status| status.name == name)
}

/// The container to run a command in or to join.
pub(super) fn running<'a>(observed: &'a Observed, name: &str) -> api::Result<&'a str> {
    let found = observed.containers.iter().find(|container| container.name == name && container.is_running());
    let gone = || Error::new(Reason::NotFound, format!("container not found ({name:?})"));
    found.map(|container| container.id.as_str()).ok_or_else(gone)
}

/// The sandbox whose network the pod has.
pub(super) fn sandbox<'a>(observed: &'a Observed, pod: &str) -> api::Result<&'a Sandbox> {
    let gone = || Error::new(Reason::NotFound, format!("pod not found ({pod:?})"));
    observed.sandboxes.iter().find(|sandbox| sandbox.ready).ok_or_else(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStateWaiting};
    use jiff::Timestamp;

    fn container(attempt: u32, state: State) -> Container {
        Container {
            id: format!("c{attempt}"),
            sandbox: "s".to_owned(),
            name: "app".to_owned(),
            attempt,
            state,
            wanted_image: String::new(),
            image: String::new(),
            image_id: String::new(),
            user: None,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn exited() -> State {
        State::Exited {
            started_at: None,
            finished_at: Timestamp::UNIX_EPOCH,
            code: 1,
            reason: String::new(),
            message: String::new(),
        }
    }

    /// Newest first, as observed.
    fn observed(states: Vec<State>) -> Observed {
        let count = u32::try_from(states.len()).unwrap();
        let containers = (0..count).rev().zip(states).map(|(attempt, state)| container(attempt, state)).collect();
        Observed { sandboxes: Vec::new(), containers }
    }

    fn pod(state: ContainerState, last_state: ContainerState) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        let status = ContainerStatus { name: "app".to_owned(), state, last_state, ..ContainerStatus::default() };
        pod.status.container_statuses.push(status);
        pod
    }

    fn waiting(reason: &str) -> ContainerState {
        let waiting = Some(ContainerStateWaiting { reason: reason.to_owned(), ..Default::default() });
        ContainerState { waiting, ..ContainerState::default() }
    }

    fn terminated() -> ContainerState {
        ContainerState { terminated: Some(ContainerStateTerminated::default()), ..ContainerState::default() }
    }

    #[test]
    fn the_attempt_is_found_in_the_runtime_before_it_is_reported() {
        let running = || State::Running(Timestamp::UNIX_EPOCH);
        let (not_said, back_off) = (ContainerState::default, || waiting("CrashLoopBackOff"));
        let table = [
            ("running", vec![running()], not_said(), false, Some("c0")),
            ("running, the one before", vec![running(), exited()], not_said(), true, Some("c0")),
            ("running for the first time, the one before", vec![running()], not_said(), true, None),
            ("ended", vec![exited()], terminated(), false, Some("c0")),
            ("ended for good, the one before", vec![exited()], terminated(), true, None),
            ("waits for its restart", vec![exited(), exited()], back_off(), false, Some("c1")),
            ("waits for its restart, the one before", vec![exited(), exited()], back_off(), true, Some("c1")),
            ("created beside the ended one", vec![State::Created, exited()], back_off(), false, Some("c0")),
            ("said to wait, but runs again, the one before", vec![running(), exited()], back_off(), true, Some("c0")),
        ];
        for (case, states, state, previous, expected) in table {
            let found = logged(&pod(state, ContainerState::default()), &observed(states), "app", previous);
            assert_eq!(found.as_deref().ok(), expected, "{case}: {found:?}");
        }
    }

    #[test]
    fn what_has_not_run_is_told_in_kubernetes_words() {
        let say = |pod: &Pod, previous| logged(pod, &Observed::default(), "app", previous).unwrap_err().message;
        let none = ContainerState::default;
        for (reason, expected) in [
            ("ContainerCreating", "is waiting to start: ContainerCreating"),
            ("PodInitializing", "is waiting to start: PodInitializing"),
            ("CreateContainerConfigError", "is waiting to start: CreateContainerConfigError"),
            ("ErrImagePull", "is waiting to start: image can't be pulled"),
            ("ImagePullBackOff", "is waiting to start: trying and failing to pull image"),
        ] {
            let said = say(&pod(waiting(reason), none()), false);
            assert_eq!(said, format!("container \"app\" in pod \"web\" {expected}"));
        }
        assert_eq!(
            say(&pod(none(), none()), false),
            "container \"app\" in pod \"web\" is waiting to start - no logs yet"
        );
        assert_eq!(say(&pod(terminated(), none()), false), "container \"app\" in pod \"web\" is terminated");
        assert_eq!(say(&pod(waiting("x"), terminated()), false), "container \"app\" in pod \"web\" is terminated");
        let mut unknown = pod(none(), none());
        unknown.status.container_statuses.clear();
        assert_eq!(say(&unknown, false), "container \"app\" in pod \"web\" is not available");
        assert_eq!(
            say(&pod(waiting("ContainerCreating"), none()), true),
            "previous terminated container \"app\" in pod \"web\" not found"
        );
    }

    #[test]
    fn only_what_runs_can_be_entered() {
        let running = observed(vec![State::Running(Timestamp::UNIX_EPOCH)]);
        assert_eq!(super::running(&running, "app").unwrap(), "c0");
        for (name, observed) in [("other", &running), ("app", &observed(vec![exited()]))] {
            let error = super::running(observed, name).unwrap_err();
            assert_eq!((error.reason, error.message), (Reason::NotFound, format!("container not found ({name:?})")));
        }
        assert_eq!(sandbox(&running, "web_default").unwrap_err().message, "pod not found (\"web_default\")");
    }
}
