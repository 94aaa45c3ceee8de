//! NodeAffinity: which nodes a pod wants, by their labels and names.
//!
//! `nodeSelector` and the required affinity rule nodes out, preferred affinity ranks the others. Of the terms of an affinity one
//! has to match; within a term everything has to. A term that says nothing matches nothing.

use std::sync::Arc;

use api::node_affinity::{Required, Term};

use super::normalize_to_max;
use crate::cache::{NodeInfo, Snapshot};
use crate::framework::{
    ClusterEvent, CycleState, ExtensionPoints, Filter, Hint, Plugin, PreFilter, PreFiltered, PreScore, PreScored,
    Rejection, Score, Verdict,
};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>.
#[derive(Debug)]
pub struct NodeAffinity;

/// What it prefers, with weights.
struct Preferred(Vec<(i64, Term)>);

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_filter(self.clone()).filter(self.clone()).pre_score(self.clone()).score(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let matches = |node: &NodeInfo| matches(&Required::of(&pod.pod.spec), node);
        Hint::queue_if(match event {
            ClusterEvent::NodeAdded(node) => matches(node),
            ClusterEvent::NodeUpdated { old, new, changes } => changes.labels && matches(new) && !matches(old),
            // Only the constraints of a gated pod can be changed, and those are read when the gates open.
            _ => false,
        })
    }
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Verdict<PreFiltered> {
        let required = Required::of(&pod.pod.spec);
        if required.is_empty() {
            return Ok(PreFiltered::Skip);
        }
        let only = required.only_names();
        state.put(required);
        match only {
            None => Ok(PreFiltered::Proceed),
            Some(names) if names.is_empty() => Err(Rejection::unresolvable("pod affinity terms conflict")),
            Some(names) => Ok(PreFiltered::Only(names)),
        }
    }
}

impl Filter for NodeAffinity {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        let matches = match state.get::<Required>() {
            Some(required) => matches(required, node),
            None => matches(&Required::of(&pod.pod.spec), node),
        };
        if matches {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }
}

impl PreScore for NodeAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, _: &[&Arc<NodeInfo>], _: &Snapshot) -> PreScored {
        let affinity = pod.pod.spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred: Vec<_> = affinity
            .into_iter()
            .flat_map(|affinity| &affinity.preferred_during_scheduling_ignored_during_execution)
            .map(|term| (i64::from(term.weight), Term::of(&term.preference)))
            .collect();
        if preferred.is_empty() {
            return PreScored::Skip;
        }
        state.put(Preferred(preferred));
        PreScored::Proceed
    }
}

impl Score for NodeAffinity {
    /// The weights of the terms that match.
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let (Some(node), Some(Preferred(terms))) = (node.node(), state.get()) else { return 0 };
        terms.iter().filter(|(_, term)| term.matches(node)).map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_to_max(scores);
    }
}

