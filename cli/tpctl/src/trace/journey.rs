//! The spans of one trace as a tree.

use super::span::{Kind, Span};
use std::collections::{HashMap, HashSet};

/// One trace, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Journey {
    /// By start, then by end; a span stands after its parent.
    spans: Vec<Span>,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Spans without a parent here, by start.
    tops: Vec<usize>,
}

impl Journey {
    /// Groups spans by their trace, the trace that began last first.
    pub(crate) fn all(spans: Vec<Span>) -> Vec<Journey> {
        let mut traces: HashMap<String, Vec<Span>> = HashMap::new();
        for span in spans {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        let mut all: Vec<Journey> = traces.into_values().map(Journey::new).collect();
        all.sort_by_key(|journey| (-journey.start(), journey.trace_id().to_owned()));
        all
    }

    /// A journey of spans that all belong to one trace, at least one.
    fn new(mut spans: Vec<Span>) -> Journey {
        spans.sort_by_key(|span| (span.start, -span.end));
        let mut seen = HashSet::new();
        spans.retain(|span| seen.insert(span.span_id.clone()));
        let index: HashMap<&str, usize> =
            spans.iter().enumerate().map(|(i, span)| (span.span_id.as_str(), i)).collect();
        let parents: Vec<Option<usize>> = spans
            .iter()
            .enumerate()
            // A span that names itself would hang in the air for ever.
            .map(|(own, span)| index.get(span.parent_id.as_str()).copied().filter(|parent| *parent != own))
            .collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (child, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(child);
            }
        }
        let tops = (0..spans.len()).filter(|span| parents[*span].is_none()).collect();
        Journey { spans, parents, children, tops }
    }

    /// The trace's id.
    pub(crate) fn trace_id(&self) -> &str {
        &self.spans[0].trace_id
    }

    /// All spans, by start.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    pub(super) fn span(&self, index: usize) -> &Span {
        &self.spans[index]
    }

    pub(super) fn parent(&self, index: usize) -> Option<usize> {
        self.parents[index]
    }

    /// By start.
    pub(super) fn children(&self, index: usize) -> &[usize] {
        &self.children[index]
    }

    /// The spans on top: the root, and those whose parent is not known.
    pub(super) fn tops(&self) -> &[usize] {
        &self.tops
    }

    /// The object that a span is about, by what it says itself or by what it is a part of.
    pub(crate) fn object(&self, index: usize) -> Option<String> {
        // The server knows a name that it has made.
        let answered = self.children[index].iter().find(|child| self.spans[**child].kind == Kind::Server);
        let mut next = Some(answered.copied().unwrap_or(index));
        while let Some(index) = next {
            if let Some(object) = self.spans[index].object() {
                return Some(object);
            }
            next = self.parents[index];
        }
        None
    }

    /// The one span that has no parent; `None` while it has not arrived.
    pub(crate) fn root(&self) -> Option<&Span> {
        self.tops.iter().map(|top| &self.spans[*top]).find(|span| span.parent_id.is_empty())
    }

    /// How many spans name a parent that is not known.
    pub(crate) fn orphans(&self) -> usize {
        self.tops.iter().filter(|top| !self.spans[**top].parent_id.is_empty()).count()
    }

    /// Whether it has its root and no orphan. More may still come.
    pub(crate) fn is_whole(&self) -> bool {
        self.root().is_some() && self.orphans() == 0
    }

    /// When it began, in nanoseconds since the epoch.
    pub(crate) fn start(&self) -> i64 {
        self.spans[0].start
    }

    /// When its last known span ended.
    pub(crate) fn end(&self) -> i64 {
        self.spans.iter().map(|span| span.end).max().unwrap_or_default()
    }

    /// Who took part, in the order in which they came.
    pub(crate) fn services(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.spans.iter().map(|span| span.service.as_str()).filter(|service| seen.insert(*service)).collect()
    }

    /// How many spans failed.
    pub(crate) fn errors(&self) -> usize {
        self.spans.iter().filter(|span| span.error.is_some()).count()
    }

    /// What to call it: its root's name, or that of whatever came first.
    pub(crate) fn title(&self) -> &str {
        &self.root().unwrap_or(&self.spans[0]).name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::span;

    #[test]
    fn spans_become_a_tree_and_those_without_a_parent_are_counted() {
        let journeys = Journey::all(vec![
            span("b", "late", "", "tpctl", "tpctl delete", 500, 10),
            span("a", "2", "1", "apiserver", "etcd txn", 20, 10),
            span("a", "1", "", "tpctl", "tpctl apply", 10, 100),
            span("a", "2", "1", "apiserver", "etcd txn", 20, 10),
            span("a", "9", "8", "kubelet", "sync pod", 50, 70),
        ]);
        assert_eq!(journeys.iter().map(Journey::title).collect::<Vec<_>>(), ["tpctl delete", "tpctl apply"]);
        let journey = &journeys[1];
        assert_eq!((journey.spans().len(), journey.orphans(), journey.is_whole()), (3, 1, false));
        assert_eq!(journey.children(0), [1]);
        assert_eq!((journey.start(), journey.end()), (10, 120));
        assert_eq!(journey.services(), ["tpctl", "apiserver", "kubelet"]);
        assert!(journeys[0].is_whole());
    }
}
