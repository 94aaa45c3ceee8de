//! Which nodes can run a pod.
//!
//! In a large cluster it looks for enough nodes, not for all: ranking a hundred good nodes finds one about as good as ranking
//! thousands. Each search begins where the last one ended, so that all nodes get their turn.

use std::sync::Arc;

use telemetry::span::scheduling::{self, ExtensionPoint, extension_point};
use tracing::Span;

use crate::cache::{NodeInfo, Snapshot};
use crate::diagnosis::Diagnosis;
use crate::framework::{Candidates, CycleState, Filter, Framework, Rejection, RejectionKind};
use crate::pod_info::PodInfo;

/// With fewer nodes than this, all are looked at; otherwise at least so many are found. Kubernetes' numbers, all of them.
const MIN_NODES: usize = 100;
/// At least so many percent.
const MIN_PERCENT: usize = 5;
/// The default begins at this many percent ...
const FROM_PERCENT: usize = 50;
/// ... and is one less for each so many nodes.
const NODES_PER_PERCENT: usize = 125;

/// Where the search stands, from pod to pod.
#[derive(Debug, Default)]
pub struct Search {
    /// How many percent of the nodes are enough; 0: depends on how many there are.
    percentage: usize,
    /// The node to begin with.
    next: usize,
}

/// Why there is no feasible node.
#[derive(Debug)]
pub enum Infeasible {
    /// Every node was rejected.
    Rejected(Box<Diagnosis>),
    /// A plugin failed.
    Failed(Rejection),
}

impl Search {
    /// A search that is content with this percentage of the nodes; 0 takes the default.
    pub fn new(percentage: usize) -> Self {
        Self { percentage, next: 0 }
    }

    /// Finds nodes for a pod: at least one, in the order in which they were looked at.
    ///
    /// # Errors
    /// There is none, and why; or a plugin failed.
    pub fn find<'s>(
        &mut self,
        framework: &Framework,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &'s Snapshot,
    ) -> Result<Vec<&'s Arc<NodeInfo>>, Infeasible> {
        let all = snapshot.nodes().len();
        if all == 0 {
            return Err(Infeasible::Rejected(Box::default()));
        }
        let candidates = framework.pre_filter(state, pod, snapshot).map_err(|rejection| match rejection.kind {
            RejectionKind::Error => Infeasible::Failed(rejection),
            _ => Infeasible::Rejected(Box::new(Diagnosis::before_filter(all, &rejection))),
        })?;
        let mut diagnosis = Diagnosis { all_nodes: all, ..Diagnosis::default() };
        let feasible = match candidates {
            Candidates::All => {
                let enough = self.enough(all);
                let start = self.next % all;
                let nodes = (0..all).map(|offset| &snapshot.nodes()[(start + offset) % all]);
                let (feasible, looked_at) = filter(framework, state, pod, nodes, enough, &mut diagnosis)?;
                self.next = (start + looked_at) % all;
                feasible
            }
            Candidates::Only(names, limiting) => {
                diagnosis.not_considered = format!("node(s) didn't satisfy plugin(s) [{}]", limiting.join(" "));
                diagnosis.rejectors.extend(limiting);
                let nodes = names.iter().filter_map(|name| snapshot.node(name));
                filter(framework, state, pod, nodes, usize::MAX, &mut diagnosis)?.0
            }
        };
        if feasible.is_empty() { Err(Infeasible::Rejected(Box::new(diagnosis))) } else { Ok(feasible) }
    }

    /// How many feasible nodes are enough, of so many nodes.
    fn enough(&self, all: usize) -> usize {
        if all < MIN_NODES {
            return all;
        }
        let percentage = match self.percentage {
            0 => FROM_PERCENT.saturating_sub(all / NODES_PER_PERCENT).max(MIN_PERCENT),
            fixed => fixed.min(100),
        };
        (all * percentage / 100).max(MIN_NODES)
    }
}

