//! The scheduler's policy: one plugin per file, and the list of those that take part.
//!
//! To add one: write its file, and enable it in [`defaults`]. Nothing else changes; see `docs/scheduler.md`.

mod default_binder;
mod image_locality;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod priority_sort;
mod scheduling_gates;
mod taint_toleration;

pub use default_binder::DefaultBinder;
pub use image_locality::ImageLocality;
pub use node_affinity::NodeAffinity;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
pub use node_resources_fit::NodeResourcesFit;
pub use node_unschedulable::NodeUnschedulable;
pub use priority_sort::PrioritySort;
pub use scheduling_gates::SchedulingGates;
pub use taint_toleration::TaintToleration;

use crate::framework::{Enabled, MAX_NODE_SCORE, Plugin};

/// The plugins that take part, in the order in which they are asked, with Kubernetes' weights. `binder` comes last.
///
/// A node shows the reason of the first filter that rejects it, so the order is part of what users see.
pub fn defaults(binder: impl Plugin) -> Vec<Enabled> {
    vec![
        Enabled::plugin(SchedulingGates),
        Enabled::plugin(PrioritySort),
        Enabled::plugin(NodeUnschedulable),
        Enabled::plugin(NodeName),
        Enabled::scoring(3, TaintToleration),
        Enabled::scoring(2, NodeAffinity),
        Enabled::plugin(NodePorts),
        Enabled::scoring(1, NodeResourcesFit),
        Enabled::scoring(1, NodeResourcesBalancedAllocation),
        Enabled::scoring(1, ImageLocality),
        Enabled::plugin(binder),
    ]
}

/// Stretches scores so that the greatest becomes [`MAX_NODE_SCORE`].
fn normalize_to_max(scores: &mut [i64]) {
    let max = scores.iter().copied().max().unwrap_or(0);
    if max > 0 {
        scores.iter_mut().for_each(|score| *score = MAX_NODE_SCORE * *score / max);
    }
}

/// The same the other way round: the greatest becomes 0, and none at all is the best.
fn normalize_reversed(scores: &mut [i64]) {
    normalize_to_max(scores);
    scores.iter_mut().for_each(|score| *score = MAX_NODE_SCORE - *score);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_stretched_to_a_hundred() {
        for (scores, up, down) in [
            (vec![0, 1, 2, 4], vec![0, 25, 50, 100], vec![100, 75, 50, 0]),
            (vec![0, 0], vec![0, 0], vec![100, 100]),
            (vec![3, 7], vec![42, 100], vec![58, 0]),
            (vec![], vec![], vec![]),
        ] {
            let (mut a, mut b) = (scores.clone(), scores);
            normalize_to_max(&mut a);
            normalize_reversed(&mut b);
            assert_eq!((a, b), (up, down));
        }
    }
}
