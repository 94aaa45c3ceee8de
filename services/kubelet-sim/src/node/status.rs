//! A node's status, from facts and the runtime's answers. Pure.

use std::collections::BTreeMap;

use api::core::v1::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use api::quantity::{Amount, quantities};
use jiff::Timestamp;

use super::machine::{Machine, architecture};
use crate::cri;
use crate::eviction::{Signal, Threshold};
use crate::lifecycle::admission::{Health, Pressure};

/// The most images that a node names, the largest first, as in Kubernetes (`--node-status-max-images`).
const MOST_IMAGES: usize = 50;
/// The most names that it gives of each, digests first.
const MOST_NAMES: usize = 5;
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
    /// What of it pods may ask for.
    pub allocatable: BTreeMap<String, Amount>,
    /// The machine.
    pub machine: Machine,
}

/// What of a node changes.
#[derive(Clone, Debug)]
pub struct Readings {
    /// `virtual://0.1.0`; empty before the runtime has answered for the first time.
    pub runtime_version: String,
    /// The runtime's conditions; an error when it does not answer.
    pub runtime: Result<Vec<cri::RuntimeCondition>, String>,
    /// The images it has.
    pub images: Vec<cri::Image>,
    /// What it is short of, and whether it ends.
    pub health: Health,
}

/// What of a node's capacity pods may ask for: all but what is kept back, and what the hard eviction thresholds keep free.
pub fn allocatable(
    capacity: &BTreeMap<String, Amount>,
    reserved: &[&BTreeMap<String, Amount>],
    thresholds: &[Threshold],
) -> BTreeMap<String, Amount> {
    let mut allocatable = capacity.clone();
    let mut keep = |resource: &str, amount: Amount| {
        if let Some(left) = allocatable.get_mut(resource) {
            *left -= amount;
            if left.is_negative() {
                *left = Amount::new(0, left.format());
            }
        }
    };
    for (resource, amount) in reserved.iter().flat_map(|reserved| reserved.iter()) {
        keep(resource, *amount);
    }
    for threshold in thresholds.iter().filter(|threshold| threshold.is_hard()) {
        let resource = match threshold.signal {
            Signal::MemoryAvailable => "memory",
            Signal::NodefsAvailable => "ephemeral-storage",
            _ => continue,
        };
        if let Some(whole) = capacity.get(resource) {
            keep(resource, threshold.value.of(*whole));
        }
    }
    allocatable
}

