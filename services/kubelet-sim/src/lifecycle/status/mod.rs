//! What is reported of a pod, in Kubernetes' words.
//!
//! The status is worked out anew each time from what is observed; of the old one only times of transitions and what others wrote remain.

mod closed;
mod conditions;
mod container;
mod phase;
mod unseen;

pub(super) use container::next_attempt;

use api::core::v1::{HostIp, PodIp, PodStatus};
use api::qos::qos_class;

use super::Input;
use super::action::Work;
use super::critical::is_static;
use super::memory::Ended;
use super::observed::Container;

/// What is known about a pod's state.
pub(super) struct Report {
    /// What is reported.
    pub(super) status: PodStatus,
    /// The pod is over, even if that is not reported before its containers have stopped.
    pub(super) over: bool,
}

/// The whole status.
pub(super) fn report(input: &Input<'_>) -> Report {
    let Input { pod, memory, .. } = *input;
    let mut status = pod.status.clone();
    status.observed_generation = pod.metadata.generation;
    if status.qos_class.is_empty() {
        status.qos_class = qos_class(&pod.spec).as_str().to_owned();
    }
    status.start_time = memory.start_time.map(Into::into);
    if let Some(ended) = memory.ended.as_ref().filter(|_| memory.rejected) {
        conditions::drop_own(&mut status);
        status.phase = "Failed".to_owned();
        explain(&mut status, ended);
        return Report { status, over: true };
    }
    set_addresses(&mut status, input);
    status.init_container_statuses = container::init_statuses(input);
    status.container_statuses = container::main_statuses(input);
    let mut phase = if memory.ended.is_some() { "Failed" } else { phase::phase(input, &status) };
    let runs = could_run(input);
    if !runs && closed::is_still(memory) && (memory.termination.is_some() || is_terminal(phase)) {
        closed::close(input, &mut status);
        // A static pod may come back.
        phase = if is_terminal(phase) || is_static(pod) { phase } else { "Failed" };
    }
    let reported = std::mem::replace(&mut status.phase, phase.to_owned());
    conditions::set(&mut status, input, runs);
    let over = is_terminal(phase);
    // Who reads "over" may rely on it that nothing of the pod runs any more.
    if over && !is_terminal(&reported) && runs {
        status.phase = if reported.is_empty() { "Pending".to_owned() } else { reported };
    } else if let Some(ended) = &memory.ended {
        explain(&mut status, ended);
    }
    // As Kubernetes has them: init containers in the order of the spec, containers by name.
    status.container_statuses.sort_by(|a, b| a.name.cmp(&b.name));
    Report { status, over }
}

fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

/// Whether a container runs, or may have been started a moment ago.
fn could_run(input: &Input<'_>) -> bool {
    input.memory.busy.iter().any(|work| matches!(work, Work::Start(_)))
        || input.observed.containers.iter().any(Container::is_running)
}

fn explain(status: &mut PodStatus, ended: &Ended) {
    status.reason.clone_from(&ended.reason);
    status.message.clone_from(&ended.message);
}

fn set_addresses(status: &mut PodStatus, input: &Input<'_>) {
    let host_ip = &input.node.host_ip;
    if !host_ip.is_empty() {
        status.host_ip.clone_from(host_ip);
        status.host_ips = vec![HostIp { ip: host_ip.clone() }];
    }
    if let Some(sandbox) = input.observed.sandbox() {
        let ip = if input.pod.spec.host_network { host_ip } else { &sandbox.ip };
        if !ip.is_empty() {
            status.pod_ip.clone_from(ip);
            status.pod_ips = vec![PodIp { ip: ip.clone() }];
        }
    }
}
