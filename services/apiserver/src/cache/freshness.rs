//! Reads that are as strong as reads from the store, answered from the cache.
//!
//! A read that must see every write that was acknowledged before it began asks the store for its newest revision and waits until the
//! caches have passed it. Many readers share one question: all who come while one is being answered are answered by the next one, which is
//! asked after all of them began. If nothing is being written, the watch has nothing to say; then a tiny write, the store's barrier, moves
//! it.

use std::sync::Arc;
use std::time::Duration;

use api::Error;
use store::Store;
use tokio::sync::{mpsc, oneshot};

use super::progress::Progress;

/// After this long without news the watch is moved by a barrier. Much longer than a commit takes to arrive, much shorter than anyone
/// notices.
const QUIET: Duration = Duration::from_millis(20);

/// After this long the watch is taken to be broken.
const PATIENCE: Duration = Duration::from_secs(3);

type Waiter = oneshot::Sender<Result<(), Error>>;

/// Asks for fresh caches. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    waiters: mpsc::UnboundedSender<Waiter>,
}

/// Answers them, as a task of its own.
#[derive(Debug)]
pub(crate) struct Refresher {
    waiters: mpsc::UnboundedReceiver<Waiter>,
    progress: Progress,
}

impl Freshness {
    pub(crate) fn new(progress: Progress) -> (Self, Refresher) {
        let (sender, waiters) = mpsc::unbounded_channel();
        (Self { waiters: sender }, Refresher { waiters, progress })
    }

    /// Returns once the caches show everything that was committed before the call.
    ///
    /// # Errors
    /// `ServiceUnavailable` if the store does not answer or its watch brings nothing.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let (waiter, answer) = oneshot::channel();
        let stopping = || Error::unavailable("the apiserver is shutting down").retry_after(1);
        self.waiters.send(waiter).map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

impl Refresher {
    /// Serves until every [`Freshness`] is gone.
    pub(crate) async fn run(mut self, store: Arc<dyn Store>) {
        while let Some(first) = self.waiters.recv().await {
            let mut together = vec![first];
            while let Ok(waiter) = self.waiters.try_recv() {
                together.push(waiter);
            }
            let answer = self.catch_up(store.as_ref()).await;
            for waiter in together {
                // Whoever has given up does not mind.
                let _ = waiter.send(answer.clone());
            }
        }
    }

    async fn catch_up(&self, store: &dyn Store) -> Result<(), Error> {
        let newest = store.current_revision().await.map_err(unavailable)?;
        if self.progress.wait_for(newest, QUIET).await {
            return Ok(());
        }
        let barrier = store.barrier().await.map_err(unavailable)?;
        if self.progress.wait_for(barrier, PATIENCE).await {
            return Ok(());
        }
        let reached = self.progress.reached();
        let why = format!("the cache is behind the store: it has seen revision {reached}, not yet {newest}");
        Err(Error::unavailable(why).retry_after(1))
    }
}

fn unavailable(error: store::Error) -> Error {
    Error::unavailable(format!("the store does not answer: {error}")).retry_after(1)
}
