//! A node's status, from facts and the runtime's answers. Pure.

use std::collections::BTreeMap;

use api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use api::quantity::{Amount, quantities};
use jiff::Timestamp;

use super::machine::{Machine, architecture};
use crate::cri;

/// The most images that a node names, the largest first, as in Kubernetes (`--node-status-max-images`).
const MOST_IMAGES: usize = 50;
/// The version of Kubernetes whose behaviour this is.
const VERSION: &str = concat!("v1.35.0-traceplane.", env!("CARGO_PKG_VERSION"));

/// What of a node does not change.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The node's name, which is also its host name.
    pub name: String,
    /// The address by which it is reached.
    pub address: String,
    /// The port of its kubelet.
    pub port: u16,
    /// What it has.
    pub capacity: BTreeMap<String, Amount>,
    /// The machine.
    pub machine: Machine,
    /// `virtual://0.1.0`.
    pub runtime_version: String,
}

/// What of a node changes.
#[derive(Clone, Debug)]
pub struct Readings {
    /// The runtime's conditions; an error when it does not answer.
    pub runtime: Result<Vec<cri::RuntimeCondition>, String>,
    /// The images it has.
    pub images: Vec<cri::Image>,
}

/// Works out the status on top of the last one, of which transition times and what others wrote remain.
pub fn node_status(facts: &Facts, readings: &Readings, last: &NodeStatus, now: Timestamp) -> NodeStatus {
    let mut status = last.clone();
    status.capacity = quantities(&facts.capacity);
    status.allocatable = quantities(&facts.capacity);
    status.addresses = vec![address("InternalIP", &facts.address), address("Hostname", &facts.name)];
    status.daemon_endpoints = NodeDaemonEndpoints { kubelet_endpoint: DaemonEndpoint { port: facts.port.into() } };
    status.node_info = NodeSystemInfo {
        machine_id: facts.machine.machine_id.clone(),
        // Virtual machines and containers mostly hide the real one.
        system_uuid: facts.machine.machine_id.clone(),
        boot_id: facts.machine.boot_id.clone(),
        kernel_version: facts.machine.kernel.clone(),
        os_image: facts.machine.os_image.clone(),
        container_runtime_version: facts.runtime_version.clone(),
        kubelet_version: VERSION.to_owned(),
        operating_system: "linux".to_owned(),
        architecture: architecture().to_owned(),
        ..NodeSystemInfo::default()
    };
    status.images = images(&readings.images);
    for (kind, value, reason, message) in conditions(readings) {
        set(&mut status.conditions, kind, value, reason, message, now);
    }
    status
}

/// Whether two statuses say the same, but for the times at which they were said.
pub(super) fn says_the_same(a: &NodeStatus, b: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        status.conditions.iter_mut().for_each(|condition| condition.last_heartbeat_time = None);
        status
    };
    timeless(a) == timeless(b)
}

type Row<'a> = (&'a str, &'a str, &'a str, String);

fn conditions(readings: &Readings) -> [Row<'static>; 4] {
    let (ready, reason, message) = match ready(readings) {
        Ok(()) => ("True", "KubeletReady", "kubelet is posting ready status".to_owned()),
        Err(why) => ("False", "KubeletNotReady", why),
    };
    let fine = |message: &str| message.to_owned();
    [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", fine("kubelet has sufficient memory available")),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", fine("kubelet has no disk pressure")),
        ("PIDPressure", "False", "KubeletHasSufficientPID", fine("kubelet has sufficient PID available")),
        ("Ready", ready, reason, message),
    ]
}

fn ready(readings: &Readings) -> Result<(), String> {
    let conditions = readings.runtime.as_ref().map_err(|why| format!("container runtime is down: {why}"))?;
    let not_ready = |condition: &&cri::RuntimeCondition| !condition.status;
    let complaint = |condition: &cri::RuntimeCondition| {
        let kind = &condition.r#type;
        let what =
            if kind == "NetworkReady" { "container runtime network not ready" } else { "container runtime not ready" };
        format!("{what}: {kind}=false reason:{} message:{}", condition.reason, condition.message)
    };
    let complaints: Vec<String> = conditions.iter().filter(not_ready).map(complaint).collect();
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join(", ")) }
}

