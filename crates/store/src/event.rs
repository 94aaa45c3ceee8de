//! What a watch delivers: everything that happened at one revision, together with its cause.
//!
//! Events carry no previous value. Whoever needs one (a watch cache deciding whether an object left a
//! selector) holds it already.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use telemetry::Cause;

use crate::{Result, Revision};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The key has a new value.
    Put {
        /// True if the key did not exist just before.
        created: bool,
    },
    /// The key is gone.
    Removed,
}

/// One change of one key.
#[derive(Clone, Debug)]
pub struct Event {
    /// The key that changed.
    pub key: Arc<str>,
    /// The revision at which it changed; the same for all events of a [`Batch`].
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
    /// The new value as it was given to the store; empty for [`EventKind::Removed`].
    pub value: Bytes,
    /// Who caused it, removals included. Its context is none if the writer was not traced, and its commit time is
    /// unknown if another program made the change without recording one.
    pub cause: Cause,
}

/// All events of one revision, or, without events, the news that there were none up to it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Everything up to and including this revision has now been delivered.
    pub revision: Revision,
    /// In the order of the transaction. Empty for a barrier and for a progress notice.
    pub events: Vec<Event>,
}

/// The stream of [`Store::watch`](crate::Store::watch): batches in strictly rising order of revision.
///
/// It ends only after an error, and every error is its last item. Dropping it ends the watch; it may be
/// polled from any task and loses nothing when a pending `next()` is dropped.
pub struct WatchStream(BoxStream<'static, Result<Batch>>);

impl WatchStream {
    pub(crate) fn new(batches: impl Stream<Item = Result<Batch>> + Send + 'static) -> Self {
        Self(Box::pin(batches))
    }
}

impl Stream for WatchStream {
    type Item = Result<Batch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchStream")
    }
}
