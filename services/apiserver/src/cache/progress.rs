//! How far the caches have come: one revision for all of them, because one watch feeds them all.

use std::sync::Arc;
use std::time::Duration;

use store::Revision;
use tokio::sync::watch;
use tokio::time::timeout;

/// The revision up to which every cache shows everything. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    reached: Arc<watch::Sender<Revision>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { reached: Arc::new(watch::Sender::new(Revision::NONE)) }
    }

    /// The caches show everything up to here.
    pub(crate) fn reached(&self) -> Revision {
        *self.reached.borrow()
    }

    /// Says that they do. Called when all of them have applied it, never before.
    pub(crate) fn advance(&self, revision: Revision) {
        self.reached.send_if_modified(|reached| {
            let newer = revision > *reached;
            *reached = revision.max(*reached);
            newer
        });
    }

    /// Waits until the caches have come this far; false if they have not within `patience`.
    pub(crate) async fn wait_for(&self, revision: Revision, patience: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        // The sender cannot go away before `self`, so the only failure is the time.
        timeout(patience, reached.wait_for(|reached| *reached >= revision)).await.is_ok()
    }
}
