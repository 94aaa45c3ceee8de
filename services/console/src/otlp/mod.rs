//! OTLP in: spans arrive over gRPC or HTTP and go into the store.
//!
//! An export is answered when its spans can be queried. Spans that cannot be kept are reported to the sender as a partial success,
//! which tells it not to send them again; the others of the same request are kept.

mod body;
mod grpc;
mod http;

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
    trace::v1::ResourceSpans,
};

use crate::{
    metrics::ReceiverMetrics,
    store::{Batch, TraceStore},
};

/// Where the spans of both transports end.
#[derive(Debug, Clone)]
pub struct Receiver {
    store: Arc<TraceStore>,
    metrics: ReceiverMetrics,
    /// Largest request after decompression, in bytes.
    max_request: usize,
}

impl Receiver {
    /// Puts spans into `store` and takes requests of at most `max_request` bytes, counted after decompression.
    pub fn new(store: Arc<TraceStore>, metrics: ReceiverMetrics, max_request: usize) -> Receiver {
        Receiver { store, metrics, max_request }
    }

    fn receive(&self, spans: Vec<ResourceSpans>) -> ExportTraceServiceResponse {
        let batch = Batch::new(spans);
        let malformed = batch.malformed();
        let added = self.store.add(batch);
        self.metrics.count(added, malformed);
        ExportTraceServiceResponse { partial_success: partial_success(malformed, added.over_limit) }
    }
}

fn partial_success(malformed: usize, over_limit: usize) -> Option<ExportTracePartialSuccess> {
    let malformed_text =
        format!("{malformed} spans have no valid trace id (16 bytes) and span id (8 bytes), not all zero");
    let over_limit_text = format!(
        "{over_limit} spans belong to a trace that fills the console by itself; see --max-spans and --max-bytes"
    );
    let error_message = match (malformed, over_limit) {
        (0, 0) => return None,
        (_, 0) => malformed_text,
        (0, _) => over_limit_text,
        (_, _) => format!("{malformed_text}; {over_limit_text}"),
    };
    Some(ExportTracePartialSuccess { rejected_spans: (malformed + over_limit) as i64, error_message })
}
