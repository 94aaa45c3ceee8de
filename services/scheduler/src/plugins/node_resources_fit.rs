//! NodeResourcesFit: a node must have left what a pod asks for; and of those that have, the emptier is the better.
//!
//! The filter goes by what pods request. The ranking (least allocated) goes by nominal amounts, in which a container that requests
//! nothing counts for a little: otherwise such pods would all look weightless and pile up.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cache::{NodeInfo, Resources, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, MAX_NODE_SCORE, Plugin, PreScore, PreScored, Rejection,
    RejectionKind, Score, Verdict,
};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#how-pods-with-resource-requests-are-scheduled>.
#[derive(Debug)]
pub struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.filter(self.clone()).pre_score(self.clone()).score(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(match event {
            // The event's node has no pods, so this asks whether the pod could ever fit.
            ClusterEvent::NodeAdded(node) => shortages(pod, node).is_empty(),
            ClusterEvent::NodeUpdated { old, new, changes } => {
                changes.allocatable && shortages(pod, new).is_empty() && offers_more(pod, old, new)
            }
            // It frees its place at least, and a node may have been full of pods.
            ClusterEvent::AssignedPodRemoved(_) => true,
            ClusterEvent::AssignedPodUpdated { old, new } => asks_less(&old.requests, &new.requests),
            ClusterEvent::PodUpdated { old, new } => asks_less(&old.requests, &new.requests),
            ClusterEvent::AssignedPodAdded(_) => false,
        })
    }
}

impl Filter for NodeResourcesFit {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        let shortages = shortages(pod, node);
        if shortages.is_empty() {
            return Ok(());
        }
        let hopeless = shortages.iter().any(|shortage| shortage.even_if_empty);
        let kind = if hopeless { RejectionKind::Unresolvable } else { RejectionKind::Unschedulable };
        Err(Rejection::new(kind, shortages.into_iter().map(|shortage| shortage.reason).collect()))
    }
}

impl PreScore for NodeResourcesFit {
    fn pre_score(&self, _: &mut CycleState, _: &PodInfo, _: &[&Arc<NodeInfo>], _: &Snapshot) -> PreScored {
        PreScored::Proceed
    }
}

impl Score for NodeResourcesFit {
    /// How much of CPU and memory would be left, on average, in percent.
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let (used, allocatable) = (node.nominal(), node.allocatable());
        let left = [
            (used.milli_cpu + pod.nominal.milli_cpu, allocatable.milli_cpu),
            (used.memory + pod.nominal.memory, allocatable.memory),
        ];
        let counted: Vec<_> = left.iter().filter(|(_, capacity)| *capacity > 0).collect();
        let Ok(count @ 1..) = i64::try_from(counted.len()) else { return 0 };
        counted.iter().map(|(used, capacity)| percent_left(*used, *capacity)).sum::<i64>() / count
    }
}

fn percent_left(used: i64, capacity: i64) -> i64 {
    // In 128 bits: a hundred times a node's bytes may exceed 64.
    let left = i128::from((capacity - used).max(0)) * i128::from(MAX_NODE_SCORE) / i128::from(capacity);
    i64::try_from(left).unwrap_or(MAX_NODE_SCORE)
}

/// A resource of which a node has too little left.
struct Shortage {
    reason: Cow<'static, str>,
    /// The node has too little of it altogether.
    even_if_empty: bool,
}

/// Everything that a node lacks for a pod, in the order in which Kubernetes names it.
fn shortages(pod: &PodInfo, node: &NodeInfo) -> Vec<Shortage> {
    // Allocates nothing as long as nothing lacks: this runs for every pod on every node.
    let mut shortages = Vec::new();
    let mut check = |needed: i64, used: i64, capacity: i64, reason: &dyn Fn() -> Cow<'static, str>| {
        if needed > 0 && needed > capacity - used {
            shortages.push(Shortage { reason: reason(), even_if_empty: needed > capacity });
        }
    };
    let pods = i64::try_from(node.pods().len()).unwrap_or(i64::MAX);
    check(1, pods, node.allowed_pods(), &|| "Too many pods".into());
    let (needed, used, capacity) = (&pod.requests, node.requested(), node.allocatable());
    check(needed.milli_cpu, used.milli_cpu, capacity.milli_cpu, &|| "Insufficient cpu".into());
    check(needed.memory, used.memory, capacity.memory, &|| "Insufficient memory".into());
    check(needed.ephemeral_storage, used.ephemeral_storage, capacity.ephemeral_storage, &|| {
        "Insufficient ephemeral-storage".into()
    });
    for (name, amount) in needed.scalars() {
        check(amount, used.scalar(name), capacity.scalar(name), &|| format!("Insufficient {name}").into());
    }
    shortages
}

