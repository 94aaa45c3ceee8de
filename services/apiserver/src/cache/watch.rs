//! A watch as its client reads it: first what existed or happened before it came, then every change as it happens.
//!
//! Invariants: events come in the order of revisions, none twice, none missing between two of them; a bookmark's revision has passed
//! every event before it and no event after it. The stream ends with an error if the client should know why, and silently when its time
//! is up.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use api::Error;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use store::Revision;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::Cache;
use super::cached::Cached;
use super::change::{Change, WatchEvent};
use super::selection::Selection;
use super::watchers::Place;

/// What a client of a watch asks for beside what it wants to see.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// When the watch ends.
    pub timeout: Duration,
    /// Whether it gets bookmarks.
    pub bookmarks: bool,
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With everything after this revision.
    After(Revision),
    /// With an event for each object that exists.
    Existing {
        /// Whether a bookmark says where these end (`sendInitialEvents`).
        marked: bool,
    },
}

/// A watch: a stream of events whose last item may be an error. Dropping it ends the watch.
pub struct Watch(BoxStream<'static, Result<WatchEvent, Error>>);

impl Stream for Watch {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// What a watch starts with, in order.
pub(crate) enum Backlog {
    Object(Arc<Cached>),
    Change(Arc<Change>),
    InitialEventsEnd(Revision),
}

/// A client's subscription, with what keeps it in the cache's index.
pub(crate) struct Subscription {
    pub(crate) cache: Cache,
    pub(crate) place: Place,
    pub(crate) id: u64,
    pub(crate) selection: Arc<Selection>,
    pub(crate) backlog: VecDeque<Backlog>,
    pub(crate) queue: mpsc::Receiver<WatchEvent>,
    pub(crate) end: Arc<OnceLock<Error>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cache.unsubscribe(&self.place, self.id);
    }
}

struct Watching {
    subscription: Subscription,
    bookmarks: Option<Interval>,
    deadline: Instant,
    /// The revision of the last event that was handed out.
    passed: Revision,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Events go out as they come.
    Live,
    /// A bookmark of this revision goes out when the queue is empty: what it has passed may still be in there.
    Bookmark {
        revision: Revision,
        last: bool,
    },
    Ended,
}

impl Watch {
    pub(crate) fn new(subscription: Subscription, options: WatchOptions, every: Duration) -> Self {
        let now = Instant::now();
        let bookmarks = options.bookmarks.then(|| {
            let mut ticks = interval_at(now + every, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let deadline = now + options.timeout;
        let watching = Watching { subscription, bookmarks, deadline, passed: Revision::NONE, phase: Phase::Live };
        let events = stream::unfold(watching, |mut watching| async {
            let item = watching.next().await?;
            Some((item, watching))
        });
        Self(events.boxed())
    }
}

impl Watching {
    async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        if let Some(event) = self.next_of_backlog() {
            return Some(Ok(event));
        }
        loop {
            match self.phase {
                Phase::Ended => return None,
                Phase::Bookmark { revision, last } => match self.subscription.queue.try_recv() {
                    Ok(event) => return Some(Ok(self.pass(event))),
                    Err(TryRecvError::Empty) => {
                        self.phase = if last { Phase::Ended } else { Phase::Live };
                        if self.bookmarks.is_some() {
                            return Some(Ok(WatchEvent::bookmark(revision.max(self.passed))));
                        }
                    }
                    // Cut off: the bookmark may have passed an event that found no room in the queue.
                    Err(TryRecvError::Disconnected) => return self.end(),
                },
                Phase::Live => tokio::select! {
                    biased;
                    () = sleep_until(self.deadline) => self.start_bookmark(true),
                    () = tick(&mut self.bookmarks) => self.start_bookmark(false),
                    event = self.subscription.queue.recv() => match event {
                        Some(event) => return Some(Ok(self.pass(event))),
                        None => return self.end(),
                    },
                },
            }
        }
    }

    fn next_of_backlog(&mut self) -> Option<WatchEvent> {
        while let Some(item) = self.subscription.backlog.pop_front() {
            let event = match item {
                Backlog::Object(object) => Some(WatchEvent::existing(&object)),
                Backlog::Change(change) => change.event_for(&self.subscription.selection),
                Backlog::InitialEventsEnd(revision) => Some(WatchEvent::initial_events_end(revision)),
            };
            if let Some(event) = event {
                return Some(self.pass(event));
            }
        }
        None
    }

    fn pass(&mut self, event: WatchEvent) -> WatchEvent {
        self.passed = self.passed.max(event.revision);
        event
    }

    fn end(&mut self) -> Option<Result<WatchEvent, Error>> {
        self.phase = Phase::Ended;
        self.subscription.end.get().cloned().map(Err)
    }

    fn start_bookmark(&mut self, last: bool) {
        // Whatever the cache has applied up to here has been put into the queue before.
        self.phase = Phase::Bookmark { revision: self.subscription.cache.revision(), last };
    }
}

/// The next time for a bookmark; never, if there are none.
async fn tick(bookmarks: &mut Option<Interval>) {
    match bookmarks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
