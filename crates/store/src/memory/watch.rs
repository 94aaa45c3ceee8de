//! A watch: a position in the history that moves on when there is something after it.

use std::sync::Arc;

use futures::stream;
use jiff::Timestamp;
use tokio::sync::watch::Receiver;

use super::Shared;
use crate::{Batch, Result, Revision, WatchStream};

struct Watch {
    shared: Arc<Shared>,
    news: Receiver<()>,
    /// Everything up to here has been handed out.
    passed: Revision,
    ended: bool,
}

pub(super) fn watch(shared: Arc<Shared>, after: Revision) -> WatchStream {
    // Subscribed before the first look at the history, so no change falls between the two.
    let news = shared.news.subscribe();
    let watch = Watch { shared, news, passed: after, ended: false };
    WatchStream::new(stream::unfold(watch, |mut watch| async {
        let item = watch.next().await?;
        Some((item, watch))
    }))
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Batch>> {
        if self.ended {
            return None;
        }
        loop {
            self.news.mark_unchanged();
            match self.look().transpose() {
                Some(Ok(batch)) => {
                    self.passed = batch.revision;
                    return Some(Ok(received(batch)));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                // The sender lives in `shared`, which this watch holds, so waiting cannot fail.
                None => self.news.changed().await.ok()?,
            }
        }
    }

    fn look(&self) -> Result<Option<Batch>> {
        let state = self.shared.state.lock();
        if !state.available {
            return Ok(None);
        }
        Ok(state.history.after(self.passed)?.cloned())
    }
}

fn received(mut batch: Batch) -> Batch {
    let now = Timestamp::now();
    for event in &mut batch.events {
        event.cause.received_at = Some(now);
    }
    batch
}
