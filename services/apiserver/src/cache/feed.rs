//! Fills all caches from the store: one list, then one watch, for as long as the process lives.
//!
//! ```text
//!   Load ──listed──▶ Follow ──the watch ended (history lost)──▶ Load ...
//! ```
//!
//! The list is taken some revisions in the past where history allows, and the watch replays the rest. That way the caches know the
//! changes before their start, and clients that were watching another apiserver, or this one before a restart, resume here without
//! a new list, causes included.

use std::sync::Arc;

use futures::StreamExt;
use service_kit::{Backoff, Shutdown};
use store::{Batch, Entry, Error, ListOptions, Revision, Store};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Cache;
use super::freshness::Freshness;
use super::progress::Progress;

/// How far back the list goes, in revisions; the next one is tried when that much history is not there any more.
const DEPTHS: [i64; 3] = [10_000, 1_000, 0];

/// How many objects are asked for at once, so that no answer of the store grows without bound.
const PAGE: u64 = 1_000;

/// The task that keeps the caches in step with the store.
pub(crate) struct Feed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) caches: Arc<[Cache]>,
    pub(crate) progress: Progress,
}

impl Feed {
    /// Runs until the shutdown; ends all watches then.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        shutdown.run_until_triggered(self.keep_up()).await;
        let why = api::Error::unavailable("the apiserver is shutting down").retry_after(1);
        self.caches.iter().for_each(|cache| cache.close(&why));
    }

    async fn keep_up(&self) -> std::convert::Infallible {
        let mut backoff = Backoff::default();
        loop {
            let loaded = self.progress.reached();
            let error = self.load_and_follow().await;
            if self.progress.reached() > loaded {
                backoff.reset();
            }
            let delay = backoff.next_delay();
            warn!(%error, ?delay, "the caches lost the store; they will be loaded anew");
            sleep(delay).await;
        }
    }

    async fn load_and_follow(&self) -> Error {
        match self.load().await {
            Ok(revision) => match self.follow(revision).await {
                Ok(never) => match never {},
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    /// Lists everything at one revision, and says which.
    async fn load(&self) -> Result<Revision, Error> {
        let newest = self.store.current_revision().await?;
        // A cache that has been filled before must not go back.
        let floor = self.progress.reached().max(Revision::new(1));
        let mut error = None;
        for depth in DEPTHS {
            let revision = Revision::new(newest.get() - depth).max(floor);
            match self.list_at(revision).await {
                Ok(listed) => {
                    let objects: usize = listed.iter().map(Vec::len).sum();
                    for (cache, entries) in self.caches.iter().zip(&listed) {
                        cache.replace(entries, revision);
                    }
                    self.progress.advance(revision);
                    info!(%revision, objects, behind = newest.get() - revision.get(), "caches loaded");
                    return Ok(revision);
                }
                Err(Error::Compacted { .. }) => {
                    debug!(%revision, "history is compacted; loading a newer state");
                    error = Some(Error::Compacted { requested: revision, compact_revision: None });
                }
                Err(other) => return Err(other),
            }
        }
        Err(error.unwrap_or_else(|| Error::Internal("no revision to list at".to_owned())))
    }

    async fn list_at(&self, revision: Revision) -> Result<Vec<Vec<Entry>>, Error> {
        let mut listed = Vec::with_capacity(self.caches.len());
        for cache in self.caches.iter() {
            let mut entries: Vec<Entry> = Vec::new();
            loop {
                let start_after = entries.last().map(|entry| entry.key.clone());
                let options = ListOptions { revision: Some(revision), limit: Some(PAGE), start_after };
                let page = self.store.list(&cache.layout().prefix, options).await?;
                entries.extend(page.entries);
                if !page.more {
                    break;
                }
            }
            listed.push(entries);
        }
        Ok(listed)
    }

    async fn follow(&self, revision: Revision) -> Result<std::convert::Infallible, Error> {
        let mut batches = self.store.watch(revision).await?;
        while let Some(batch) = batches.next().await {
            self.apply(&batch?);
        }
        Err(Error::Internal("the store's watch ended without saying why".to_owned()))
    }

    fn apply(&self, batch: &Batch) {
        for cache in self.caches.iter().filter(|_| !batch.events.is_empty()) {
            cache.apply(batch.events.iter());
        }
        self.progress.advance(batch.revision);
    }
}

/// Says, once, that the caches show a state that is not older than the start of the process.
pub(crate) async fn announce_readiness(freshness: Freshness, ready: Arc<watch::Sender<bool>>) {
    let mut backoff = Backoff::default();
    while let Err(error) = freshness.catch_up().await {
        debug!(%error, "caches are not ready");
        sleep(backoff.next_delay()).await;
    }
    ready.send_replace(true);
}
