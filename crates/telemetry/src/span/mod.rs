//! Span constructors, one module per seam, and what all spans have in common.
//!
//! Seams make spans, business code decorates them: it runs inside a span that a seam made and uses [`SpanExt`] on
//! `tracing::Span::current()`. A constructor answers with a disabled span when nothing records the current trace; entering
//! or decorating that costs nothing, and the surrounding context stays current, so causes still flow.
//!
//! | module | seam |
//! |---|---|
//! | [`server`], [`client`] | calls in and out |
//! | [`stage`], [`store`] | inside the apiserver |
//! | [`reconcile`] | from a watch event to the run it causes |
//! | [`scheduling`] | the scheduler's framework (names of KEP-5927) |
//! | [`pod_worker`], [`runtime`] | the kubelet |

pub mod client;
mod idle;
pub mod journey;
pub mod pod_worker;
pub mod reconcile;
pub mod runtime;
pub mod scheduling;
pub mod server;
pub mod stage;
mod status;
pub mod store;
mod untraced;

use std::borrow::Cow;
use std::future::Future;

use opentelemetry::trace::{FutureExt, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{Step, TraceContext, attr};

pub(crate) use idle::SkipIdle;
pub use idle::work_begins;
pub use reconcile::{Reconcile, RunSteps, Timing, TraceMode, delivered, reconcile_span, self_started_span};
pub use status::{Side, code_name, is_error};
pub use untraced::{UNTRACED, Untraced};

/// The `tracing` target of all our spans; the export layer takes spans of no other.
pub(crate) const TARGET: &str = "traceplane";

/// Whether spans made here and now would be exported.
///
/// For code that would do work only to decorate a span. One thread-local read.
pub fn is_recording() -> bool {
    Context::map_current(|cx| cx.has_active_span() && cx.span().span_context().is_sampled() && !idle::is_idle(cx))
}

/// Runs `future`, in another task, in the span and trace context of here.
///
/// `tracing`'s own `in_current_span` would lose the context of an unsampled trace, which has no span; the writes of the
/// task would then start traces of their own.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.in_current_span().with_context(Context::current())
}

/// What business code does with the span it runs in. Every method is free on a disabled span.
pub trait SpanExt {
    /// Sets one attribute. Names come from [`crate::attr`].
    fn attr(&self, key: &'static str, value: impl Into<Value>) -> &Self;
    /// Says which step of a journey this span is.
    fn step(&self, step: impl Into<Option<Step>>) -> &Self;
    /// Names the object that the span is about, by the attributes of its kind.
    fn object(&self, object: &ObjectRef<'_>) -> &Self;
    /// Notes something that happened inside the span, with a name of low cardinality.
    fn note(&self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) -> &Self;
    /// Links to a span of another trace, or of this one; none is ignored.
    fn link(&self, to: &TraceContext) -> &Self;
    /// Marks the span as failed, with a reason as in a Kubernetes `Status` and a message for people.
    fn fail(&self, reason: impl Into<Cow<'static, str>>, message: impl std::fmt::Display) -> &Self;
    /// Records how a call ended; see [`is_error`] for what counts as failed.
    fn outcome(&self, side: Side, code: tonic::Code, reason: &str, message: &str) -> &Self;
}

impl SpanExt for Span {
    fn attr(&self, key: &'static str, value: impl Into<Value>) -> &Self {
        if !self.is_disabled() {
            self.set_attribute(key, value);
        }
        self
    }

    fn step(&self, step: impl Into<Option<Step>>) -> &Self {
        if let (false, Some(step)) = (self.is_disabled(), step.into()) {
            self.set_attribute(attr::STEP, step_value(step));
        }
        self
    }

    fn object(&self, object: &ObjectRef<'_>) -> &Self {
        if !self.is_disabled() {
            for KeyValue { key, value, .. } in object.attributes() {
                self.set_attribute(key, value);
            }
        }
        self
    }

    fn note(&self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) -> &Self {
        if !self.is_disabled() {
            self.add_event(name, attributes);
        }
        self
    }

    fn link(&self, to: &TraceContext) -> &Self {
        if !self.is_disabled() && to.is_valid() {
            self.add_link(to.span_context());
        }
        self
    }

    fn fail(&self, reason: impl Into<Cow<'static, str>>, message: impl std::fmt::Display) -> &Self {
        if !self.is_disabled() {
            self.set_attribute(attr::ERROR_TYPE, reason.into());
            self.set_status(opentelemetry::trace::Status::error(message.to_string()));
        }
        self
    }

    fn outcome(&self, side: Side, code: tonic::Code, reason: &str, message: &str) -> &Self {
        if !self.is_disabled() {
            status::record(self, side, code, reason, message);
        }
        self
    }
}

/// Which object a span is about. Empty parts are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectRef<'a> {
    /// `Pod`, `Deployment` ...; any case.
    pub kind: &'a str,
    /// `""` for cluster-scoped objects.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// `""` when not known yet.
    pub uid: &'a str,
}

impl<'a> ObjectRef<'a> {
    /// A pod by its key.
    pub fn pod(namespace: &'a str, name: &'a str, uid: &'a str) -> Self {
        Self { kind: "Pod", namespace, name, uid }
    }

    fn attributes(&self) -> impl Iterator<Item = KeyValue> {
        let name = attr::name_of_kind(self.kind);
        let uid = if name == attr::K8S_POD_NAME { attr::K8S_POD_UID } else { attr::OBJECT_UID };
        // The name of a known kind says the kind already.
        let kind = if name == attr::OBJECT_NAME { self.kind } else { "" };
        [(attr::OBJECT_KIND, kind), (attr::K8S_NAMESPACE_NAME, self.namespace), (name, self.name), (uid, self.uid)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| KeyValue::new(key, value.to_owned()))
    }
}

/// A child of the current span, or a disabled span where nothing is recorded.
fn child(name: &'static str, step: Option<Step>) -> Span {
    if is_recording() { started(contextual(name, None), step) } else { Span::none() }
}

/// A child of the current span that is a call to another process.
fn child_call(name: &str, step: Option<Step>) -> Span {
    if is_recording() { started(contextual(name, Some("client")), step) } else { Span::none() }
}

/// A child of a stored context, for work that outlives the span it belongs to.
fn child_of(parent: &TraceContext, name: &'static str, step: Option<Step>) -> Span {
    if !parent.is_sampled() {
        return Span::none();
    }
    started(with_parent(name, None, parent.to_otel()), step)
}

fn started(span: Span, step: Option<Step>) -> Span {
    span.step(step);
    span
}

/// One call site serves all names: `otel.name` is what is exported, and our log lines print no span names.
fn contextual(name: &str, kind: Option<&'static str>) -> Span {
    tracing::info_span!(target: TARGET, "span", otel.name = name, otel.kind = kind)
}

/// A span whose parent is exactly `parent`: a root when that is empty, whatever span is current here.
fn with_parent(name: &str, kind: Option<&'static str>, parent: Context) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "span", otel.name = name, otel.kind = kind);
    // Fails only when nothing exports; the span is disabled then.
    let _ = span.set_parent(parent);
    span
}

fn step_value(step: Step) -> Value {
    match step.id() {
        Cow::Borrowed(id) => id.into(),
        Cow::Owned(id) => id.into(),
    }
}
