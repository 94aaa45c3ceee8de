//! Events go an hour after they were last written.
//!
//! Kubernetes leaves this to leases of etcd. Here the newest write's time, which the store keeps with every value, decides, so it works on
//! any store and costs no write.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Event;
use jiff::{SignedDuration, Timestamp};
use service_kit::Clock;
use store::{Error, Store, WriteContext};
use tracing::{debug, warn};

use crate::registry::{Lookup, Storage};

/// Deletes events that nobody has written for a while.
pub(super) struct Expiry {
    store: Arc<dyn Store>,
    events: Lookup<Event>,
    ttl: SignedDuration,
}

impl Expiry {
    pub(super) fn new(storage: &Storage, events: Lookup<Event>, ttl: Duration) -> Self {
        let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
        Self { store: Arc::clone(storage.store()), events, ttl }
    }

    pub(super) async fn run(self, clock: Clock, period: Duration) {
        let mut rounds = super::rounds(period);
        loop {
            rounds.tick().await;
            match self.expire(clock.now()).await {
                Ok(0) => {}
                Ok(expired) => debug!(expired, "events have expired"),
                Err(error) => warn!(%error, "expired events could not be deleted"),
            }
        }
    }

    /// Deletes what has expired by now, and says how many that were.
    pub(super) async fn expire(&self, now: Timestamp) -> Result<usize, Error> {
        let mut expired = 0;
        for event in self.events.cached() {
            let Some(written) = event.cause.committed_at else { continue };
            if now.duration_since(written) < self.ttl {
                continue;
            }
            match self.store.delete(&event.key, event.revision, &WriteContext::default()).await {
                Ok(_) => expired += 1,
                // Somebody has written it again, or was faster.
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }
}
