//! Writes Events about objects, and merges repetitions.
//!
//! An event that says the same about the same object again raises `count` and `lastTimestamp` of the first one, as `kubectl describe` shows
//! it ("x4 over 2m"). Recording never blocks: events go through a bounded queue, and one that finds it full is dropped and counted; events
//! are best effort, as in Kubernetes. Writing them makes no spans, but they carry the trace they were recorded in.

use api::core::v1::{Event, EventSource, ObjectReference};
use api::meta::v1::Time;
use api::{Reason, Resource};
use client::{Api, Patch};
use jiff::Timestamp;
use serde_json::json;
use service_kit::{OnFailure, Shutdown, Supervisor};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use telemetry::TraceContext;
use tokio::sync::mpsc;
use tracing::debug;

/// Annotation with the id of the trace in which an event was recorded.
pub const TRACE_ID: &str = "traceplane.dev/trace-id";

const QUEUE: usize = 1024;
/// Different events whose repetitions are recognized; the oldest is forgotten first. client-go's number.
const REMEMBERED: usize = 4096;
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
#[derive(Debug)]
struct Occurrence {
    about: ObjectReference,
    source: Arc<EventSource>,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
    trace_id: String,
}

/// What makes two occurrences the same event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sameness {
    uid: String,
    object: String,
    field: String,
    source: String,
    kind: EventType,
    reason: String,
    message: String,
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
        let writer = Writer { events: events.untraced(), written: HashMap::new(), order: VecDeque::new() };
        let shutdown = shutdown.clone();
        supervisor.spawn("event recorder", OnFailure::StopService, async move {
            shutdown.run_until_triggered(Box::pin(writer.run(occurrences))).await;
        });
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
        if self.queue.try_send(occurrence).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - 3;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str("...");
    }
    message
}

struct Writer {
    events: Api<Event>,
    written: HashMap<Sameness, Written>,
    /// Oldest first.
    order: VecDeque<Sameness>,
}

#[derive(Debug, Clone)]
struct Written {
    name: String,
    count: i32,
}

impl Writer {
    async fn run(mut self, mut occurrences: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = occurrences.recv().await {
            if let Err(e) = self.write(&occurrence).await {
                debug!(reason = occurrence.reason, error = %e, "an event could not be written");
            }
        }
    }

    async fn write(&mut self, occurrence: &Occurrence) -> Result<(), api::Error> {
        let namespace = if occurrence.about.namespace.is_empty() { "default" } else { &occurrence.about.namespace };
        let events = self.events.within(namespace);
        let same = occurrence.sameness();
        if let Some(written) = self.written.get_mut(&same) {
            let patch = json!({ "count": written.count + 1, "lastTimestamp": Time::from(occurrence.at) });
            match events.patch(&written.name, &Patch::Merge(patch)).await {
                Ok(_) => {
                    written.count += 1;
                    return Ok(());
                }
                // Somebody deleted it, or it is too old: it is a new event.
                Err(e) if e.reason == Reason::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let event = occurrence.event(namespace);
        events.create(&event).await?;
        self.remember(same, Written { name: event.metadata.name, count: 1 });
        Ok(())
    }

    fn remember(&mut self, same: Sameness, written: Written) {
        if self.written.insert(same.clone(), written).is_none() {
            self.order.push_back(same);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.written.remove(&oldest);
            }
        }
    }
}

impl Occurrence {
    fn sameness(&self) -> Sameness {
        Sameness {
            uid: self.about.uid.clone(),
            object: format!("{}/{}/{}", self.about.kind, self.about.namespace, self.about.name),
            field: self.about.field_path.clone(),
            source: format!("{}/{}", self.source.component, self.source.host),
            kind: self.kind,
            reason: self.reason.clone(),
            message: self.message.clone(),
        }
    }

    fn event(&self, namespace: &str) -> Event {
        let mut event = Event {
            involved_object: self.about.clone(),
            reason: self.reason.clone(),
            message: self.message.clone(),
            source: (*self.source).clone(),
            first_timestamp: Some(self.at.into()),
            last_timestamp: Some(self.at.into()),
            count: 1,
            r#type: self.kind.to_string(),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            ..Event::default()
        };
        // As in client-go: the object's name and the time, in hexadecimal nanoseconds.
        event.metadata.name = format!("{}.{:x}", self.about.name, self.at.as_nanosecond());
        event.metadata.namespace = namespace.to_owned();
        if !self.trace_id.is_empty() {
            event.metadata.annotations.insert(TRACE_ID.to_owned(), self.trace_id.clone());
        }
        event
    }
}