/// Asks every filter about one node after the other until enough are found. Also tells how many were looked at.
fn filter<'s>(
    framework: &Framework,
    state: &CycleState,
    pod: &PodInfo,
    nodes: impl Iterator<Item = &'s Arc<NodeInfo>>,
    enough: usize,
    diagnosis: &mut Diagnosis,
) -> Result<(Vec<&'s Arc<NodeInfo>>, usize), Infeasible> {
    let span = extension_point(ExtensionPoint::Filter);
    span.in_scope(|| {
        let filters = framework.filters(state);
        let (mut feasible, mut looked_at) = (Vec::new(), 0);
        for node in nodes {
            looked_at += 1;
            match filters.iter().try_for_each(|plugin| asked(*plugin, state, pod, node)) {
                Ok(()) => feasible.push(node),
                Err(rejection) if rejection.kind == RejectionKind::Error => return Err(Infeasible::Failed(rejection)),
                Err(rejection) => diagnosis.reject(node.name(), rejection),
            }
            if feasible.len() >= enough {
                break;
            }
        }
        note_verdicts(&span, &filters, diagnosis, looked_at);
        scheduling::nodes(&span, looked_at, feasible.len());
        Ok((feasible, looked_at))
    })
}

fn asked(plugin: &dyn Filter, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    plugin.filter(state, pod, node).map_err(|rejection| rejection.by(plugin.name(), "Filter"))
}

/// One event per plugin: how many nodes it rejected and why, or how many it let pass.
fn note_verdicts(span: &Span, filters: &[&dyn Filter], diagnosis: &Diagnosis, looked_at: usize) {
    if span.is_disabled() {
        return;
    }
    let mut asked_about = looked_at;
    for plugin in filters {
        let mut rejections = diagnosis.rejected.iter().filter(|(_, rejection)| rejection.plugin == plugin.name());
        match rejections.next() {
            None => scheduling::verdict(span, plugin.name(), "Success", asked_about, ""),
            Some((_, first)) => {
                let rejected = 1 + rejections.count();
                scheduling::verdict(span, plugin.name(), first.kind.as_str(), rejected, &first.message());
                // The next plugin is asked about those that are left.
                asked_about -= rejected;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::testing::{TestPod, expression, framework, node, pod, snapshot_of, term};

    #[test]
    fn enough_is_a_part_of_a_large_cluster() {
        let table = [
            (0, 10, 10),
            (0, 99, 99),
            (0, 100, 100),
            (0, 1000, 420),
            (0, 5000, 500),
            (0, 20_000, 1000),
            (30, 1000, 300),
            (100, 1000, 1000),
            (3, 1000, 100),
        ];
        for (percentage, all, enough) in table {
            assert_eq!(Search::new(percentage).enough(all), enough, "{percentage} % of {all}");
        }
    }

    #[test]
    fn every_node_gets_its_turn() {
        let nodes: Vec<_> = (0..250).map(|index| node(&format!("n{index:03}"))).collect();
        let snapshot = snapshot_of(&nodes);
        let (framework, mut search) = (framework(), Search::new(40));
        let mut first = || {
            let found = search.find(&framework, &mut CycleState::new(), &pod("p").info(), &snapshot).unwrap();
            assert_eq!(found.len(), 100);
            found[0].name().to_string()
        };
        assert_eq!([first(), first(), first(), first()], ["n000", "n100", "n200", "n050"]);
    }

    /// SCENARIOS C7.
    #[test]
    fn no_node_will_do_and_the_diagnosis_says_why() {
        let nodes = [
            node("small").allocatable(&[("cpu", "1"), ("pods", "9")]),
            node("tainted").taint("gpu", "a100", "NoSchedule"),
            node("cordoned").cordoned(),
        ];
        let big = pod("p").requests(&[("cpu", "3")]);
        let diagnose = |pod: &TestPod| {
            let snapshot = snapshot_of(&nodes);
            match Search::new(0).find(&framework(), &mut CycleState::new(), &pod.info(), &snapshot) {
                Err(Infeasible::Rejected(diagnosis)) => *diagnosis,
                other => panic!("{other:?}"),
            }
        };
        let diagnosis = diagnose(&big);
        assert_eq!(
            diagnosis.to_string(),
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {gpu: a100}, \
             1 node(s) were unschedulable."
        );
        let rejectors: Vec<_> = diagnosis.rejectors.into_iter().collect();
        assert_eq!(rejectors, ["NodeResourcesFit", "NodeUnschedulable", "TaintToleration"]);

        let pinned = big.requires(vec![term(&[], &[expression("metadata.name", "In", &["small"])])]);
        assert_eq!(
            diagnose(&pinned).to_string(),
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        );
    }
}