fn matches(required: &Required, node: &NodeInfo) -> bool {
    node.node().is_some_and(|node| required.matches(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestPod, expression, node, pod, reasons, scores, term, updated};

    use api::node_affinity::NAME;

    const MISMATCH: &str = "node(s) didn't match Pod's node affinity/selector";

    fn filter(pod: TestPod, node: &NodeInfo) -> String {
        let (mut state, pod) = (CycleState::new(), pod.info());
        match NodeAffinity.pre_filter(&mut state, &pod, &Snapshot::new()) {
            Ok(PreFiltered::Skip) => String::new(),
            Ok(_) => reasons(NodeAffinity.filter(&state, &pod, node)),
            Err(rejection) => rejection.message(),
        }
    }

    #[test]
    fn selector_and_required_terms_rule_nodes_out() {
        let ssd = node("a").label("disk", "ssd").label("cpus", "16").info();
        let require = |terms| pod("p").requires(terms);
        let table = [
            (pod("p"), ""),
            (pod("p").selects("disk", "ssd"), ""),
            (pod("p").selects("disk", "hdd"), MISMATCH),
            (pod("p").selects("disk", "ssd").selects("zone", "a"), MISMATCH),
            (require(vec![term(&[expression("disk", "In", &["hdd", "ssd"])], &[])]), ""),
            (require(vec![term(&[expression("disk", "NotIn", &["ssd"])], &[])]), MISMATCH),
            (require(vec![term(&[expression("gpu", "DoesNotExist", &[])], &[])]), ""),
            (require(vec![term(&[expression("cpus", "Gt", &["8"])], &[])]), ""),
            (require(vec![term(&[expression("cpus", "Lt", &["8"])], &[])]), MISMATCH),
            (
                require(vec![term(&[expression("disk", "Exists", &[]), expression("gpu", "Exists", &[])], &[])]),
                MISMATCH,
            ),
            (
                require(vec![
                    term(&[expression("gpu", "Exists", &[])], &[]),
                    term(&[expression("disk", "Exists", &[])], &[]),
                ]),
                "",
            ),
            (require(vec![term(&[], &[])]), MISMATCH),
            (require(vec![]), MISMATCH),
            (require(vec![term(&[expression("disk", "Like", &["s*"])], &[])]), MISMATCH),
            (pod("p").selects("disk", "ssd").requires(vec![term(&[expression("gpu", "Exists", &[])], &[])]), MISMATCH),
        ];
        for (pod, message) in table {
            let case = format!("{:?}", pod.object.spec);
            assert_eq!(filter(pod, &ssd), message, "{case}");
        }
    }

    #[test]
    fn terms_that_name_nodes_leave_the_others_out() {
        let pre_filter =
            |terms| NodeAffinity.pre_filter(&mut CycleState::new(), &pod("p").requires(terms).info(), &Snapshot::new());
        let named = |names: &[&str]| term(&[], &[expression(NAME, "In", names)]);
        let only = |names: &[&str]| Ok(PreFiltered::Only(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!(pre_filter(vec![named(&["a"]), named(&["b", "c"])]), only(&["a", "b", "c"]));
        let anywhere = term(&[expression("disk", "Exists", &[])], &[]);
        assert_eq!(pre_filter(vec![named(&["a"]), anywhere]), Ok(PreFiltered::Proceed));
        let torn = term(&[], &[expression(NAME, "In", &["a"]), expression(NAME, "In", &["b"])]);
        assert_eq!(pre_filter(vec![torn]).unwrap_err().message(), "pod affinity terms conflict");
        let not_a = || pod("p").requires(vec![term(&[], &[expression(NAME, "NotIn", &["a"])])]);
        assert_eq!(filter(not_a(), &node("a").info()), MISMATCH);
        assert_eq!(filter(not_a(), &node("b").info()), "");
    }

    #[test]
    fn preferred_terms_rank_by_their_weights() {
        let nodes = [node("a").label("disk", "ssd"), node("b").label("disk", "ssd").label("zone", "z1"), node("c")];
        let picky = pod("p")
            .prefers(20, term(&[expression("disk", "In", &["ssd"])], &[]))
            .prefers(60, term(&[expression("zone", "In", &["z1"])], &[]));
        assert_eq!(scores(&NodeAffinity, &picky.info(), &nodes), Some(vec![25, 100, 0]));
        assert_eq!(scores(&NodeAffinity, &pod("p").info(), &nodes), None);
    }

    #[test]
    fn a_node_that_begins_to_match_helps() {
        let picky = pod("p").selects("disk", "ssd").info();
        let hint = |old, new| NodeAffinity.hint(&picky, &updated(old, new));
        assert_eq!(hint(node("a"), node("a").label("disk", "ssd")), Hint::Queue);
        assert_eq!(hint(node("a"), node("a").label("disk", "hdd")), Hint::Skip);
        assert_eq!(hint(node("a").label("disk", "ssd"), node("a").label("disk", "ssd").label("x", "y")), Hint::Skip);
        let added = |node: crate::testing::TestNode| ClusterEvent::NodeAdded(Arc::new(node.info()));
        assert_eq!(NodeAffinity.hint(&picky, &added(node("a").label("disk", "ssd"))), Hint::Queue);
        assert_eq!(NodeAffinity.hint(&picky, &added(node("a"))), Hint::Skip);
    }
}
