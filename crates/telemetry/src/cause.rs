//! Causes: the revisions that made a reconcile necessary, each with the trace context of the write behind it.
//!
//! Invariant: [`Causes`] holds at most [`Causes::LIMIT`] distinct causes, newest revision first, and counts what it left
//! out, so a key that changes a million times while it waits in a queue costs the same as one that changes once.
//! It knows no queue and no spans; `span::reconcile` turns causes into spans.

use jiff::Timestamp;

use crate::TraceContext;

/// One write as its observer sees it: who caused it, at which revision, and when.
///
/// Comes with every watch event, beside the object (TRACES rule 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The span that made the write; none when the writer was not traced (a heartbeat, a foreign client).
    pub context: TraceContext,
    /// The etcd revision of the write; 0 when it is not known, as for an object found by its annotation.
    pub revision: i64,
    /// When the write was committed, by the apiserver's clock. Carry it with nanoseconds: cut short it would lie before
    /// the span that made the write.
    pub committed_at: Option<Timestamp>,
    /// When this process received the event, by its own clock.
    pub received_at: Option<Timestamp>,
    /// The event told what exists (a start, a relist), not what just happened. Whether the work that the write asks for
    /// was done before is not known: a run that finds it undone continues the trace, one that finds it done leaves none.
    pub replayed: bool,
}

impl Cause {
    /// A cause from its parts, received now.
    pub fn received(context: TraceContext, revision: i64, committed_at: Option<Timestamp>) -> Self {
        Self { context, revision, committed_at, received_at: Some(Timestamp::now()), replayed: false }
    }

    /// A cause known by its context alone: the annotation `tracing.k8s.io/traceparent` (KEP-5915).
    pub fn from_context(context: TraceContext) -> Self {
        Self { context, ..Self::default() }
    }

    /// One cause is told from another by its write, not by when it was seen: a relist delivers it a second time.
    fn is_same_write(&self, other: &Self) -> bool {
        self.revision == other.revision && self.context == other.context
    }
}

/// The causes merged into one run of a key: the newest few, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    /// Newest revision first.
    newest: Vec<Cause>,
    dropped: u64,
}

impl Causes {
    /// How many causes are kept; the rest are counted.
    pub const LIMIT: usize = 16;

    /// No cause: a resync, a retry timer, a start-up.
    pub const fn none() -> Self {
        Self { newest: Vec::new(), dropped: 0 }
    }

    /// Adds one cause. A write that is already there changes nothing; beyond the limit the oldest is dropped and counted.
    ///
    /// A cause without context is ignored: an untraced write explains nothing, and a run that only has such causes is a
    /// run without a cause.
    pub fn merge(&mut self, cause: Cause) {
        if !cause.context.is_valid() || self.newest.iter().any(|kept| kept.is_same_write(&cause)) {
            return;
        }
        let position = self.newest.partition_point(|kept| kept.revision > cause.revision);
        self.newest.insert(position, cause);
        if self.newest.len() > Self::LIMIT {
            self.newest.pop();
            self.dropped += 1;
        }
    }

    /// Adds everything that another run had merged: the queue does so when a key is added while it waits or runs.
    pub fn merge_all(&mut self, other: Self) {
        self.dropped += other.dropped;
        for cause in other.newest {
            self.merge(cause);
        }
    }

    /// The newest cause, sampled or not.
    pub fn newest(&self) -> Option<&Cause> {
        self.newest.first()
    }

    /// The newest cause whose trace is recorded: the one a reconcile continues.
    pub fn newest_sampled(&self) -> Option<&Cause> {
        self.newest.iter().find(|cause| cause.context.is_sampled())
    }

    /// Every cause but the one that is continued, newest first: a reconcile links to these.
    pub fn others(&self) -> impl Iterator<Item = &Cause> {
        let continued = self.newest_sampled();
        self.newest.iter().filter(move |cause| continued.is_none_or(|continued| !std::ptr::eq(*cause, continued)))
    }

