//! What the console counts about itself. It makes no spans of itself: they would be among those that it shows.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::Counter, family::Family},
};

use crate::store::{Added, TraceStore, Usage};

/// Counters of the receiving side. Clones share them.
#[derive(Debug, Clone)]
pub struct ReceiverMetrics {
    received: Family<Outcome, Counter>,
    evicted_traces: Counter,
    evicted_spans: Counter,
}

/// What became of a span that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl ReceiverMetrics {
    /// Registers the counters, and gauges that read `store` when they are scraped.
    pub fn register(metrics: &service_kit::Metrics, store: &Arc<TraceStore>) -> ReceiverMetrics {
        let gauge = |name, help, value| {
            metrics.register(name, help, Held { store: store.clone(), value });
        };
        gauge("traceplane_console_traces", "Traces held", |usage| usage.traces);
        gauge("traceplane_console_spans", "Spans held", |usage| usage.spans);
        gauge("traceplane_console_store_bytes", "Memory taken by traces, in bytes", |usage| usage.bytes);
        ReceiverMetrics {
            received: metrics.counters(
                "traceplane_console_spans_received",
                "Spans received, by what became of them: accepted, malformed, over_limit",
            ),
            evicted_traces: metrics.register(
                "traceplane_console_traces_evicted",
                "Traces that made room for newer ones",
                Counter::default(),
            ),
            evicted_spans: metrics.register(
                "traceplane_console_spans_evicted",
                "Spans of these traces",
                Counter::default(),
            ),
        }
    }

    pub(crate) fn count(&self, added: Added, malformed: usize) {
        for (outcome, spans) in
            [("accepted", added.accepted), ("malformed", malformed), ("over_limit", added.over_limit)]
        {
            self.received.get_or_create(&Outcome { outcome }).inc_by(spans as u64);
        }
        self.evicted_traces.inc_by(added.evicted_traces as u64);
        self.evicted_spans.inc_by(added.evicted_spans as u64);
    }
}

/// A gauge of the store's usage.
#[derive(Clone)]
struct Held {
    store: Arc<TraceStore>,
    value: fn(Usage) -> usize,
}

impl EncodeMetric for Held {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&((self.value)(self.store.usage()) as u64))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
