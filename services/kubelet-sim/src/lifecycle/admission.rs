//! Whether a node takes a pod that was bound to it.
//!
//! The scheduler has checked most of this, but it may have been wrong: two schedulers, a stale cache, a node that changed, or a pod that
//! named its node itself. A pod that is refused fails for good, and its owner makes another. The checks, their order, reasons and messages
//! are those of Kubernetes' kubelet; of several objections the first one is told. What Kubernetes has and this has not: a critical pod does
//! not push others out.

use std::collections::BTreeSet;
use std::fmt;

use api::core::v1::{Node, Pod, Taint};
use api::host_ports::{HostPort, host_ports};
use api::node_affinity::Required;
use api::pod_resources::{Resources, add, requests};
use api::qos::{QosClass, qos_class};
use api::quantity::{Amount, amounts};
use api::tolerations::{NO_EXECUTE, NO_SCHEDULE, untolerated};

use super::critical::{is_critical, is_static};
use super::memory::Ended;

/// Why a pod is refused whose selector or affinity does not fit the node.
pub const NODE_AFFINITY: &str = "NodeAffinity";
/// The node's label with its operating system; a pod's label of that name asks for one.
const OS: &str = "kubernetes.io/os";

/// What a node is short of, as its condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// `MemoryPressure`.
    Memory,
    /// `DiskPressure`.
    Disk,
    /// `PIDPressure`.
    Pid,
}

impl Pressure {
    /// The type of the node's condition.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What it is short of.
    pub pressures: BTreeSet<Pressure>,
    /// It is about to end, and ends its pods.
    pub shutting_down: bool,
}

/// What of a node is taken, and how much it has.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// What pods may ask for in all, by resource; `pods` counts them.
    pub allocatable: Resources,
    /// What the pods that were taken ask for.
    pub used: Resources,
    /// How many pods were taken.
    pub pods: i64,
    /// The ports that they have taken.
    pub ports: Vec<HostPort>,
}

impl Allocation {
    /// An empty node.
    pub fn of(node: &Node) -> Self {
        Self { allocatable: amounts(&node.status.allocatable), ..Self::default() }
    }

    /// Counts a pod in that asks for this much.
    pub fn take(&mut self, asked: &Resources, ports: &[HostPort]) {
        add(&mut self.used, asked);
        self.ports.extend_from_slice(ports);
        self.pods += 1;
    }
}

/// Why a pod is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `OutOfcpu`, `NodeAffinity` ...
    pub reason: String,
    /// The sentence beside it, as the event tells it.
    pub message: String,
}

impl Rejection {
    fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    fn predicate(name: &str, message: &str) -> Self {
        Self::new(name, format!("Predicate {name} failed: {message}"))
    }
}

impl From<Rejection> for Ended {
    fn from(rejection: Rejection) -> Self {
        Self { reason: rejection.reason, message: format!("Pod was rejected: {}", rejection.message) }
    }
}

/// Takes a pod, or says why not.
pub fn admit(pod: &Pod, node: &Node, health: &Health, allocation: &Allocation) -> Result<(), Rejection> {
    bears_pressure(pod, health)?;
    has_os(pod, node)?;
    has_room(pod, allocation)?;
    if !Required::of(&pod.spec).matches(node) {
        return Err(Rejection::predicate(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector"));
    }
    let ports = host_ports(&pod.spec);
    if ports.iter().any(|port| allocation.ports.iter().any(|taken| port.collides_with(taken))) {
        return Err(Rejection::predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    if !is_static(pod) && untolerated(&node.spec.taints, &pod.spec.tolerations, &[NO_EXECUTE]).is_some() {
        return Err(Rejection::predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
    }
    if health.shutting_down {
        return Err(Rejection::new("NodeShutdown", "Pod was rejected as the node is shutting down."));
    }
    Ok(())
}

/// A node that is short of something takes nothing that makes it worse. Short of memory only, it still takes pods that say what they need.
fn bears_pressure(pod: &Pod, health: &Health) -> Result<(), Rejection> {
    let pressures = &health.pressures;
    if pressures.is_empty() || is_critical(pod) {
        return Ok(());
    }
    if pressures.iter().eq([&Pressure::Memory]) {
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".to_owned(),
            effect: NO_SCHEDULE.to_owned(),
            ..Taint::default()
        };
        let bears = untolerated(&[taint], &pod.spec.tolerations, &[NO_SCHEDULE]).is_none();
        if bears || qos_class(&pod.spec) != QosClass::BestEffort {
            return Ok(());
        }
    }
    let conditions: Vec<&str> = pressures.iter().map(|pressure| pressure.condition()).collect();
    Err(Rejection::new("Evicted", format!("The node had condition: [{}]. ", conditions.join(" "))))
}

fn has_os(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    let os = node.metadata.labels.get(OS).map_or("linux", String::as_str);
    if pod.metadata.labels.get(OS).is_some_and(|wanted| wanted != os) {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Err(Rejection::new("PodOSSelectorNodeLabelDoesNotMatch", message));
    }
    if pod.spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        let message = "Failed to admit pod as the OS field doesn't match node OS";
        return Err(Rejection::new("PodOSNotSupported", message));
    }
    Ok(())
}

fn has_room(pod: &Pod, allocation: &Allocation) -> Result<(), Rejection> {
    let short = |resource: &str, wanted: i64, used: i64, capacity: i64| {
        let message = format!(
            "Node didn't have enough resource: {resource}, requested: {wanted}, used: {used}, capacity: {capacity}"
        );
        Err(Rejection::new(format!("OutOf{resource}"), message))
    };
    let capacity = allocation.allocatable.get("pods").map_or(i64::MAX, |amount| amount.value());
    if allocation.pods >= capacity {
        return short("pods", 1, allocation.pods, capacity);
    }
    for (name, wanted) in requests(&pod.spec) {
        let allocatable = allocation.allocatable.get(&name);
        if wanted.is_zero() || (allocatable.is_none() && is_extended(&name)) {
            continue;
        }
        // CPU is counted in thousandths in these messages, everything else in its own unit.
        let unit = |amount: Amount| if name == "cpu" { amount.milli_value() } else { amount.value() };
        let used = allocation.used.get(&name).copied().unwrap_or_default();
        let capacity = allocatable.copied().unwrap_or_default();
        if unit(used).saturating_add(unit(wanted)) > unit(capacity) {
            return short(&name, unit(wanted), unit(used), unit(capacity));
        }
    }
    Ok(())
}

/// Resources that others than Kubernetes have named. One that the node does not know may be the cluster's, not the node's.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

#[cfg(test)]
mod tests;