    /// All kept causes, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Cause> {
        self.newest.iter()
    }

    /// How many causes were merged but not kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many causes were merged, kept or not.
    pub fn total(&self) -> u64 {
        self.newest.len() as u64 + self.dropped
    }

    /// Whether nothing traced caused this run.
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }
}

impl From<Cause> for Causes {
    fn from(cause: Cause) -> Self {
        let mut causes = Self::none();
        causes.merge(cause);
        causes
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<I: IntoIterator<Item = Cause>>(iter: I) -> Self {
        let mut causes = Self::none();
        iter.into_iter().for_each(|cause| causes.merge(cause));
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(revision: i64, sampled: bool) -> Cause {
        let flags = u8::from(sampled);
        let parent = format!("00-{:032x}-{:016x}-{flags:02x}", revision + 1, revision + 1);
        Cause { context: TraceContext::parse(&parent, ""), revision, ..Cause::default() }
    }

    fn revisions(causes: &Causes) -> Vec<i64> {
        causes.iter().map(|cause| cause.revision).collect()
    }

    #[test]
    fn merging_keeps_the_newest_distinct_causes_in_order_and_counts_the_rest() {
        let many: Vec<i64> = (1..=20).collect();
        let table: [(&str, Vec<i64>, Vec<i64>, u64); 5] = [
            ("nothing", vec![], vec![], 0),
            ("in order", vec![1, 2, 3], vec![3, 2, 1], 0),
            ("out of order", vec![3, 1, 2], vec![3, 2, 1], 0),
            ("the same write again", vec![1, 2, 1, 2], vec![2, 1], 0),
            ("more than the limit", many, (5..=20).rev().collect(), 4),
        ];
        for (name, merged, kept, dropped) in table {
            let causes: Causes = merged.into_iter().map(|revision| cause(revision, true)).collect();
            assert_eq!((revisions(&causes), causes.dropped()), (kept, dropped), "{name}");
        }
    }

    #[test]
    fn an_old_cause_that_comes_late_to_a_full_set_is_the_one_dropped() {
        let mut causes: Causes = (10..26).map(|revision| cause(revision, true)).collect();
        causes.merge(cause(1, true));
        assert_eq!(revisions(&causes), (10..26).rev().collect::<Vec<_>>());
        assert_eq!((causes.dropped(), causes.total()), (1, 17));
    }

    #[test]
    fn the_newest_sampled_is_continued_and_all_others_are_linked() {
        let causes: Causes = [cause(1, true), cause(2, true), cause(3, false)].into_iter().collect();
        assert_eq!(causes.newest().map(|cause| cause.revision), Some(3));
        assert_eq!(causes.newest_sampled().map(|cause| cause.revision), Some(2));
        assert_eq!(causes.others().map(|cause| cause.revision).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn with_nothing_sampled_there_is_nothing_to_continue() {
        let causes: Causes = [cause(1, false), cause(2, false)].into_iter().collect();
        assert!(causes.newest_sampled().is_none());
        assert_eq!(causes.others().count(), 2);
    }

    #[test]
    fn an_untraced_write_is_no_cause() {
        let causes = Causes::from(Cause { revision: 7, ..Cause::default() });
        assert!(causes.is_empty() && causes.total() == 0);
    }

    #[test]
    fn two_writes_at_one_revision_are_two_causes() {
        let mut second = cause(5, true);
        second.context = cause(6, true).context;
        let causes: Causes = [cause(5, true), second].into_iter().collect();
        assert_eq!(causes.total(), 2);
    }

    #[test]
    fn merging_two_sets_adds_their_counts() {
        let mut causes: Causes = (1..=17).map(|revision| cause(revision, true)).collect();
        causes.merge_all((17..=20).map(|revision| cause(revision, true)).collect());
        assert_eq!(revisions(&causes), (5..=20).rev().collect::<Vec<_>>());
        assert_eq!(causes.dropped(), 4);
    }
}
