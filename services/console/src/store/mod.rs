//! The newest traces, in bounded memory.
//!
//! Guarantees:
//! - Never more traces, spans or bytes than [`Limits`] says. When a batch goes over, whole traces leave: first the one that has been
//!   quiet for longest. A journey that still grows is therefore not cut in half because it began long ago.
//! - Readers see each batch's part of a trace whole or not at all, and what they hold does not change under them.
//! - The lock is held for pointer work only. Sorting, encoding and hashing happen before it, matching and decoding after it, and
//!   evicted traces are freed outside of it.
//!
//! What it does not do: no clock (nothing expires by age), no disk, no adjusting of spans.

mod batch;
mod bounds;
mod chunk;
mod id;
mod origin;
mod search;
mod sketch;
mod text;
mod trace;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;

use chunk::Spans;
use origin::Origin;

pub use batch::Batch;
pub use bounds::Bounds;
pub use id::{InvalidTraceId, SpanId, TraceId};
pub use search::{AttributeMatch, TraceQuery, kind_name, kind_named};
pub use trace::Trace;

/// How much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Traces, at least 1.
    pub traces: usize,
    /// Spans of all traces together.
    pub spans: usize,
    /// Memory for all of it, in bytes: encoded spans, their index and the tables around them.
    pub bytes: usize,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Traces held.
    pub traces: usize,
    /// Spans held.
    pub spans: usize,
    /// Bytes held, counted as in [`Limits::bytes`].
    pub bytes: usize,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Spans that are held now.
    pub accepted: usize,
    /// Spans of a trace that would fill the whole store by itself; they were dropped.
    pub over_limit: usize,
    /// Traces that left to make room.
    pub evicted_traces: usize,
    /// Spans that left with them.
    pub evicted_spans: usize,
}

/// The store; share it in an `Arc`.
#[derive(Debug)]
pub struct TraceStore {
    limits: Limits,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    traces: HashMap<TraceId, Held>,
    /// The traces by the time of their last growth, quietest first.
    quiet: BTreeMap<u64, TraceId>,
    /// Origins of the held spans, so that equal ones are kept once, and how many chunks each has.
    origins: HashMap<Arc<Origin>, usize>,
    /// Counts growths; the key of `quiet`.
    clock: u64,
    usage: Usage,
}

#[derive(Debug)]
struct Held {
    /// Readers share it. A trace that grows while one of them still reads is copied first ([`Arc::make_mut`]).
    trace: Arc<Trace>,
    last_growth: u64,
}

impl TraceStore {
    /// An empty store.
    pub fn new(limits: Limits) -> TraceStore {
        TraceStore { limits, inner: RwLock::default() }
    }

    /// Takes the spans of one request in, and lets old traces go as the limits demand.
    pub fn add(&self, batch: Batch) -> Added {
        let mut added = Added::default();
        let evicted = {
            let mut inner = self.inner.write();
            for group in batch.groups {
                let origin = inner.known(group.origin);
                for (trace, spans) in group.parts {
                    let count = spans.count();
                    match inner.grow(self.limits, trace, spans, &origin) {
                        true => added.accepted += count,
                        false => added.over_limit += count,
                    }
                }
            }
            inner.evict(self.limits)
        };
        added.evicted_traces = evicted.len();
        added.evicted_spans = evicted.iter().map(|trace| trace.span_count()).sum();
        added
    }

    /// The trace with this id, as far as it is known.
    pub fn get(&self, id: TraceId) -> Option<Arc<Trace>> {
        self.inner.read().traces.get(&id).map(|held| held.trace.clone())
    }

    /// The traces that match, the one that started last first.
    pub fn find(&self, query: &TraceQuery) -> Vec<Arc<Trace>> {
        let mut candidates = self.snapshot(|trace| query.may_match(trace));
        candidates.sort_by_key(|trace| std::cmp::Reverse(trace.bounds().start));
        candidates.into_iter().filter(|trace| query.matches(trace)).take(query.limit).collect()
    }

