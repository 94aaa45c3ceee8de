//! Why no node would do: the text of the pod's condition and of its event.
//!
//! For every reason it counts the nodes, and names the reasons in the order in which Kubernetes sorts them, so that the text
//! of an unchanged situation is the same every time and events add up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::framework::{Rejection, RejectionKind};

/// What an attempt found out about the nodes, none of which is feasible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub all_nodes: usize,
    /// Why no node was looked at; empty if they were.
    pub pre_filter_message: String,
    /// The nodes that were looked at, with what each was rejected for.
    pub rejected: Vec<(Arc<str>, Rejection)>,
    /// Why the other nodes were not looked at; empty if there are none.
    pub not_considered: String,
    /// What was done to make room; empty if nothing was.
    pub post_filter_message: String,
    /// The plugins that rejected: events that help one of them bring the pod back.
    pub rejectors: BTreeSet<&'static str>,
}

impl Diagnosis {
    /// The pod was turned down before any node was looked at.
    pub fn before_filter(all_nodes: usize, rejection: &Rejection) -> Self {
        Self {
            all_nodes,
            pre_filter_message: rejection.message(),
            rejectors: BTreeSet::from([rejection.plugin]),
            ..Self::default()
        }
    }

    /// The node that had been chosen was taken back, in Reserve or Permit.
    pub fn of_chosen(node: &Arc<str>, rejection: Rejection) -> Self {
        let rejectors = BTreeSet::from([rejection.plugin]);
        Self { all_nodes: 1, rejected: vec![(Arc::clone(node), rejection)], rejectors, ..Self::default() }
    }

    /// Adds a node.
    pub fn reject(&mut self, node: &Arc<str>, rejection: Rejection) {
        self.rejectors.insert(rejection.plugin);
        self.rejected.push((Arc::clone(node), rejection));
    }

    /// Whether other pods' leaving could help on any node: what preemption asks first.
    pub fn is_resolvable(&self) -> bool {
        self.rejected.iter().any(|(_, rejection)| rejection.kind == RejectionKind::Unschedulable)
    }

    /// `2 Insufficient cpu`, sorted as text: so `10 ...` comes before `2 ...`, as in Kubernetes.
    fn reasons(&self) -> Vec<String> {
        let mut nodes_by_reason = BTreeMap::new();
        for reason in self.rejected.iter().flat_map(|(_, rejection)| &rejection.reasons) {
            *nodes_by_reason.entry(reason.as_ref()).or_insert(0) += 1;
        }
        let others = self.all_nodes - self.rejected.len();
        if others > 0 && !self.not_considered.is_empty() {
            *nodes_by_reason.entry(self.not_considered.as_str()).or_insert(0) += others;
        }
        let mut reasons: Vec<_> = nodes_by_reason.iter().map(|(reason, nodes)| format!("{nodes} {reason}")).collect();
        reasons.sort_unstable();
        reasons
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all_nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        write!(f, "0/{} nodes are available:", self.all_nodes)?;
        if self.pre_filter_message.is_empty() {
            let reasons = self.reasons();
            if !reasons.is_empty() {
                write!(f, " {}.", reasons.join(", "))?;
            }
        } else {
            write!(f, " {}.", self.pre_filter_message)?;
        }
        if !self.post_filter_message.is_empty() {
            write!(f, " {}", self.post_filter_message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(all_nodes: usize, rejected: &[&[&'static str]]) -> Diagnosis {
        let mut diagnosis = Diagnosis { all_nodes, ..Diagnosis::default() };
        for (index, reasons) in rejected.iter().enumerate() {
            let reasons = reasons.iter().map(|reason| (*reason).into()).collect();
            let rejection = Rejection::new(RejectionKind::Unschedulable, reasons).by("Test", "Filter");
            diagnosis.reject(&Arc::from(format!("n{index}")), rejection);
        }
        diagnosis
    }

    /// SCENARIOS C7.
    #[test]
    fn the_message_counts_the_nodes_of_every_reason() {
        const TAINT: &str = "node(s) had untolerated taint {gpu: a100}";
        let full: &[&str] = &["Too many pods", "Insufficient cpu"];
        let ten = [&["Insufficient cpu"] as &[&str]; 10];
        let table = [
            (diagnosis(0, &[]), "no nodes available to schedule pods"),
            (
                diagnosis(3, &[&["Insufficient cpu"], &[TAINT], &[TAINT]]),
                "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: a100}.",
            ),
            (diagnosis(1, &[full]), "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods."),
            (
                diagnosis(12, &[&ten[..], &[&["Too many pods"], &["Too many pods"]]].concat()),
                "0/12 nodes are available: 10 Insufficient cpu, 2 Too many pods.",
            ),
            (
                Diagnosis {
                    not_considered: "node(s) didn't satisfy plugin(s) [NodeAffinity]".into(),
                    ..diagnosis(3, &[full])
                },
                "0/3 nodes are available: 1 Insufficient cpu, 1 Too many pods, \
                 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
            ),
            (
                Diagnosis::before_filter(4, &Rejection::unresolvable("no claim of that name")),
                "0/4 nodes are available: no claim of that name.",
            ),
            (
                Diagnosis {
                    post_filter_message: "preemption: 1 victim.".into(),
                    ..diagnosis(1, &[&["Insufficient cpu"]])
                },
                "0/1 nodes are available: 1 Insufficient cpu. preemption: 1 victim.",
            ),
        ];
        for (diagnosis, message) in table {
            assert_eq!(diagnosis.to_string(), message);
        }
    }

    #[test]
    fn only_what_other_pods_hold_is_resolvable() {
        assert!(diagnosis(1, &[&["Insufficient cpu"]]).is_resolvable());
        let mut hopeless = Diagnosis { all_nodes: 1, ..Diagnosis::default() };
        hopeless.reject(&Arc::from("n"), Rejection::unresolvable("node(s) were unschedulable"));
        assert!(!hopeless.is_resolvable());
    }
}
