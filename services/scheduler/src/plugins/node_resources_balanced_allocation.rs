//! NodeResourcesBalancedAllocation: a node whose CPU and memory are used up evenly stays useful for longer.

use std::sync::Arc;

use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Hint, MAX_NODE_SCORE, Plugin, PreScore, PreScored, Score,
};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins>.
#[derive(Debug)]
pub struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_score(self.clone()).score(self);
    }

    /// It rejects nothing.
    fn hint(&self, _: &PodInfo, _: &ClusterEvent) -> Hint {
        Hint::Skip
    }
}

impl PreScore for NodeResourcesBalancedAllocation {
    /// A pod that asks for nothing changes no balance.
    fn pre_score(&self, _: &mut CycleState, pod: &PodInfo, _: &[&Arc<NodeInfo>], _: &Snapshot) -> PreScored {
        if pod.requests.milli_cpu == 0 && pod.requests.memory == 0 { PreScored::Skip } else { PreScored::Proceed }
    }
}

impl Score for NodeResourcesBalancedAllocation {
    /// The less the used shares of CPU and memory would differ, the better. Of two shares the standard deviation is half their
    /// difference, so the score lies between 50 and 100.
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let (used, allocatable) = (node.requested(), node.allocatable());
        let cpu = share(used.milli_cpu + pod.requests.milli_cpu, allocatable.milli_cpu);
        let memory = share(used.memory + pod.requests.memory, allocatable.memory);
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            // With one resource there is nothing to balance.
            _ => 0.0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "it lies between 50 and 100")]
        let score = ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64;
        score
    }
}

/// `None` if the node has none of it.
#[expect(clippy::cast_precision_loss, reason = "a share need not be exact to the byte")]
fn share(used: i64, capacity: i64) -> Option<f64> {
    (capacity > 0).then(|| (used as f64 / capacity as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod, scores};

    #[test]
    fn even_use_scores_best() {
        let ten = || node("n").allocatable(&[("cpu", "10"), ("memory", "10Gi"), ("pods", "10")]);
        let nodes = [
            ten(),
            ten().running(pod("x").requests(&[("cpu", "6")])),
            ten().running(pod("x").requests(&[("memory", "9Gi")])),
            node("n").allocatable(&[("cpu", "10")]),
        ];
        // Shares of 0.2 and 0.2; 0.8 and 0.2; 0.2 and more than all; 0.2 alone.
        let even = pod("p").requests(&[("cpu", "2"), ("memory", "2Gi")]).info();
        assert_eq!(scores(&NodeResourcesBalancedAllocation, &even, &nodes), Some(vec![100, 70, 60, 100]));
        assert_eq!(scores(&NodeResourcesBalancedAllocation, &pod("p").info(), &nodes), None);
    }
}
