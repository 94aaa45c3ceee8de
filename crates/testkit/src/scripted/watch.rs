//! A watch whose events the test sends.

use super::call::{Answer, ScriptedCall};
use api::meta::v1::ListOptions;
use api::rpc::{Cause, Event, EventType, WatchRequest};
use api::{Error, Resource};
use prost::Message;
use service_kit::rpc_status::to_status;
use std::marker::PhantomData;
use tokio::sync::mpsc;

/// A watch that was accepted. Dropping it ends the stream in good order.
#[derive(Debug)]
pub struct ScriptedWatch<K> {
    /// Empty: all namespaces.
    pub namespace: String,
    /// What was asked for.
    pub options: ListOptions,
    events: mpsc::UnboundedSender<Answer>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource> ScriptedWatch<K> {
    pub(super) fn accept(call: ScriptedCall) -> Self {
        let request: WatchRequest = call.request();
        ScriptedWatch {
            namespace: request.namespace,
            options: request.options.unwrap_or_default(),
            events: call.stream(),
            kind: PhantomData,
        }
    }

    /// The object exists from now on.
    pub fn added(&self, object: &K) {
        self.send(EventType::Added, object);
    }

    /// The object changed.
    pub fn modified(&self, object: &K) {
        self.send(EventType::Modified, object);
    }

    /// The object is gone; its revision is that of the removal.
    pub fn deleted(&self, object: &K) {
        self.send(EventType::Deleted, object);
    }

    /// Nothing else happened up to this revision.
    pub fn bookmark(&self, revision: i64) {
        self.send(EventType::Bookmark, &bookmark::<K>(revision));
    }

    /// What exists has been sent.
    pub fn initial_events_end(&self, revision: i64) {
        let mut object = bookmark::<K>(revision);
        object.metadata_mut().annotations.insert(client::INITIAL_EVENTS_END.to_owned(), "true".to_owned());
        self.send(EventType::Bookmark, &object);
    }

    /// Ends the stream with an error.
    pub fn fail(self, error: &Error) {
        let _ = self.events.send(Err(to_status(error)));
    }

    /// Returns when the client has ended the watch.
    pub async fn abandoned(&self) {
        self.events.closed().await;
    }

    /// An event whose cause is [`cause_of`] the object's revision. A client that is gone does not mind.
    fn send(&self, kind: EventType, object: &K) {
        let cause = (kind != EventType::Bookmark).then(|| cause_of(object));
        let event = Event { r#type: kind.into(), object: object.clone(), cause };
        let _ = self.events.send(Ok(event.encode_to_vec().into()));
    }
}

fn bookmark<K: Resource>(revision: i64) -> K {
    let mut object = K::default();
    object.metadata_mut().resource_version = revision.to_string();
    object
}

/// The cause that events carry here: a trace whose id is the revision.
fn cause_of<K: Resource>(object: &K) -> Cause {
    let revision: i64 = object.metadata().resource_version.parse().unwrap_or_default();
    Cause { traceparent: traceparent(revision), revision, ..Cause::default() }
}

/// The trace context of the write that made a revision.
pub fn traceparent(revision: i64) -> String {
    format!("00-{revision:032x}-{revision:016x}-01")
}
