//! Which spans are shown, and on what level.
//!
//! ```text
//! spans                                   shown
//! call (client)                           call
//!   call (server)                           authenticate
//!     authenticate                          etcd txn
//!     etcd txn                            watch
//!       watch                             queue
//!       queue                             sync
//!       sync                                call ...
//!         call ...
//! ```
//!
//! A call is one row, whichever side saw it. What a commit caused begins after it, somewhere else, so it follows the call instead of being
//! nested in it: the levels then count who asked whom, and stay few.

use crate::trace::journey::Journey;
use crate::trace::span::{Kind, Span};

/// A row and the rows below it.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) span: usize,
    /// It was not called but caused, by this call above it on the same level.
    pub(super) caused_by: Option<usize>,
    pub(super) children: Vec<Branch>,
    /// It stands for more than itself.
    pub(super) fold: Option<Fold>,
}

/// What a folded row stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    /// Branches like this one, itself included.
    pub(super) branches: usize,
    /// Spans in all of them.
    pub(super) spans: usize,
    /// When the last of them ended.
    pub(super) end: i64,
}

/// The rows of a journey.
pub(super) fn arrange(journey: &Journey, all: bool) -> Vec<Branch> {
    let arranger = Arranger { journey, all };
    journey.tops().iter().flat_map(|top| arranger.unit(*top, None)).collect()
}

struct Arranger<'a> {
    journey: &'a Journey,
    all: bool,
}

impl Arranger<'_> {
    /// A span with all inside of it, followed by what its commits caused.
    fn unit(&self, span: usize, caused_by: Option<usize>) -> Vec<Branch> {
        let mut effects = Vec::new();
        let mut branches = self.inside(span, &mut effects);
        self.in_order(&mut effects);
        let caused: Vec<Branch> = effects.into_iter().flat_map(|effect| self.unit(effect, Some(span))).collect();
        // Nothing stands there without its cause.
        let is_hidden = branches.first().is_none_or(|first| first.span != span);
        if is_hidden && !caused.is_empty() && is_call(self.journey.span(span)) {
            branches = vec![Branch { span, caused_by: None, children: branches, fold: None }];
        }
        if let Some(first) = branches.first_mut() {
            first.caused_by = caused_by;
        }
        branches.extend(caused);
        branches
    }

    /// A span with all inside of it, or only that if the span itself is not shown.
    fn inside(&self, span: usize, effects: &mut Vec<usize>) -> Vec<Branch> {
        let mut children = Vec::new();
        for child in self.journey.children(span) {
            if self.journey.span(span).is_commit() {
                effects.push(*child);
            } else if is_call(self.journey.span(*child)) {
                children.extend(self.unit(*child, None));
            } else {
                children.extend(self.inside(*child, effects));
            }
        }
        if self.is_shown(span, &children) {
            return vec![Branch { span, caused_by: None, children, fold: None }];
        }
        children
    }

    fn is_shown(&self, index: usize, children: &[Branch]) -> bool {
        let span = self.journey.span(index);
        let Some(parent) = self.journey.parent(index) else { return true };
        let is_top = self.journey.parent(parent).is_none();
        let parent = self.journey.span(parent);
        if self.all || span.error.is_some() || span.step().is_some() {
            return true;
        }
        if is_call(span) {
            // What the user asked for, and what contains a step.
            return !is_read(span) && (is_top || !children.is_empty());
        }
        // A run that made one call and is no step itself is told by that call; one that changed nothing is no news.
        let calls = children.iter().filter(|child| child.caused_by.is_none()).count();
        parent.is_commit() && !span.is_wait() && calls > 1
    }

    /// Who woke first comes first, with its wait and its run together.
    fn in_order(&self, effects: &mut [usize]) {
        let key = |index: usize| {
            let span = self.journey.span(index);
            (span.service.clone(), span.instance.clone(), span.object())
        };
        let first = |index: usize| {
            let same = self.journey.children(self.journey.parent(index).unwrap_or(index)).iter();
            same.filter(|other| key(**other) == key(index)).map(|other| self.journey.span(*other).start).min()
        };
        effects.sort_by_cached_key(|index| (first(*index), key(*index), self.journey.span(*index).start, *index));
    }
}

/// Whether a span is a request to another process of ours.
pub(super) fn is_call(span: &Span) -> bool {
    span.kind == Kind::Client && span.name.contains('/')
}

fn is_read(span: &Span) -> bool {
    matches!(span.name.rsplit('/').next(), Some("Get" | "List" | "Watch"))
}
