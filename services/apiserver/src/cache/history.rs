//! The newest changes of one resource, from which a watch can start or resume.
//!
//! Pure: time is an argument. Invariant: every change after `floor` is here, in the order of revisions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use store::Revision;
use tokio::time::Instant;

use super::change::Change;

/// A bounded ring of changes.
#[derive(Debug)]
pub(crate) struct History {
    changes: VecDeque<Arc<Change>>,
    floor: Revision,
    limit: usize,
}

/// Changes younger than this are kept as far as the limit allows; of older ones only a few. Long enough for a client that lost its
/// connection, or an apiserver, to come back.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);

/// As many changes are kept whatever their age, so that quiet resources can be resumed after hours.
const ALWAYS_KEPT: usize = 128;

impl History {
    /// No changes yet: everything up to `floor` is history that is not known here.
    pub(crate) fn new(limit: usize, floor: Revision) -> Self {
        Self { changes: VecDeque::new(), floor, limit: limit.max(1) }
    }

    /// Adds the newest change and forgets the oldest as far as needed.
    pub(crate) fn push(&mut self, change: Arc<Change>, now: Instant) {
        self.changes.push_back(change);
        while let Some(oldest) = self.changes.front() {
            let outdated = now.saturating_duration_since(oldest.seen) > KEPT_FOR && self.changes.len() > ALWAYS_KEPT;
            let same_revision_as_forgotten = oldest.revision <= self.floor;
            if self.changes.len() <= self.limit && !outdated && !same_revision_as_forgotten {
                break;
            }
            self.floor = oldest.revision;
            self.changes.pop_front();
        }
    }

    /// All changes after `revision`, oldest first; or, as an error, the oldest revision after which all changes are known.
    pub(crate) fn after(&self, revision: Revision) -> Result<impl Iterator<Item = &Arc<Change>>, Revision> {
        if revision < self.floor {
            return Err(self.floor);
        }
        let start = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.range(start..))
    }

    /// The revision of the newest change, or the floor.
    pub(crate) fn newest(&self) -> Revision {
        self.changes.back().map_or(self.floor, |change| change.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cached;
    use crate::cache::layout::Selectable;
    use telemetry::Cause;

    fn change(revision: i64) -> Arc<Change> {
        let (key, revision) = ("/registry/pods/default/a".into(), Revision::new(revision));
        let (nothing, selectable) = ((bytes::Bytes::new(), 0), Selectable::default());
        let object = Cached::new(key, "/registry/pods/", nothing, revision, Cause::default(), selectable);
        Arc::new(Change::new(revision, Cause::default(), None, Some(Arc::new(object))))
    }

    fn after(history: &History, revision: i64) -> Result<Vec<i64>, i64> {
        let changes = history.after(Revision::new(revision)).map_err(Revision::get)?;
        Ok(changes.map(|change| change.revision.get()).collect())
    }

    #[tokio::test]
    async fn a_watch_can_start_wherever_no_change_is_missing() {
        let mut history = History::new(3, Revision::new(10));
        assert_eq!(after(&history, 9), Err(10));
        assert_eq!(after(&history, 10), Ok(vec![]));
        for revision in [12, 15, 20] {
            history.push(change(revision), Instant::now());
        }
        assert_eq!(after(&history, 10), Ok(vec![12, 15, 20]));
        assert_eq!(after(&history, 13), Ok(vec![15, 20]));
        history.push(change(21), Instant::now());
        assert_eq!((after(&history, 11), after(&history, 12)), (Err(12), Ok(vec![15, 20, 21])));
        assert_eq!((after(&history, 99), history.newest().get()), (Ok(vec![]), 21));
    }

    #[tokio::test]
    async fn changes_of_one_revision_are_forgotten_together() {
        let mut history = History::new(2, Revision::new(1));
        for revision in [2, 2, 3] {
            history.push(change(revision), Instant::now());
        }
        assert_eq!(after(&history, 2), Ok(vec![3]));
        assert_eq!(after(&history, 1), Err(2));
    }

    #[tokio::test(start_paused = true)]
    async fn old_changes_are_forgotten_except_a_few() {
        let mut history = History::new(10_000, Revision::new(0));
        for revision in 1..=1_000 {
            history.push(change(revision), Instant::now());
        }
        assert_eq!(after(&history, 0).map(|all| all.len()), Ok(1_000));
        history.push(change(1_001), Instant::now() + KEPT_FOR + Duration::from_secs(1));
        assert_eq!(after(&history, 1_001 - ALWAYS_KEPT as i64).map(|all| all.len()), Ok(ALWAYS_KEPT));
        assert!(after(&history, 0).is_err());
    }
}
