//! TaintToleration: taints keep pods away that do not tolerate them, or make a node less welcome.

use std::sync::Arc;

use api::core::v1::Toleration;
use api::tolerations::{NO_EXECUTE, NO_SCHEDULE, PREFER_NO_SCHEDULE, tolerates, untolerated};

use super::normalize_reversed;
use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, Plugin, PreScore, PreScored, Rejection, Score, Verdict,
};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>.
#[derive(Debug)]
pub struct TaintToleration;

/// The tolerations that can matter to PreferNoSchedule.
struct Preferences(Vec<Toleration>);

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.filter(self.clone()).pre_score(self.clone()).score(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(match event {
            ClusterEvent::NodeAdded(node) => takes(pod, node),
            ClusterEvent::NodeUpdated { old, new, .. } => takes(pod, new) && !takes(pod, old),
            ClusterEvent::PodUpdated { old, new } => old.pod.spec.tolerations != new.pod.spec.tolerations,
            _ => false,
        })
    }
}

impl Filter for TaintToleration {
    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        let Some(node) = node.node() else { return Ok(()) };
        match untolerated(&node.spec.taints, &pod.pod.spec.tolerations, &[NO_SCHEDULE, NO_EXECUTE]) {
            None => Ok(()),
            Some(taint) => Err(Rejection::unresolvable(format!(
                "node(s) had untolerated taint {{{}: {}}}",
                taint.key, taint.value
            ))),
        }
    }
}

impl PreScore for TaintToleration {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, nodes: &[&Arc<NodeInfo>], _: &Snapshot) -> PreScored {
        let unwelcoming = |node: &&Arc<NodeInfo>| {
            node.node().is_some_and(|node| node.spec.taints.iter().any(|taint| taint.effect == PREFER_NO_SCHEDULE))
        };
        if !nodes.iter().any(unwelcoming) {
            return PreScored::Skip;
        }
        let tolerations = pod.pod.spec.tolerations.iter();
        let relevant = tolerations.filter(|it| it.effect.is_empty() || it.effect == PREFER_NO_SCHEDULE);
        state.put(Preferences(relevant.cloned().collect()));
        PreScored::Proceed
    }
}

impl Score for TaintToleration {
    /// How many taints the pod would rather avoid.
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let (Some(node), Some(Preferences(tolerations))) = (node.node(), state.get()) else { return 0 };
        let unwelcome = node.spec.taints.iter().filter(|taint| {
            taint.effect == PREFER_NO_SCHEDULE && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
        });
        i64::try_from(unwelcome.count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_reversed(scores);
    }
}

fn takes(pod: &PodInfo, node: &NodeInfo) -> bool {
    let tolerations = &pod.pod.spec.tolerations;
    node.node().is_none_or(|node| untolerated(&node.spec.taints, tolerations, &[NO_SCHEDULE, NO_EXECUTE]).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod, reasons, scores, updated};

    /// SCENARIOS N3.
    #[test]
    fn an_untolerated_taint_is_named() {
        let state = CycleState::new();
        let (plain, trainer) = (pod("web").info(), pod("trainer").tolerates("gpu").info());
        let table = [
            (&plain, node("a"), ""),
            (&plain, node("a").taint("gpu", "a100", NO_SCHEDULE), "node(s) had untolerated taint {gpu: a100}"),
            (&plain, node("a").taint("gone", "", NO_EXECUTE), "node(s) had untolerated taint {gone: }"),
            (&plain, node("a").taint("gpu", "a100", PREFER_NO_SCHEDULE), ""),
            (&trainer, node("a").taint("gpu", "a100", NO_SCHEDULE), ""),
        ];
        for (pod, node, message) in table {
            assert_eq!(reasons(TaintToleration.filter(&state, pod, &node.info())), message);
        }
    }

    #[test]
    fn fewer_unwelcome_taints_are_better() {
        let nodes = [
            node("none"),
            node("one").taint("a", "", PREFER_NO_SCHEDULE),
            node("two").taint("a", "", PREFER_NO_SCHEDULE).taint("b", "", PREFER_NO_SCHEDULE),
        ];
        let plain = scores(&TaintToleration, &pod("web").info(), &nodes);
        assert_eq!(plain, Some(vec![100, 50, 0]));
        let tolerant = scores(&TaintToleration, &pod("web").tolerates("b").info(), &nodes);
        assert_eq!(tolerant, Some(vec![100, 0, 0]));
        assert_eq!(scores(&TaintToleration, &pod("web").info(), &nodes[..1]), None, "nothing to tell apart");
    }

    #[test]
    fn only_the_removal_of_an_obstacle_helps() {
        let web = pod("web").info();
        let hint = |old, new| TaintToleration.hint(&web, &updated(old, new));
        let tainted = || node("a").taint("gpu", "a100", NO_SCHEDULE);
        assert_eq!(hint(tainted(), node("a")), Hint::Queue);
        assert_eq!(hint(tainted(), tainted().taint("x", "", NO_SCHEDULE)), Hint::Skip);
        assert_eq!(hint(node("a"), tainted()), Hint::Skip);
        let added = |node: crate::testing::TestNode| {
            TaintToleration.hint(&web, &ClusterEvent::NodeAdded(Arc::new(node.info())))
        };
        assert_eq!((added(node("b")), added(tainted())), (Hint::Queue, Hint::Skip));
    }
}
