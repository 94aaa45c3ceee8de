//! Spans at rest: some spans of one trace from one origin, encoded as they came.
//!
//! Invariant: a chunk never changes. A trace grows by getting more chunks, so a reader that holds some of them reads on undisturbed.
//!
//! Spans rest as protobuf bytes and not as messages: that is a third of the memory, its size is known exactly, and most spans are
//! never read. Reading decodes; a reader that wants a few fields decodes only these ([`SpanHead`]).

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};
use prost::Message;

use super::{
    bounds::Bounds,
    id::SpanId,
    origin::Origin,
    sketch::{Sketch, SketchBuilder, Term},
};

/// A chunk is closed at this size, so that an answer can be cut into messages that every gRPC client accepts (4 MiB by default).
const FULL_BYTES: usize = 256 * 1024;

/// Some spans of one trace and one origin.
#[derive(Debug)]
pub(crate) struct Chunk {
    origin: Arc<Origin>,
    spans: Spans,
}

/// A chunk without its origin, which is found under the store's lock: see [`super::TraceStore::add`].
#[derive(Debug)]
pub(crate) struct Spans {
    /// Length-delimited messages, one after the other.
    bytes: Box<[u8]>,
    count: usize,
    bounds: Bounds,
    sketch: Sketch,
}

/// Collects the spans of a chunk.
#[derive(Debug)]
pub(crate) struct SpansBuilder {
    bytes: Vec<u8>,
    count: usize,
    bounds: Bounds,
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

/// What tells a span from all others of its trace. An exporter that sends a span twice, because the first answer was lost, sends
/// the same identity both times. The id alone is not enough: some tracers give both sides of a call one id.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    id: Option<SpanId>,
    kind: i32,
    start: u64,
}

impl Identity {
    pub(crate) fn of(span: &Span) -> Identity {
        Identity { id: SpanId::from_bytes(&span.span_id), kind: span.kind, start: span.start_time_unix_nano }
    }

    pub(crate) fn of_head(head: &SpanHead) -> Identity {
        Identity { id: SpanId::from_bytes(&head.span_id), kind: head.kind, start: head.start_time_unix_nano }
    }
}

impl SpanHead {
    pub(crate) fn is_error(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.code == StatusCode::Error as i32)
    }
}

impl SpansBuilder {
    pub(crate) fn new() -> SpansBuilder {
        SpansBuilder { bytes: Vec::new(), count: 0, bounds: Bounds::NOTHING, sketch: SketchBuilder::default() }
    }

    pub(crate) fn add(&mut self, span: &Span) {
        span.encode_length_delimited(&mut self.bytes).expect("a Vec grows as needed");
        self.count += 1;
        self.bounds.include(Bounds::of(span));

        let status = span.status.as_ref().map_or(0, |status| status.code);
        self.sketch.add(&Term::Name(&span.name));
        self.sketch.add(&Term::Kind(span.kind));
        self.sketch.add(&Term::Status(status));
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
            bounds: self.bounds,
            sketch: self.sketch.build(),
        }
    }
}

impl Spans {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Memory that a chunk of these spans takes, in bytes, its place in a trace's list included; its origin counts apart.
    pub(crate) fn size(&self) -> usize {
        size_of::<Chunk>() + size_of::<Arc<Chunk>>() + self.bytes.len() + self.sketch.size()
    }

    pub(crate) fn from(self, origin: Arc<Origin>) -> Chunk {
        Chunk { origin, spans: self }
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

    pub(crate) fn bounds(&self) -> Bounds {
        self.spans.bounds
    }

    /// Whether a span with this term may be here; a "no" is certain.
    pub(crate) fn may_contain(&self, term: &Term<'_>) -> bool {
        self.spans.sketch.contains(term) || self.origin.may_contain(term)
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
            let decoded = (!rest.is_empty()).then(|| M::decode_length_delimited(&mut rest))?;
            Some(decoded.expect("these bytes were encoded from spans"))
        })
    }
}
