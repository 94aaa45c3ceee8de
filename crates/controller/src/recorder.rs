//! Writes Events about objects, and merges repetitions.
//!
//! An event that says the same about the same object again raises `count` and `lastTimestamp` of the first one, as `kubectl describe` shows
//! it ("x4 over 2m"). Recording never blocks: events go through a bounded queue, and one that finds it full is dropped and counted. One
//! writer takes them in order; while the apiserver is away it keeps trying, for about two minutes per event. At shutdown it writes what is
//! queued, for at most two seconds. Beyond that events are best effort, as in Kubernetes. Writing them makes no spans, but they carry the
//! trace they were recorded in.

mod correlate;
mod recent;
mod writer;

use api::Resource;
use api::core::v1::{Event, EventSource, ObjectReference};
use client::Api;
use jiff::Timestamp;
use service_kit::{OnFailure, Shutdown, Supervisor};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use telemetry::TraceContext;
use tokio::sync::mpsc;
use tracing::warn;
use writer::Writer;

/// Annotation with the id of the trace in which an event was recorded.
pub const TRACE_ID: &str = "traceplane.dev/trace-id";

/// client-go's number.
const QUEUE: usize = 1000;
/// Kubernetes' limit of an event's message.
const MESSAGE_LIMIT: usize = 1024;

/// Whether an event is bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Things go as they should.
    Normal,
    /// Something is wrong.
    Warning,
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        })
    }
}

/// Records events of one component. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
    source: Arc<EventSource>,
    dropped: Arc<AtomicU64>,
}

/// Something that happened.
#[derive(Debug, Clone)]
struct Occurrence {
    about: ObjectReference,
    source: Arc<EventSource>,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
    trace_id: String,
}

impl Recorder {
    /// Starts the writer of `component` ("kubelet") on `host` (empty: none), until shutdown.
    pub fn start(
        events: Api<Event>,
        component: &str,
        host: &str,
        supervisor: &Supervisor,
        shutdown: &Shutdown,
    ) -> Recorder {
        let (queue, occurrences) = mpsc::channel(QUEUE);
        let writer = Writer::new(&events, shutdown.clone());
        supervisor.spawn("event recorder", OnFailure::StopService, Box::pin(writer.run(occurrences)));
        let source = Arc::new(EventSource { component: component.to_owned(), host: host.to_owned() });
        Recorder { queue, source, dropped: Arc::default() }
    }

    /// The same writer for another source: a node of a process that hosts several.
    pub fn on_host(&self, host: &str) -> Recorder {
        let source = Arc::new(EventSource { component: self.source.component.clone(), host: host.to_owned() });
        Recorder { source, ..self.clone() }
    }

    /// Records an event about an object. `reason` is one CamelCase word.
    pub fn record<K: Resource>(&self, object: &K, kind: EventType, reason: &str, message: impl Into<String>) {
        self.record_at(object, "", kind, reason, message);
    }

    /// Records an event about a part of an object: `spec.containers{web}`.
    pub fn record_at<K: Resource>(
        &self,
        object: &K,
        field: &str,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let meta = object.metadata();
        let about = ObjectReference {
            kind: K::INFO.kind.to_owned(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            api_version: K::INFO.api_version().into_owned(),
            resource_version: meta.resource_version.clone(),
            field_path: field.to_owned(),
        };
        let context = TraceContext::current();
        let occurrence = Occurrence {
            about,
            source: Arc::clone(&self.source),
            kind,
            reason: reason.to_owned(),
            message: shortened(message.into()),
            at: Timestamp::now(),
            trace_id: if context.is_sampled() { context.trace_id() } else { String::new() },
        };
        if self.queue.try_send(occurrence).is_err() && self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(reason, "events are recorded faster than they can be written, some are dropped");
        }
    }

    /// How many events found the queue full, or the writer at its end.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn shortened(mut message: String) -> String {
    const MARK: &str = "...";
    if message.len() > MESSAGE_LIMIT {
        message.truncate(message.floor_char_boundary(MESSAGE_LIMIT - MARK.len()));
        message.push_str(MARK);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        assert_eq!(shortened("é".repeat(512)).len(), 1024);
        let cut = shortened("é".repeat(513));
        assert_eq!((cut.len(), cut.ends_with("é...")), (1023, true));
    }
}
