//! Calls that go out: a CLIENT span and the headers that let the server continue it.
//!
//! | current context | call | what is sent |
//! |---|---|---|
//! | any | marked [`Untraced`], or never traced | `traceplane-trace: off` |
//! | recorded | any | a span, its `traceparent` |
//! | unsampled | any | that `traceparent`, no span |
//! | idle run | read | `traceplane-trace: off`: the run may never be exported |
//! | idle run | write | a span; the run is idle no more |
//! | none | read | `traceplane-trace: off`: background work |
//! | none | write | a span that is a root: self-started work |
//!
//! Use the tower [`layer`] around a channel, or [`outgoing`] where the caller wants to hold the span.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, Uri};
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::server::Protocol;
use super::{
    ObjectRef, Side, SpanExt, Untraced, child_call, is_recording, journey, untraced, with_parent, work_begins,
};
use crate::step::step_of_rpc;
use crate::{RequestDetail, Step, TraceContext, attr};

/// What the caller knows about its call, as a request extension for the [`layer`]. All of it is optional.
#[derive(Clone, Debug, Default)]
pub struct CallTrace {
    /// The step, where resource and verb do not tell (`pod.create.7a` or `pod.delete.5a`).
    pub step: Option<Step>,
    /// What decides the step beyond resource and verb.
    pub detail: RequestDetail,
    /// Kind, namespace and name of the object.
    pub object: (&'static str, String, String),
    /// Which try this is, from 1; 0 when not known.
    pub attempt: u32,
}

/// One call about to be sent: its span, and what its headers say.
#[derive(Debug)]
pub struct Outgoing {
    span: Span,
    header: Header,
    restarts: bool,
}

#[derive(Debug)]
enum Header {
    Off,
    Context(TraceContext),
}

/// Decides how the call of gRPC method `path` (`/traceplane.v1.Pods/Create`) is traced; see the module's table.
pub fn outgoing(path: &str, hints: &CallTrace) -> Outgoing {
    let reads = is_read(path);
    if !reads {
        work_begins();
    }
    let current = TraceContext::current();
    let span = match (is_recording(), current.is_valid(), reads) {
        (true, ..) => child_call(path.trim_start_matches('/'), None),
        (false, false, false) => {
            with_parent(path.trim_start_matches('/'), Some("client"), opentelemetry::Context::new())
        }
        (false, true, _) if !current.is_sampled() => {
            return Outgoing { span: Span::none(), header: Header::Context(current), restarts: false };
        }
        _ => return Outgoing::untraced(),
    };
    describe(&span, path, hints);
    let header = match TraceContext::of(&span) {
        // Nothing exports here; the caller's own context, if any, is passed on.
        TraceContext::NONE => Header::Context(current),
        context => Header::Context(context),
    };
    Outgoing { span, header, restarts: hints.detail.restarts }
}

impl Outgoing {
    /// A call that makes no span here and asks for none there.
    pub fn untraced() -> Self {
        Self { span: Span::none(), header: Header::Off, restarts: false }
    }

    /// The call's span: instrument the call with it, and record its [`SpanExt::outcome`].
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Writes the headers.
    pub fn inject(&self, headers: &mut HeaderMap) {
        match &self.header {
            Header::Off => untraced::mark(headers),
            Header::Context(context) => context.inject(headers),
        }
        if self.restarts {
            journey::mark_restart(headers);
        }
    }

    /// Writes the headers into gRPC metadata.
    pub fn inject_metadata(&self, metadata: &mut tonic::metadata::MetadataMap) {
        self.inject(metadata.as_mut());
    }
}

fn is_read(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some("Get" | "List" | "Watch" | "Logs"))
}

fn describe(span: &Span, path: &str, hints: &CallTrace) {
    if span.is_disabled() {
        return;
    }
    let (kind, namespace, name) = &hints.object;
    span.attr(attr::RPC_SYSTEM_NAME, "grpc")
        .attr(attr::RPC_METHOD, path.trim_start_matches('/').to_owned())
        .step(hints.step.or_else(|| step_of_rpc(path, hints.detail)))
        .object(&ObjectRef { kind, namespace, name, uid: "" });
    if hints.attempt > 1 {
        span.attr(attr::ATTEMPT, i64::from(hints.attempt));
    }
}

/// Traces every call of the channel it wraps.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLayer;

/// The layer for gRPC channels.
pub fn layer() -> TraceLayer {
    TraceLayer
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner }
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: std::fmt::Display + 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let outgoing = decide(&mut request);
        outgoing.inject(request.headers_mut());
        let span = outgoing.span;
        let answer = span.in_scope(|| self.inner.call(request));
        if span.is_disabled() {
            return Box::pin(answer);
        }
        let recorded = span.clone();
        let answer = async move {
            let answer = answer.await;
            match &answer {
                Ok(response) => Protocol::Grpc.record(&recorded, Side::Client, response),
                Err(error) => {
                    let message = error.to_string();
                    recorded.outcome(Side::Client, tonic::Code::Unavailable, "", &message);
                }
            }
            answer
        };
        Box::pin(answer.instrument(span))
    }
}

fn decide<B>(request: &mut Request<B>) -> Outgoing {
    let uri: &Uri = request.uri();
    if request.extensions().get::<Untraced>().is_some() || untraced::is_never_traced(uri) {
        return Outgoing::untraced();
    }
    let hints = request.extensions_mut().remove::<CallTrace>().unwrap_or_default();
    outgoing(request.uri().path(), &hints)
}