/// Works out the status on top of the last one, of which transition times and what others wrote remain.
pub fn node_status(facts: &Facts, readings: &Readings, last: &NodeStatus, now: Timestamp) -> NodeStatus {
    let mut status = last.clone();
    status.capacity = quantities(&facts.capacity);
    status.allocatable = quantities(&facts.allocatable);
    status.addresses = vec![address("InternalIP", &facts.address), address("Hostname", &facts.name)];
    status.daemon_endpoints = NodeDaemonEndpoints { kubelet_endpoint: DaemonEndpoint { port: facts.port.into() } };
    status.node_info = NodeSystemInfo {
        machine_id: facts.machine.machine_id.clone(),
        // Virtual machines and containers mostly hide the real one.
        system_uuid: facts.machine.machine_id.clone(),
        boot_id: facts.machine.boot_id.clone(),
        kernel_version: facts.machine.kernel.clone(),
        os_image: facts.machine.os_image.clone(),
        container_runtime_version: readings.runtime_version.clone(),
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
    let pressure = |pressure: Pressure, fine: (&'static str, &str), short: (&'static str, &str)| {
        let is_short = readings.health.pressures.contains(&pressure);
        let (value, (reason, message)) = if is_short { ("True", short) } else { ("False", fine) };
        (pressure.condition(), value, reason, message.to_owned())
    };
    [
        pressure(
            Pressure::Memory,
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        ),
        pressure(
            Pressure::Disk,
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        ),
        pressure(
            Pressure::Pid,
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
        ),
        ("Ready", ready, reason, message),
    ]
}

/// Several complaints stand in brackets, as Go's aggregated errors do.
fn ready(readings: &Readings) -> Result<(), String> {
    let mut complaints = match &readings.runtime {
        Err(_) => vec!["container runtime is down".to_owned()],
        Ok(conditions) => conditions.iter().filter(|condition| !condition.status).map(complaint).collect(),
    };
    if readings.health.shutting_down {
        complaints.push("node is shutting down".to_owned());
    }
    match complaints.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

fn complaint(condition: &cri::RuntimeCondition) -> String {
    let kind = &condition.r#type;
    let what =
        if kind == "NetworkReady" { "container runtime network not ready" } else { "container runtime not ready" };
    format!("{what}: {kind}=false reason:{} message:{}", condition.reason, condition.message)
}

/// The reasons of the events that tell how conditions changed. What nobody has told yet is no change of readiness.
pub(super) fn transitions(before: &NodeStatus, after: &NodeStatus) -> Vec<&'static str> {
    let value = |status: &NodeStatus, kind: &str| {
        status.conditions.iter().find(|condition| condition.r#type == kind).map(|condition| condition.status.clone())
    };
    let told = [
        ("MemoryPressure", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
        ("DiskPressure", "NodeHasDiskPressure", "NodeHasNoDiskPressure"),
        ("PIDPressure", "NodeHasInsufficientPID", "NodeHasSufficientPID"),
        ("Ready", "NodeReady", "NodeNotReady"),
    ];
    let reason = |(kind, yes, no): (&str, &'static str, &'static str)| {
        let (old, new) = (value(before, kind), value(after, kind)?);
        let is_news = old.as_ref() != Some(&new) && (old.is_some() || kind != "Ready");
        is_news.then_some(if new == "True" { yes } else { no })
    };
    told.into_iter().filter_map(reason).collect()
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
        names: image.repo_digests.iter().chain(&image.repo_tags).take(MOST_NAMES).cloned().collect(),
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
    use crate::eviction::thresholds;
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
        Readings {
            runtime_version: String::new(),
            runtime: Ok(vec![network]),
            images: Vec::new(),
            health: Health::default(),
        }
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

        let down = Readings { runtime: Err("no answer".to_owned()), ..network(true) };
        let fourth = node_status(&facts, &down, &third, at(25));
        assert_eq!(condition(&fourth, "Ready").message, "container runtime is down");
        let ending = Readings { health: Health { shutting_down: true, ..Health::default() }, ..down };
        let fifth = node_status(&facts, &ending, &fourth, at(35));
        assert_eq!(condition(&fifth, "Ready").message, "[container runtime is down, node is shutting down]");
    }

    #[test]
    fn n1_each_pressure_is_a_condition_and_its_change_an_event() {
        let of = |pressures: &[Pressure]| {
            let health = Health { pressures: pressures.iter().copied().collect(), shutting_down: false };
            Readings { health, ..network(true) }
        };
        let status =
            |readings, last: &NodeStatus| node_status(&Facts::default(), &readings, last, Timestamp::UNIX_EPOCH);
        let fine = status(of(&[]), &NodeStatus::default());
        assert_eq!(
            transitions(&NodeStatus::default(), &fine),
            ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"]
        );
        let short = status(of(&[Pressure::Memory, Pressure::Disk, Pressure::Pid]), &fine);
        for (kind, reason, message) in [
            ("MemoryPressure", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("DiskPressure", "KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("PIDPressure", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
        ] {
            let told = condition(&short, kind);
            assert_eq!((told.status.as_str(), told.reason.as_str()), ("True", reason));
            assert_eq!(told.message, message);
        }
        assert_eq!(
            transitions(&fine, &short),
            ["NodeHasInsufficientMemory", "NodeHasDiskPressure", "NodeHasInsufficientPID"]
        );
        assert_eq!(transitions(&short, &short), [""; 0]);
        assert_eq!(transitions(&fine, &status(network(false), &fine)), ["NodeNotReady"]);
    }

    #[test]
    fn n1_pods_may_ask_for_what_nobody_keeps_back() {
        let amounts = |pairs: &[(&str, &str)]| -> BTreeMap<String, Amount> {
            pairs.iter().map(|(name, amount)| ((*name).to_owned(), amount.parse().unwrap())).collect()
        };
        let capacity = amounts(&[("cpu", "4"), ("memory", "8Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")]);
        let kube = amounts(&[("cpu", "500m"), ("memory", "1Gi")]);
        let system = amounts(&[("cpu", "4"), ("memory", "1Gi"), ("pid", "100")]);
        let hard = "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%".parse().unwrap();
        let lines = thresholds(&hard, &Default::default(), &Default::default(), &Default::default()).unwrap();
        let shown = |amounts: BTreeMap<String, Amount>| -> Vec<String> {
            amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect()
        };
        assert_eq!(
            shown(allocatable(&capacity, &[], &lines)),
            ["cpu=4", "ephemeral-storage=96636764000", "memory=8092Mi", "pods=110"]
        );
        assert_eq!(
            shown(allocatable(&capacity, &[&kube, &system], &lines)),
            ["cpu=0", "ephemeral-storage=96636764000", "memory=6044Mi", "pods=110"]
        );
    }

    #[test]
    fn n1_the_largest_images_are_named_first() {
        let image = |name: &str, size| cri::Image { repo_tags: vec![name.to_owned()], size, ..Default::default() };
        let readings = Readings { images: vec![image("small", 1), image("big", 9)], ..network(true) };
        let status = node_status(&Facts::default(), &readings, &NodeStatus::default(), Timestamp::UNIX_EPOCH);
        let names: Vec<_> = status.images.iter().map(|image| image.names[0].as_str()).collect();
        assert_eq!(names, ["big", "small"]);
    }
}
