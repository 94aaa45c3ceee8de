//! Spans at rest: some spans of one trace from one origin, encoded as they came.
//!
//! Invariant: a chunk never changes. A trace grows by getting more chunks, so a reader that holds some of them reads on undisturbed.
//!
//! Spans rest as protobuf bytes and not as messages: that is a third of the memory, its size is known exactly, and most spans are
//! never read. Reading decodes; a reader that wants two fields decodes only these ([`SpanHead`]).

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status::StatusCode},
};
use prost::Message;

use super::{
    id::SpanId,
    sketch::{Sketch, SketchBuilder, Term},
    text::text,
};

/// A chunk is closed at this size, so that an answer can be cut into messages that every gRPC client accepts (4 MiB by default).
const FULL_BYTES: usize = 256 * 1024;

/// Who made spans: a resource (a process) and a scope (a library in it). Chunks of one origin share it.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The frame around spans of this origin: one scope, no spans.
    frame: ResourceSpans,
    /// The encoded frame, which is the origin's identity.
    key: Box<[u8]>,
    sketch: Sketch,
}

impl Origin {
    pub(crate) fn new(
        resource: Option<Resource>,
        resource_schema: String,
        scope: Option<InstrumentationScope>,
        scope_schema: String,
    ) -> Origin {
        let mut sketch = SketchBuilder::default();
        sketch.add_attributes(
            resource
                .as_ref()
                .map_or(&[], |resource| &resource.attributes),
        );
        sketch.add_attributes(scope.as_ref().map_or(&[], |scope| &scope.attributes));
        let scope_spans = ScopeSpans {
            scope,
            spans: Vec::new(),
            schema_url: scope_schema,
        };
        let frame = ResourceSpans {
            resource,
            scope_spans: vec![scope_spans],
            schema_url: resource_schema,
        };
        let key = frame.encode_to_vec().into_boxed_slice();
        Origin {
            frame,
            key,
            sketch: sketch.build(),
        }
    }

    pub(crate) fn resource(&self) -> Option<&Resource> {
        self.frame.resource.as_ref()
    }

    pub(crate) fn scope(&self) -> Option<&InstrumentationScope> {
        self.frame
            .scope_spans
            .first()
            .and_then(|spans| spans.scope.as_ref())
    }

    /// `service.name` of the resource; empty when it has none.
    pub(crate) fn service(&self) -> &str {
        let attributes = self
            .resource()
            .map_or(&[][..], |resource| &resource.attributes);
        match attributes
            .iter()
            .find(|attribute| attribute.key == "service.name")
            .and_then(|found| found.value.as_ref())
        {
            Some(AnyValue {
                value: Some(Value::StringValue(name)),
            }) => name,
            _ => "",
        }
    }

    /// These spans in the frame of their origin.
    pub(crate) fn around(&self, spans: Vec<Span>) -> ResourceSpans {
        let mut framed = self.frame.clone();
        framed.scope_spans[0].spans = spans;
        framed
    }

    /// Memory that it takes, in bytes: the frame twice (as message, as key) and the sketch.
    pub(crate) fn size(&self) -> usize {
        size_of::<Origin>() + 4 * self.key.len() + self.sketch.size()
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        self.key == other.key
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// Some spans of one trace and one origin.
#[derive(Debug)]
pub(crate) struct Chunk {
    origin: Arc<Origin>,
    spans: Spans,
}

/// A chunk that has not met its origin: see [`super::TraceStore::add`], which shares origins.
#[derive(Debug)]
pub(crate) struct Spans {
    /// Length-delimited messages, one after the other.
    bytes: Box<[u8]>,
    count: usize,
    /// Start of the earliest and end of the latest span, in nanoseconds since 1970.
    start: u64,
    end: u64,
    /// Start of the latest span.
    last_start: u64,
    sketch: Sketch,
}

/// Collects the spans of a chunk.
#[derive(Debug)]
pub(crate) struct SpansBuilder {
    bytes: Vec<u8>,
    count: usize,
    start: u64,
    end: u64,
    last_start: u64,
    sketch: SketchBuilder,
}

/// The few fields that listings need. Decoding it skips everything else in a span's message.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SpanHead {
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
}

impl SpanHead {
    /// What tells a span from all others of its trace: see [`Identity`].
    pub(crate) fn identity(&self) -> Identity {
        (
            SpanId::from_bytes(&self.span_id),
            self.kind,
            self.start_time_unix_nano,
        )
    }

