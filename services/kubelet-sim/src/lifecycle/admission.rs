//! Whether a node takes a pod that was bound to it.
//!
//! The scheduler has checked all this, but it may have been wrong: two schedulers, a stale cache, a node that changed, or a pod that named
//! its node itself. A pod that is refused fails for good, and its owner makes another. See
//! [node admission](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-scheduling-readiness).

use api::core::v1::{Node, Pod};
use api::pod_resources::{Resources, add, requests};
use api::quantity::amounts;

use super::memory::Ended;

/// Why a pod is refused whose selector does not fit the node's labels.
pub const NODE_AFFINITY: &str = "NodeAffinity";

/// What of a node is taken, and how much it has.
#[derive(Clone, Debug, Default)]
pub struct Allocation {
    /// What pods may ask for in all, by resource; `pods` counts them.
    pub allocatable: Resources,
    /// What the pods that were taken ask for.
    pub used: Resources,
    /// How many pods were taken.
    pub pods: i64,
}

impl Allocation {
    /// An empty node.
    pub fn of(node: &Node) -> Self {
        Self { allocatable: amounts(&node.status.allocatable), ..Self::default() }
    }

    /// Counts a pod in that asks for this much.
    pub fn take(&mut self, asked: &Resources) {
        add(&mut self.used, asked);
        self.pods += 1;
    }
}

/// Takes a pod, or says why not.
pub fn admit(pod: &Pod, node: &Node, allocation: &Allocation) -> Result<(), Ended> {
    selected(pod, node)?;
    let short = |resource: &str, wanted: i64, used: i64, capacity: i64| {
        Err(Ended {
            reason: format!("OutOf{resource}"),
            message: format!(
                "Pod was rejected: Node didn't have enough resource: {resource}, requested: {wanted}, used: {used}, capacity: {capacity}"
            ),
        })
    };
    let capacity = allocation.allocatable.get("pods").map_or(i64::MAX, |amount| amount.value());
    if allocation.pods >= capacity {
        return short("pods", 1, allocation.pods, capacity);
    }
    for (name, wanted) in requests(&pod.spec) {
        if wanted.is_zero() {
            continue;
        }
        // CPU is counted in thousandths in these messages, everything else in its own unit.
        let unit = |amount: api::quantity::Amount| if name == "cpu" { amount.milli_value() } else { amount.value() };
        let used = allocation.used.get(&name).copied().unwrap_or_default();
        let capacity = allocation.allocatable.get(&name).copied().unwrap_or_default();
        if unit(used).saturating_add(unit(wanted)) > unit(capacity) {
            return short(&name, unit(wanted), unit(used), unit(capacity));
        }
    }
    Ok(())
}

/// Node labels may have changed since the scheduler looked.
fn selected(pod: &Pod, node: &Node) -> Result<(), Ended> {
    let labels = &node.metadata.labels;
    if pod.spec.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
        return Ok(());
    }
    let message = "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    Err(Ended { reason: NODE_AFFINITY.to_owned(), message: message.to_owned() })
}