/// Whether a node offers more than before of something that the pod asks for.
fn offers_more(pod: &PodInfo, old: &NodeInfo, new: &NodeInfo) -> bool {
    let (before, after, needed) = (old.allocatable(), new.allocatable(), &pod.requests);
    new.allowed_pods() > old.allowed_pods()
        || needed.milli_cpu > 0 && after.milli_cpu > before.milli_cpu
        || needed.memory > 0 && after.memory > before.memory
        || needed.ephemeral_storage > 0 && after.ephemeral_storage > before.ephemeral_storage
        || needed.scalars().any(|(name, _)| after.scalar(name) > before.scalar(name))
}

fn asks_less(old: &Resources, new: &Resources) -> bool {
    new.milli_cpu < old.milli_cpu
        || new.memory < old.memory
        || new.ephemeral_storage < old.ephemeral_storage
        || old.scalars().any(|(name, amount)| new.scalar(name) < amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestNode, node, pod, reasons, scores, updated};

    fn four_cores() -> TestNode {
        node("a").allocatable(&[("cpu", "4"), ("memory", "8Gi"), ("ephemeral-storage", "10Gi"), ("pods", "2")])
    }

    #[test]
    fn everything_that_lacks_is_named() {
        let mut half_used = four_cores().info();
        half_used.add_pod(pod("first").requests(&[("cpu", "2"), ("memory", "1Gi")]).info());
        let mut full = half_used.clone();
        full.add_pod(pod("second").info());
        let table = [
            (&half_used, pod("p"), "", false),
            (&half_used, pod("p").requests(&[("cpu", "2"), ("memory", "7Gi")]), "", false),
            (&half_used, pod("p").requests(&[("cpu", "2001m")]), "Insufficient cpu", false),
            (&half_used, pod("p").requests(&[("cpu", "5")]), "Insufficient cpu", true),
            (
                &half_used,
                pod("p").requests(&[("cpu", "3"), ("memory", "8Gi"), ("ephemeral-storage", "11Gi")]),
                "Insufficient cpu, Insufficient memory, Insufficient ephemeral-storage",
                true,
            ),
            (&half_used, pod("p").requests(&[("example.com/gpu", "1")]), "Insufficient example.com/gpu", true),
            (&full, pod("p"), "Too many pods", false),
            (&full, pod("p").requests(&[("cpu", "3")]), "Too many pods, Insufficient cpu", false),
        ];
        for (node, pod, message, hopeless) in table {
            let verdict = NodeResourcesFit.filter(&CycleState::new(), &pod.info(), node);
            let kind = verdict.as_ref().err().map(|rejection| rejection.kind);
            assert_eq!(kind == Some(RejectionKind::Unresolvable), hopeless, "{message}");
            assert_eq!(reasons(verdict), message);
        }
    }

    #[test]
    fn the_emptier_node_is_the_better() {
        let ten = || node("n").allocatable(&[("cpu", "10"), ("memory", "10Gi"), ("pods", "10")]);
        let nodes = [ten(), ten().running(pod("x").requests(&[("cpu", "4"), ("memory", "2Gi")]))];
        // (90 + 90) / 2 and (50 + 70) / 2.
        let small = pod("p").requests(&[("cpu", "1"), ("memory", "1Gi")]).info();
        assert_eq!(scores(&NodeResourcesFit, &small, &nodes), Some(vec![90, 60]));
        // Nominal: 100m of 10 cores and 200Mi of 10Gi.
        assert_eq!(scores(&NodeResourcesFit, &pod("p").info(), &nodes), Some(vec![98, 68]));
        let nothing = [node("n").allocatable(&[])];
        assert_eq!(scores(&NodeResourcesFit, &small, &nothing), Some(vec![0]));
    }

    /// SCENARIOS C7.
    #[test]
    fn only_what_could_make_room_helps() {
        let big = pod("big").requests(&[("cpu", "3")]).info();
        let cores = |cpu| node("a").allocatable(&[("cpu", cpu), ("pods", "9")]);
        let added = |cpu| ClusterEvent::NodeAdded(Arc::new(cores(cpu).info()));
        let gone = ClusterEvent::AssignedPodRemoved(pod("other").info());
        let shrunk = |old, new| ClusterEvent::AssignedPodUpdated {
            old: pod("other").requests(&[("cpu", old)]).info(),
            new: pod("other").requests(&[("cpu", new)]).info(),
        };
        let table = [
            (added("4"), Hint::Queue),
            (added("2"), Hint::Skip),
            (updated(cores("2"), cores("4")), Hint::Queue),
            (updated(cores("8"), cores("4")), Hint::Skip),
            (updated(cores("4"), cores("4").label("x", "y")), Hint::Skip),
            (gone, Hint::Queue),
            (shrunk("2", "1"), Hint::Queue),
            (shrunk("1", "2"), Hint::Skip),
            (ClusterEvent::AssignedPodAdded(pod("other").info()), Hint::Skip),
        ];
        for (event, hint) in table {
            assert_eq!(NodeResourcesFit.hint(&big, &event), hint, "{event:?}");
        }
    }
}
