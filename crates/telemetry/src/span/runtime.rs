//! The runtime client: calls over the Container Runtime Interface and what they are for.
//!
//! A container's start is one step with three calls inside (pull, create, start), so that a slow image is told from a
//! slow start. Everything here changes the node, so a run that had nothing to do so far begins to work.

use tracing::Span;

use super::{SpanExt, child, child_call, work_begins};
use crate::{Step, attr};

/// Creating the sandbox (pause) and attaching its network.
pub fn run_sandbox() -> Span {
    call("run sandbox", Some(Step::PodCreate5c))
}

/// Mounting volumes, config maps and secrets.
pub fn mount_volumes() -> Span {
    work_begins();
    child("mount volumes", Some(Step::PodCreate5d))
}

/// Init container `index` from pull to exit.
pub fn init_container(container: &str, index: u32) -> Span {
    around("run init container", Step::PodCreate5e(index), container)
}

/// Container `index` from pull to started.
pub fn container(container: &str, index: u32) -> Span {
    around("start container", Step::PodCreate5f(index), container)
}

/// Container `index` once more, in the journey of its restart.
pub fn container_again(container: &str, index: u32) -> Span {
    around("start container", Step::PodRestart6(index), container)
}

/// Pulling an image, inside the start of a container.
pub fn pull_image(image: &str) -> Span {
    let span = call("pull image", None);
    span.attr(attr::CONTAINER_IMAGE_NAME, image.to_owned());
    span
}

/// The runtime's CreateContainer.
pub fn create_container() -> Span {
    call("create container", None)
}

/// The runtime's StartContainer; the span around it is [`container`] or [`init_container`].
pub fn start_container() -> Span {
    call("run container", None)
}

/// TERM to container `index`, until it exits or its grace ends.
pub fn stop_container(container: &str, index: u32) -> Span {
    around("stop container", Step::PodDelete7(index), container)
}

/// KILL to container `index`, because its grace ran out.
pub fn kill_container(container: &str, index: u32) -> Span {
    around("kill container", Step::PodDelete8(index), container)
}

/// TERM to a container that is started again afterwards.
pub fn stop_to_restart(container: &str, index: u32) -> Span {
    around("stop container", Step::PodRestart4(index), container)
}

/// KILL to such a container.
pub fn kill_to_restart(container: &str, index: u32) -> Span {
    around("kill container", Step::PodRestart5(index), container)
}

/// Stopping and removing the sandbox.
pub fn remove_sandbox() -> Span {
    call("remove sandbox", Some(Step::PodDelete9a))
}

fn around(name: &'static str, step: Step, container: &str) -> Span {
    work_begins();
    let span = child(name, Some(step));
    span.attr(attr::K8S_CONTAINER_NAME, container.to_owned());
    span
}

fn call(name: &'static str, step: Option<Step>) -> Span {
    work_begins();
    child_call(name, step)
}
