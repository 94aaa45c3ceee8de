//! Compaction: history older than one or two intervals is forgotten, by any number of apiservers without a leader.
//!
//! All share one key. At each tick an apiserver tries to overwrite it, expecting the revision that it saw there a tick ago. Whoever succeeds
//! compacts to what was the newest revision then; the others learn the key's new revision and wait. So history always reaches back at
//! least one interval, however many apiservers run. This is how Kubernetes' apiservers do it, with a key of their own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::envelope::Envelope;
use store::{Error, Revision, Store, WriteContext};
use tokio::time::sleep;
use tracing::{info, warn};

/// Where the key lies below the root: beside the resources, never in one's prefix.
const KEY: &str = "compaction/newest";

/// What one apiserver knows of the shared key.
pub(super) struct Compactor {
    store: Arc<dyn Store>,
    key: String,
    /// The key's revision as last seen: also the newest revision of that moment, because writing it made it so.
    seen: Option<Revision>,
}

/// Compacts every `interval`, for ever.
pub(super) async fn run(store: Arc<dyn Store>, interval: Duration) {
    let mut compactor = Compactor::new(store);
    loop {
        match compactor.tick().await {
            Ok(Some(revision)) => info!(%revision, "history before this revision was compacted"),
            Ok(None) => {}
            Err(error) => warn!(%error, "history could not be compacted"),
        }
        sleep(interval).await;
    }
}

impl Compactor {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let key = format!("{}{KEY}", store.root());
        Self { store, key, seen: None }
    }

    /// Compacts if it is this apiserver's turn, and says to where.
    pub(super) async fn tick(&mut self) -> Result<Option<Revision>, Error> {
        let context = WriteContext::default();
        let Some(seen) = self.seen else {
            self.seen = match self.store.create(&self.key, value(), &context).await {
                Ok(revision) => Some(revision),
                Err(Error::AlreadyExists { .. }) => self.store.get(&self.key).await?.map(|entry| entry.revision),
                Err(error) => return Err(error),
            };
            return Ok(None);
        };
        match self.store.update(&self.key, seen, value(), &context).await {
            Ok(revision) => {
                self.seen = Some(revision);
                self.store.compact(seen).await?;
                Ok(Some(seen))
            }
            Err(Error::Conflict { current, .. }) => {
                self.seen = Some(current.revision);
                Ok(None)
            }
            Err(error) => {
                // Whatever became of the key, start over with what is there.
                self.seen = None;
                Err(error)
            }
        }
    }
}

/// The key's revision is all that matters.
fn value() -> Bytes {
    Envelope { api_version: "traceplane.dev/v1".to_owned(), kind: "Compaction".to_owned(), raw: Bytes::new() }.encode()
}
