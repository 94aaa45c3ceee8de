//! One trace as far as it is known: its chunks, and the way to read them.

use std::{collections::HashSet, sync::Arc};

use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};

use super::{
    bounds::Bounds,
    chunk::{Chunk, Identity, SpanHead},
    id::TraceId,
    origin::Origin,
};

/// How many encoded bytes of spans go into one message of an answer.
const PART_BYTES: usize = 1024 * 1024;

/// A trace at one moment. A copy costs a list of pointers: the chunks are shared and never change.
#[derive(Debug, Clone)]
pub struct Trace {
    id: TraceId,
    chunks: Vec<Arc<Chunk>>,
    span_count: usize,
    bounds: Bounds,
    size: usize,
}

impl Trace {
    /// Memory that a trace takes beside its chunks, in bytes: itself and its places in the store's two tables.
    pub(crate) const OVERHEAD: usize = size_of::<Trace>() + 128;

    pub(crate) fn new(id: TraceId) -> Trace {
        Trace { id, chunks: Vec::new(), span_count: 0, bounds: Bounds::NOTHING, size: Trace::OVERHEAD }
    }

    /// Its id.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// How many spans were received; a span that was sent twice counts twice.
    pub fn span_count(&self) -> usize {
        self.span_count
    }

    /// Where its spans lie in time.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    pub(crate) fn push(&mut self, chunk: Chunk) {
        self.span_count += chunk.count();
        self.size += chunk.size();
        self.bounds.include(chunk.bounds());
        self.chunks.push(Arc::new(chunk));
    }

    /// The spans as OTLP, in messages of about a mebibyte. Each is decoded when it is asked for, so that a long answer is never in
    /// memory as a whole. Spans that arrived twice are given once.
    pub fn parts(self: Arc<Trace>) -> impl Iterator<Item = TracesData> + Send + 'static {
        let mut next = 0;
        let mut seen: HashSet<Identity> = HashSet::new();
        std::iter::from_fn(move || {
            let first = next;
            let mut bytes = 0;
            while next < self.chunks.len() && (next == first || bytes + self.chunks[next].encoded_len() <= PART_BYTES) {
                bytes += self.chunks[next].encoded_len();
                next += 1;
            }
            (first < next).then(|| assemble(&self.chunks[first..next], &mut seen))
        })
        .filter(|part| !part.resource_spans.is_empty())
    }

    /// The main fields of its spans, each span once, with its origin.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (&Origin, SpanHead)> {
        let mut seen: HashSet<Identity> = HashSet::new();
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.heads().map(move |head| (&**chunk.origin(), head)))
            .filter(move |(_, head)| seen.insert(Identity::of_head(head)))
    }
}

/// Puts spans of one origin together, whichever chunks they came in.
fn assemble(chunks: &[Arc<Chunk>], seen: &mut HashSet<Identity>) -> TracesData {
    // A trace has a handful of origins: a list is quicker than a map, and keeps their order.
    let mut groups: Vec<(&Arc<Origin>, Vec<Span>)> = Vec::new();
    for chunk in chunks {
        let fresh = chunk.spans().filter(|span| seen.insert(Identity::of(span)));
        match groups.iter_mut().find(|(origin, _)| Arc::ptr_eq(origin, chunk.origin())) {
            Some((_, spans)) => spans.extend(fresh),
            None => groups.push((chunk.origin(), fresh.collect())),
        }
    }
    let resource_spans =
        groups.into_iter().filter(|(_, spans)| !spans.is_empty()).map(|(origin, spans)| origin.around(spans)).collect();
    TracesData { resource_spans }
}
