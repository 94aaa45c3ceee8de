//! One change of one object, and the watch events that it is to different watchers.
//!
//! Whether a change adds, modifies or deletes depends on who looks: an object that stops to match a selector is deleted as far as its
//! watcher is concerned. So there are three events at most, and each is encoded once, when the first watcher needs it, and shared by all.

use std::sync::{Arc, OnceLock};

use api::rpc::{self, EventType};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use store::Revision;
use telemetry::Cause;
use tokio::time::Instant;

use super::cached::{Cached, resource_version};
use super::selection::Selection;

/// A change as the cache saw it. At least one of `previous` and `current` is there.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    pub(crate) cause: Cause,
    /// When the cache saw it, to know when it may be forgotten.
    pub(crate) seen: Instant,
    pub(crate) previous: Option<Arc<Cached>>,
    pub(crate) current: Option<Arc<Cached>>,
    added: OnceLock<WatchEvent>,
    modified: OnceLock<WatchEvent>,
    deleted: OnceLock<WatchEvent>,
}

/// One event of a watch, ready to be sent.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened, as this watcher sees it.
    pub r#type: EventType,
    /// Resuming after this revision continues with the event that follows.
    pub revision: Revision,
    /// The whole message: an encoded `api::rpc::Event` of the kind.
    pub encoded: Bytes,
    /// The object in it, a slice of `encoded`.
    pub object: Bytes,
}

impl Change {
    pub(crate) fn new(
        revision: Revision,
        cause: Cause,
        previous: Option<Arc<Cached>>,
        current: Option<Arc<Cached>>,
    ) -> Self {
        let (added, modified, deleted) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { revision, cause, seen: Instant::now(), previous, current, added, modified, deleted }
    }

    /// Takes an event that exists already, as what the change is to most of its watchers.
    pub(crate) fn with_event(self, event: WatchEvent) -> Self {
        let place = if event.r#type == EventType::Added { &self.added } else { &self.modified };
        // Nobody else has seen the change yet, so the place is empty.
        let _ = place.set(event);
        self
    }

    /// The object after the change or, if that removed it, before.
    pub(crate) fn object(&self) -> &Arc<Cached> {
        self.current.as_ref().or(self.previous.as_ref()).expect("a change has an object before or after it")
    }

    /// What the change is to a watcher; `None` if it does not concern it.
    pub(crate) fn event_for(&self, selection: &Selection) -> Option<WatchEvent> {
        let matches = |object: &&Arc<Cached>| selection.matches(object);
        let previous = self.previous.as_ref().filter(matches);
        let current = self.current.as_ref().filter(matches);
        let event = match (previous, current) {
            (None, None) => return None,
            (None, Some(object)) => self.added.get_or_init(|| self.put(EventType::Added, object)),
            (Some(_), Some(object)) => self.modified.get_or_init(|| self.put(EventType::Modified, object)),
            (Some(object), None) => self
                .deleted
                .get_or_init(|| WatchEvent::new(EventType::Deleted, &object.raw(), self.revision, Some(&self.cause))),
        };
        Some(event.clone())
    }

    fn put(&self, r#type: EventType, object: &Cached) -> WatchEvent {
        WatchEvent::new(r#type, &object.raw(), self.revision, Some(&self.cause))
    }
}

impl WatchEvent {
    /// The event by which a watch that lists shows an object that exists. Its cause is who last wrote the object.
    pub(crate) fn existing(object: &Cached) -> Self {
        Self::new(EventType::Added, &object.raw(), object.revision, Some(&object.cause))
    }

    /// A revision from which the watch can be resumed, in an object that has nothing else.
    pub(crate) fn bookmark(revision: Revision) -> Self {
        Self::new(EventType::Bookmark, b"", revision, None)
    }

    /// The bookmark that follows the objects that exist, for clients that list by watching (`sendInitialEvents`).
    pub(crate) fn initial_events_end(revision: Revision) -> Self {
        let metadata = api::meta::v1::ObjectMeta {
            annotations: [("k8s.io/initial-events-end".to_owned(), "true".to_owned())].into(),
            ..Default::default()
        };
        let mut object = BytesMut::new();
        // Every kind's metadata is field 1, so this is an object of any kind.
        prost::encoding::message::encode(1, &metadata, &mut object);
        Self::new(EventType::Bookmark, &object, revision, None)
    }

    pub(crate) fn new(r#type: EventType, raw: &[u8], revision: Revision, cause: Option<&Cause>) -> Self {
        let version = resource_version(revision);
        let object = raw.len() + version.len();
        let cause = cause.map(cause_message);
        let room = object + cause.as_ref().map_or(0, Message::encoded_len) + MAX_HEADERS;
        let mut message = BytesMut::with_capacity(room);
        encode_key(1, WireType::Varint, &mut message);
        encode_varint(r#type as u64, &mut message);
        encode_key(2, WireType::LengthDelimited, &mut message);
        encode_varint(object as u64, &mut message);
        let start = message.len();
        message.put_slice(raw);
        message.put_slice(&version);
        if let Some(cause) = cause {
            prost::encoding::message::encode(3, &cause, &mut message);
        }
        let encoded = message.freeze();
        Self { r#type, revision, object: encoded.slice(start..start + object), encoded }
    }
}

/// What the keys and lengths of an event's three fields take at most.
const MAX_HEADERS: usize = 32;

fn cause_message(cause: &Cause) -> rpc::Cause {
    rpc::Cause {
        traceparent: cause.context.traceparent(),
        tracestate: cause.context.tracestate().to_owned(),
        revision: cause.revision,
        commit_time: cause
            .committed_at
            .map(|time| prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }),
    }
}
