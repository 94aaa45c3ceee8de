//! The stages of one request in the apiserver, children of its server span. Enter one around the work:
//!
//! ```
//! # use traceplane_telemetry::{ApiSteps, span::stage};
//! # let steps = ApiSteps::NONE;
//! let admitted = stage::admit(steps.admit).in_scope(|| {
//!     stage::plugin("NamespaceLifecycle").in_scope(|| true)
//! });
//! # assert!(admitted);
//! ```

use tracing::Span;

use super::{SpanExt, child};
use crate::{Step, attr};

/// Finding out who asks.
pub fn authenticate(step: Option<Step>) -> Span {
    child("authenticate", step)
}

/// Whether they may.
pub fn authorize(step: Option<Step>) -> Span {
    child("authorize", step)
}

/// All of admission; each plugin is a child ([`plugin`]).
pub fn admit(step: Option<Step>) -> Span {
    child("admit", step)
}

/// One admission plugin, by its Kubernetes name.
pub fn plugin(name: &'static str) -> Span {
    let span = child("admission plugin", None);
    span.attr(attr::PLUGIN, name);
    span
}

/// Validation of the object's fields.
pub fn validate(step: Option<Step>) -> Span {
    child("validate", step)
}

/// Making the answer, after the commit.
pub fn respond(step: Option<Step>) -> Span {
    child("respond", step)
}
