//! What is reported of a pod, in Kubernetes' words.
//!
//! The status is worked out anew each time from what is observed; of the old one only times of transitions and what others wrote remain.

mod conditions;
mod container;
mod phase;

pub(super) use container::next_attempt;

use api::core::v1::{HostIp, PodIp, PodStatus};
use api::qos::qos_class;

use super::Input;

/// The whole status.
pub(super) fn pod_status(input: &Input<'_>) -> PodStatus {
    let Input { pod, observed, memory, node, .. } = *input;
    let mut status = pod.status.clone();
    status.observed_generation = pod.metadata.generation;
    if status.qos_class.is_empty() {
        status.qos_class = qos_class(&pod.spec).as_str().to_owned();
    }
    status.start_time = memory.start_time.map(Into::into);
    if !node.host_ip.is_empty() {
        status.host_ip.clone_from(&node.host_ip);
        status.host_ips = vec![HostIp { ip: node.host_ip.clone() }];
    }
    if let Some(sandbox) = observed.sandbox() {
        let ip = if pod.spec.host_network { &node.host_ip } else { &sandbox.ip };
        if !ip.is_empty() {
            status.pod_ip.clone_from(ip);
            status.pod_ips = vec![PodIp { ip: ip.clone() }];
        }
    }
    if let Some(ended) = &memory.ended {
        status.phase = "Failed".to_owned();
        status.reason.clone_from(&ended.reason);
        status.message.clone_from(&ended.message);
        if observed.containers.is_empty() {
            // Rejected before anything ran: there is nothing to say about containers.
            conditions::set(&mut status, input);
            return status;
        }
    }
    status.init_container_statuses = container::init_statuses(input);
    status.container_statuses = container::main_statuses(input);
    if memory.ended.is_none() {
        status.phase = phase::phase(input, &status).to_owned();
    }
    conditions::set(&mut status, input);
    status
}