    pub(crate) fn is_error(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|status| status.code == StatusCode::Error as i32)
    }
}

/// A span that an exporter sends twice, because the first answer was lost, has the same identity both times. The id alone is not
/// enough: some tracers give both sides of a call one id.
pub(crate) type Identity = (Option<SpanId>, i32, u64);

/// See [`Identity`].
pub(crate) fn identity(span: &Span) -> Identity {
    (
        SpanId::from_bytes(&span.span_id),
        span.kind,
        span.start_time_unix_nano,
    )
}

impl SpansBuilder {
    pub(crate) fn new() -> SpansBuilder {
        SpansBuilder {
            bytes: Vec::new(),
            count: 0,
            start: u64::MAX,
            end: 0,
            last_start: 0,
            sketch: SketchBuilder::default(),
        }
    }

    pub(crate) fn add(&mut self, span: &Span) {
        span.encode_length_delimited(&mut self.bytes)
            .expect("a Vec grows as needed");
        self.count += 1;
        self.start = self.start.min(span.start_time_unix_nano);
        self.last_start = self.last_start.max(span.start_time_unix_nano);
        self.end = self
            .end
            .max(span.end_time_unix_nano)
            .max(span.start_time_unix_nano);

        self.sketch.add(&Term::Name(&span.name));
        self.sketch.add(&Term::Kind(span.kind));
        self.sketch.add(&Term::Status(
            span.status.as_ref().map_or(0, |status| status.code),
        ));
        self.sketch.add_attributes(&span.attributes);
        for event in &span.events {
            self.sketch.add_attributes(&event.attributes);
        }
        for link in &span.links {
            self.sketch.add_attributes(&link.attributes);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
    }

    pub(crate) fn build(self) -> Spans {
        Spans {
            bytes: self.bytes.into_boxed_slice(),
            count: self.count,
            start: self.start,
            end: self.end,
            last_start: self.last_start,
            sketch: self.sketch.build(),
        }
    }
}

impl Spans {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Memory that a chunk of these spans takes, in bytes, its share in a trace's list included; its origin counts apart.
    pub(crate) fn size(&self) -> usize {
        size_of::<Chunk>() + size_of::<Arc<Chunk>>() + self.bytes.len() + self.sketch.size()
    }

    pub(crate) fn from(self, origin: Arc<Origin>) -> Chunk {
        Chunk {
            origin,
            spans: self,
        }
    }
}

impl Chunk {
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    pub(crate) fn count(&self) -> usize {
        self.spans.count
    }

    /// See [`Spans::size`].
    pub(crate) fn size(&self) -> usize {
        self.spans.size()
    }

    pub(crate) fn encoded_len(&self) -> usize {
        self.spans.bytes.len()
    }

    /// Start of the earliest span.
    pub(crate) fn start(&self) -> u64 {
        self.spans.start
    }

    /// Start of the latest span.
    pub(crate) fn last_start(&self) -> u64 {
        self.spans.last_start
    }

    /// End of the latest span.
    pub(crate) fn end(&self) -> u64 {
        self.spans.end
    }

    /// Whether a span with this term may be here; a "no" is certain.
    pub(crate) fn may_contain(&self, term: &Term<'_>) -> bool {
        self.spans.sketch.contains(term) || self.origin.sketch.contains(term)
    }

    /// The spans, in the order in which they came.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.decode()
    }

    /// The same spans, with their main fields only.
    pub(crate) fn heads(&self) -> impl Iterator<Item = SpanHead> + '_ {
        self.decode()
    }

    fn decode<M: Message + Default>(&self) -> impl Iterator<Item = M> + '_ {
        let mut rest = &*self.spans.bytes;
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| {
                M::decode_length_delimited(&mut rest).expect("these bytes were encoded from spans")
            })
        })
    }
}

/// Whether `value` is the text of the attribute `key` in these attributes.
pub(crate) fn has_attribute(attributes: &[KeyValue], key: &str, value: &str) -> bool {
    attributes.iter().any(|attribute| {
        attribute.key == key && attribute.value.as_ref().map(text).unwrap_or_default() == value
    })
}
