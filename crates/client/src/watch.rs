//! A watch, as its client sees it.

use crate::Client;
use api::rpc::{Event, EventType};
use api::{Error, Resource};
use jiff::Timestamp;
use std::sync::Arc;
use telemetry::{Cause, TraceContext};
use tonic::Streaming;

/// Annotation of the bookmark that ends a streaming list.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One event of a watch. Every event but a bookmark comes with its cause; the events that list what exists when a watch starts without a
/// revision carry the cause of the object's last write.
#[derive(Debug, Clone)]
pub enum WatchEvent<K> {
    /// The object exists since now, or matches the selectors since now.
    Added(Arc<K>, Cause),
    /// The object changed.
    Modified(Arc<K>, Cause),
    /// The object is gone, or matches no more; this is its last state with the revision of the removal.
    Deleted(Arc<K>, Cause),
    /// Nothing else happened up to this revision.
    Bookmark {
        /// From here the watch can be resumed.
        resource_version: String,
        /// The events before were those that list what exists; from now on they are changes.
        initial_events_end: bool,
    },
}

/// The events of a watch, in order. Not resumable by itself: `controller`'s reflector does that.
#[derive(Debug)]
pub struct WatchStream<K: Resource> {
    client: Client,
    events: Streaming<Event<K>>,
}

impl<K: Resource> WatchStream<K> {
    pub(crate) fn new(client: Client, events: Streaming<Event<K>>) -> Self {
        WatchStream { client, events }
    }

    /// The next event; `None` when the server has ended the stream in good order (its time was up). Cancel-safe.
    ///
    /// # Errors
    /// `Expired`: the revision is too old, list again. `ServiceUnavailable`: the connection or the server is lost, watch again from the
    /// last revision seen.
    pub async fn next(&mut self) -> Option<Result<WatchEvent<K>, Error>> {
        loop {
            match self.events.message().await {
                Ok(Some(event)) => match convert(event) {
                    Some(event) => return Some(Ok(event)),
                    // A type that a newer server knows: skipping it keeps the order of the others.
                    None => continue,
                },
                Ok(None) => return None,
                Err(status) => return Some(Err(self.client.error(&status))),
            }
        }
    }
}

fn convert<K: Resource>(event: Event<K>) -> Option<WatchEvent<K>> {
    let kind = event.r#type();
    let cause = event.cause.map(cause).unwrap_or_default();
    match kind {
        EventType::Added => Some(WatchEvent::Added(kept(&event.object), cause)),
        EventType::Modified => Some(WatchEvent::Modified(kept(&event.object), cause)),
        EventType::Deleted => Some(WatchEvent::Deleted(Arc::new(event.object), cause)),
        EventType::Bookmark => {
            let meta = event.object.metadata();
            let initial_events_end = meta.annotations.get(INITIAL_EVENTS_END).is_some_and(|v| v == "true");
            Some(WatchEvent::Bookmark { resource_version: meta.resource_version.clone(), initial_events_end })
        }
        EventType::Unspecified => None,
    }
}

/// An object for a cache. While lists are decoded they grow in leaps, so that half of a pod is room to spare; a copy has none.
fn kept<K: Clone>(decoded: &K) -> Arc<K> {
    Arc::new(decoded.clone())
}

fn cause(wire: api::rpc::Cause) -> Cause {
    let committed = wire.commit_time.and_then(|t| Timestamp::new(t.seconds, t.nanos).ok());
    Cause::received(TraceContext::parse(&wire.traceparent, &wire.tracestate), wire.revision, committed)
}
