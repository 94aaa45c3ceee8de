//! Which nodes a pod wants, by their labels and names.
//!
//! Of the terms of an affinity one has to match; within a term everything has to. A term that says nothing matches nothing. The scheduler
//! asks it to place a pod, and the kubelet to admit one. See
//! [node affinity](https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity).

use std::collections::BTreeSet;

use crate::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};
use crate::selector::label::{Operator, Requirement};

/// The only field of a node that terms can name.
pub const NAME: &str = "metadata.name";

/// What a pod requires of its node: `nodeSelector` and the required node affinity.
#[derive(Debug)]
pub struct Required {
    selector: Vec<(String, String)>,
    /// `None`: no affinity is required.
    terms: Option<Vec<Term>>,
}

/// A term of a node selector, read once.
#[derive(Debug)]
pub struct Term {
    labels: Vec<Requirement>,
    /// Demands on the name: one of these, or none of these.
    names: Vec<(Operator, BTreeSet<String>)>,
    /// False for a term that says nothing, or nonsense.
    can_match: bool,
}

impl Required {
    /// What a pod's spec requires.
    pub fn of(spec: &PodSpec) -> Self {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let terms = affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        Self {
            selector: spec.node_selector.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            terms: terms.map(|selector| selector.node_selector_terms.iter().map(Term::of).collect()),
        }
    }

    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.selector.is_empty() && self.terms.is_none()
    }

    /// Whether a node is what is required.
    pub fn matches(&self, node: &Node) -> bool {
        self.selector.iter().all(|(key, value)| node.metadata.labels.get(key) == Some(value))
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }

    /// The only nodes that can match, if every term names some.
    pub fn only_names(&self) -> Option<BTreeSet<String>> {
        let sets: Option<Vec<_>> = self.terms.as_deref()?.iter().map(Term::only_names).collect();
        sets.filter(|sets| !sets.is_empty()).map(|sets| sets.into_iter().flatten().collect())
    }
}

impl Term {
    /// Reads a term.
    pub fn of(term: &NodeSelectorTerm) -> Self {
        let labels: Option<Vec<_>> = term.match_expressions.iter().map(label_requirement).collect();
        let names: Option<Vec<_>> = term.match_fields.iter().map(name_requirement).collect();
        let says_something = !(term.match_expressions.is_empty() && term.match_fields.is_empty());
        let can_match = says_something && labels.is_some() && names.is_some();
        Self { labels: labels.unwrap_or_default(), names: names.unwrap_or_default(), can_match }
    }

    /// Whether a node is what the term says.
    pub fn matches(&self, node: &Node) -> bool {
        let is_named = |(operator, names): &(Operator, BTreeSet<String>)| {
            names.contains(&node.metadata.name) == (*operator == Operator::In)
        };
        self.can_match
            && self.labels.iter().all(|requirement| requirement.matches(&node.metadata.labels))
            && self.names.iter().all(is_named)
    }

    /// The names that the node may have; `None` if it may have any.
    fn only_names(&self) -> Option<BTreeSet<String>> {
        let sets = self.names.iter().filter(|(operator, _)| *operator == Operator::In).map(|(_, names)| names.clone());
        sets.reduce(|a, b| a.intersection(&b).cloned().collect())
    }
}

fn label_requirement(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    };
    Requirement::new(&requirement.key, operator, &requirement.values).ok()
}

/// Names may be longer than a label's value, so they are compared here.
fn name_requirement(requirement: &NodeSelectorRequirement) -> Option<(Operator, BTreeSet<String>)> {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        _ => return None,
    };
    (requirement.key == NAME).then(|| (operator, requirement.values.iter().cloned().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::NodeSelector;

    fn required(names: &[&str], disk: &str) -> Required {
        let requirement = |key: &str, values: &[&str]| NodeSelectorRequirement {
            key: key.to_owned(),
            operator: "In".to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let mut spec = PodSpec::default();
        let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: vec![requirement("disk", &[disk])],
                match_fields: vec![requirement(NAME, names)],
            }],
        });
        Required::of(&spec)
    }

    #[test]
    fn all_of_a_term_has_to_match() {
        let mut node = Node::default();
        node.metadata.name = "a".to_owned();
        node.metadata.labels.insert("disk".to_owned(), "ssd".to_owned());
        for (names, disk, matches) in
            [(["a", "b"], "ssd", true), (["b", "c"], "ssd", false), (["a", "b"], "hdd", false)]
        {
            let required = required(&names, disk);
            assert_eq!(required.matches(&node), matches, "{names:?} {disk}");
            assert_eq!(required.only_names(), Some(names.map(str::to_owned).into()));
        }
        let nothing = Required::of(&PodSpec::default());
        assert!(nothing.is_empty() && nothing.matches(&node) && nothing.only_names().is_none());
    }
}
