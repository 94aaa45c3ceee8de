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
pub mod step;

pub use cause::{Cause, Causes};
pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub use step::{ApiSteps, Journey, RequestDetail, Step, client_step};
