//! Traces that cross watches: causes, the step catalogue, span constructors and the export of both.
//!
//! Every write to the store records the span that made it as its [`Cause`]; every watch event hands the cause on; a
//! reconcile continues it. This crate owns that chain and the spans along it. Business code makes no spans: it calls the
//! constructors in [`span`], one module per seam, and adds fields and events to the span it runs in.
//!
//! Invariants: an unsampled or disabled trace costs a thread-local read per span; exporting never blocks, it drops and
//! counts. The crate knows no Kubernetes object, no store and no transport beyond HTTP headers.

pub mod attr;
mod cause;
mod context;
mod setup;
pub mod span;
pub mod step;
pub mod testing;

pub use cause::{Cause, Causes};
pub use context::{TRACEPARENT, TRACEPARENT_ANNOTATION, TRACESTATE, TraceContext};
pub use opentelemetry::KeyValue;
pub use setup::{ExportStats, Guard, InitError, LogFormat, TelemetryConfig, dropped_spans, export_stats, init};
pub use span::{Reconcile, SpanExt, TraceMode, Untraced, reconcile_span, self_started_span};
pub use step::{ApiSteps, Journey, RequestDetail, Step, client_step};