fn set(conditions: &mut Vec<NodeCondition>, kind: &str, value: &str, reason: &str, message: String, now: Timestamp) {
    let known = conditions.iter().position(|condition| condition.r#type == kind);
    let since = known.map(|at| &conditions[at]).filter(|condition| condition.status == value);
    let new = NodeCondition {
        r#type: kind.to_owned(),
        status: value.to_owned(),
        last_heartbeat_time: Some(now.into()),
        last_transition_time: since.map_or_else(|| Some(now.into()), |condition| condition.last_transition_time),
        reason: reason.to_owned(),
        message,
    };
    match known {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
}

fn images(images: &[cri::Image]) -> Vec<ContainerImage> {
    let mut images: Vec<&cri::Image> = images.iter().collect();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let image = |image: &cri::Image| ContainerImage {
        names: image.repo_digests.iter().chain(&image.repo_tags).cloned().collect(),
        size_bytes: i64::try_from(image.size).unwrap_or(i64::MAX),
    };
    images.into_iter().take(MOST_IMAGES).map(image).collect()
}

fn address(kind: &str, address: &str) -> NodeAddress {
    NodeAddress { r#type: kind.to_owned(), address: address.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn condition<'a>(status: &'a NodeStatus, kind: &str) -> &'a NodeCondition {
        status.conditions.iter().find(|condition| condition.r#type == kind).unwrap()
    }

    fn network(ready: bool) -> Readings {
        let reason = if ready { "" } else { "NetworkPluginNotReady" };
        let network = cri::RuntimeCondition {
            r#type: "NetworkReady".to_owned(),
            status: ready,
            reason: reason.to_owned(),
            message: "cni".to_owned(),
        };
        Readings { runtime: Ok(vec![network]), images: Vec::new() }
    }

    #[test]
    fn n1_a_node_reports_whether_it_is_ready_and_since_when() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let facts = Facts::default();
        let first = node_status(&facts, &network(false), &NodeStatus::default(), at(0));
        let ready = condition(&first, "Ready");
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "KubeletNotReady"));
        assert_eq!(
            ready.message,
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni"
        );
        assert_eq!(condition(&first, "MemoryPressure").status, "False");

        let second = node_status(&facts, &network(true), &first, at(5));
        assert_eq!(condition(&second, "Ready").status, "True");
        assert_eq!(condition(&second, "Ready").last_transition_time, Some(at(5).into()));
        assert!(!says_the_same(&first, &second));

        let third = node_status(&facts, &network(true), &second, at(15));
        assert_eq!(condition(&third, "Ready").last_transition_time, Some(at(5).into()));
        assert_eq!(condition(&third, "Ready").last_heartbeat_time, Some(at(15).into()));
        assert!(says_the_same(&second, &third), "only the time of the heartbeat differs");

        let down = Readings { runtime: Err("no answer".to_owned()), images: Vec::new() };
        let fourth = node_status(&facts, &down, &third, at(25));
        assert_eq!(condition(&fourth, "Ready").message, "container runtime is down: no answer");
    }

    #[test]
    fn n1_the_largest_images_are_named_first() {
        let image = |name: &str, size| cri::Image { repo_tags: vec![name.to_owned()], size, ..Default::default() };
        let readings = Readings { runtime: Ok(Vec::new()), images: vec![image("small", 1), image("big", 9)] };
        let status = node_status(&Facts::default(), &readings, &NodeStatus::default(), Timestamp::UNIX_EPOCH);
        let names: Vec<_> = status.images.iter().map(|image| image.names[0].as_str()).collect();
        assert_eq!(names, ["big", "small"]);
    }
}