    /// The traces that lie wholly between two times (nanoseconds since 1970, both exclusive), in no order.
    pub fn between(&self, start: u64, end: u64) -> Vec<Arc<Trace>> {
        self.snapshot(|trace| trace.bounds().start > start && trace.bounds().end < end)
    }

    /// The services that held spans name, sorted.
    pub fn services(&self) -> Vec<String> {
        let inner = self.inner.read();
        let names: BTreeSet<&str> =
            inner.origins.keys().map(|origin| origin.service()).filter(|name| !name.is_empty()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Names and kinds (OTLP numbers) of the held spans of a service, sorted.
    pub fn operations(&self, service: &str) -> Vec<(String, i32)> {
        let traces = self.snapshot(|_| true);
        let chunks = traces.iter().flat_map(|trace| trace.chunks()).filter(|chunk| chunk.origin().service() == service);
        let operations: BTreeSet<(String, i32)> =
            chunks.flat_map(|chunk| chunk.heads()).map(|head| (head.name, head.kind)).collect();
        operations.into_iter().collect()
    }

    /// How much is held.
    pub fn usage(&self) -> Usage {
        self.inner.read().usage
    }

    fn snapshot(&self, wanted: impl Fn(&Trace) -> bool) -> Vec<Arc<Trace>> {
        self.inner.read().traces.values().map(|held| &held.trace).filter(|trace| wanted(trace)).cloned().collect()
    }
}

impl Inner {
    /// The shared copy of this origin, if there is one.
    fn known(&self, origin: Origin) -> Arc<Origin> {
        match self.origins.get_key_value(&origin) {
            Some((known, _)) => known.clone(),
            None => Arc::new(origin),
        }
    }

    fn refer(&mut self, origin: &Arc<Origin>) {
        let chunks = self.origins.entry(origin.clone()).or_insert(0);
        if *chunks == 0 {
            self.usage.bytes += origin.size();
        }
        *chunks += 1;
    }

    fn release(&mut self, origin: &Arc<Origin>) {
        let chunks = self.origins.get_mut(origin).expect("the origin of a held chunk is in the table");
        *chunks -= 1;
        if *chunks == 0 {
            self.origins.remove(origin);
            self.usage.bytes -= origin.size();
        }
    }

    /// Adds spans to their trace, unless that trace alone would then break the limits.
    fn grow(&mut self, limits: Limits, id: TraceId, spans: Spans, origin: &Arc<Origin>) -> bool {
        let (held_spans, held_bytes) =
            self.traces.get(&id).map_or((0, Trace::OVERHEAD), |held| (held.trace.span_count(), held.trace.size()));
        if held_spans + spans.count() > limits.spans || held_bytes + spans.size() + origin.size() > limits.bytes {
            return false;
        }

        self.clock += 1;
        let usage = &mut self.usage;
        let held = self.traces.entry(id).or_insert_with(|| {
            usage.traces += 1;
            usage.bytes += Trace::OVERHEAD;
            Held { trace: Arc::new(Trace::new(id)), last_growth: 0 }
        });
        usage.spans += spans.count();
        usage.bytes += spans.size();
        self.quiet.remove(&held.last_growth);
        self.quiet.insert(self.clock, id);
        held.last_growth = self.clock;
        Arc::make_mut(&mut held.trace).push(spans.from(origin.clone()));
        self.refer(origin);
        true
    }

    /// Takes out the quietest traces until the limits hold; the caller frees them.
    fn evict(&mut self, limits: Limits) -> Vec<Arc<Trace>> {
        let mut evicted = Vec::new();
        while self.usage.traces > limits.traces || self.usage.spans > limits.spans || self.usage.bytes > limits.bytes {
            let Some((_, id)) = self.quiet.pop_first() else {
                break;
            };
            let held = self.traces.remove(&id).expect("every entry of the order names a held trace");
            self.usage.traces -= 1;
            self.usage.spans -= held.trace.span_count();
            self.usage.bytes -= held.trace.size();
            for chunk in held.trace.chunks() {
                self.release(chunk.origin());
            }
            evicted.push(held.trace);
        }
        evicted
    }
}
