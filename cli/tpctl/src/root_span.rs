//! The root of a trace: one span around a command that changes something.
//!
//! Traces go to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, or to the console of the cluster in the state folder. A collector
//! that is away never fails a command, and holds it up for a moment at most.

use crate::cluster::ClusterRecord;
use crate::global::Global;
use anyhow::Result;
use std::future::Future;
use std::time::Duration;
use telemetry::span::SpanExt;
use telemetry::{Guard, LogFormat, TelemetryConfig, TraceContext, self_started_span};
use tracing::{Instrument, Span};

/// How long the end of a command may wait for the last spans to be sent.
const FLUSH: Duration = Duration::from_millis(500);

/// Variables that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Whether the standard variables name a collector. Empty ones do not.
pub(crate) fn has_collector() -> bool {
    let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    ENDPOINTS.iter().any(is_set)
}

/// Starts the export of traces, if the command leaves any, and log lines for those who ask for them with `RUST_LOG`. `None` if they cannot be
/// set up: a command works without.
pub(crate) fn export(global: &Global, leaves_traces: bool) -> Option<Guard> {
    let is_configured = has_collector();
    let cluster = || ClusterRecord::read(&global.state_dir).ok().flatten().map(|cluster| cluster.otlp_endpoint());
    let mut config = TelemetryConfig::new("tpctl");
    config.otlp_endpoint = if is_configured || !leaves_traces { None } else { cluster() };
    config.flush_timeout = FLUSH;
    config.log_format = LogFormat::Text;
    config.log_filter = Some(std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()));
    match telemetry::init(config) {
        Ok(guard) => Some(guard),
        Err(error) => {
            eprintln!("Warning: no trace of this command: {error}");
            None
        }
    }
}

/// The root span of a command.
pub(crate) struct RootSpan {
    span: Span,
}

impl RootSpan {
    /// Begins a trace.
    pub(crate) fn start(name: &'static str) -> RootSpan {
        RootSpan { span: self_started_span(name, &TraceContext::NONE) }
    }

    /// Runs the command inside.
    pub(crate) fn around<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        work.instrument(self.span.clone())
    }

    /// Ends the trace with the command's outcome, and tells who wants to know its id.
    pub(crate) fn end(self, global: &Global, outcome: &Result<()>) {
        if let Err(error) = outcome {
            let reason = error.downcast_ref::<api::Error>().map_or("Error", |error| error.reason.as_str());
            self.span.fail(reason, error);
        }
        let context = TraceContext::of(&self.span);
        if global.shows_trace() && context.is_sampled() {
            eprintln!("trace {0} (tpctl trace {0})", context.trace_id());
        }
    }
}
