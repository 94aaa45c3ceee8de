//! Calls that come in: a tower layer for gRPC and HTTP servers. It belongs outermost, right inside TLS.
//!
//! It makes one SERVER span per call, child of the caller's `traceparent`, and runs the rest of the stack inside it. An unsampled
//! caller gets no span, but its context stays current, so that what the call causes stays unsampled. Inner layers reach
//! the span by the request extension [`RequestSpan`]. A streamed answer is measured up to its first byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Request, Response, header};
use opentelemetry::trace::FutureExt;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use super::{Side, SpanExt, untraced, with_parent};
use crate::{TraceContext, attr};

/// The span of the call, in the request's extensions (tonic hands them on to its handlers).
#[derive(Clone, Debug)]
pub struct RequestSpan(pub Span);

impl RequestSpan {
    /// The span of the call that `extensions` belong to; disabled when there is none.
    pub fn of(extensions: &Extensions) -> Span {
        extensions.get::<Self>().map_or_else(Span::none, |span| span.0.clone())
    }
}

/// Makes a span for each call; see the module.
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer {
    trusts: fn(&Extensions) -> bool,
}

/// A layer that honours every caller's `traceparent`: right where mutual TLS lets only known callers through.
pub fn layer() -> TraceLayer {
    TraceLayer { trusts: |_| true }
}

impl TraceLayer {
    /// Honours a `traceparent` only if `trusts` says so, from what the connection put into the request's extensions. Any other
    /// call gets a root of its own, linked to what it claimed: a stranger must not write into others' traces.
    pub fn trusting(self, trusts: fn(&Extensions) -> bool) -> Self {
        Self { trusts }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, trusts: self.trusts }
    }
}

/// An answer to come.
type Answer<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

/// The service that [`TraceLayer`] makes.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    trusts: fn(&Extensions) -> bool,
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if untraced::is_marked(request.headers()) || untraced::is_never_traced(request.uri()) {
            return self.pass(request, &TraceContext::NONE);
        }
        let claimed = TraceContext::from_headers(request.headers());
        let trusted = !claimed.is_valid() || (self.trusts)(request.extensions());
        let parent = if trusted { claimed.clone() } else { TraceContext::NONE };
        let protocol = Protocol::of(request.headers());
        let span = if parent.is_valid() && !parent.is_sampled() {
            Span::none()
        } else {
            call_span(protocol, &request, &parent)
        };
        if span.is_disabled() {
            // Nothing is recorded here, but whoever comes after us must still know the trace.
            return self.pass(request, &parent);
        }
        if !trusted {
            span.link(&claimed);
        }
        request.extensions_mut().insert(RequestSpan(span.clone()));
        let answer = span.in_scope(|| self.inner.call(request));
        let recorded = span.clone();
        let answer = async move {
            let answer = answer.await;
            match &answer {
                Ok(response) => protocol.record(&recorded, Side::Server, response),
                Err(_) => _ = recorded.fail("InternalError", "the service failed to answer"),
            }
            answer
        };
        Box::pin(answer.instrument(span))
    }
}

impl<S> Trace<S> {
    /// Serves a call without a span, with exactly `parent` as its context.
    fn pass<B, R>(&mut self, request: Request<B>, parent: &TraceContext) -> Answer<R, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Future: Send + 'static,
    {
        let context = parent.to_otel();
        let _current = context.clone().attach();
        Box::pin(self.inner.call(request).with_context(context))
    }
}

fn call_span<B>(protocol: Protocol, request: &Request<B>, parent: &TraceContext) -> Span {
    let path = request.uri().path();
    let name = match protocol {
        Protocol::Grpc => path.trim_start_matches('/'),
        // A path holds names, and only the router knows its template: it sets `http.route`.
        Protocol::Http => request.method().as_str(),
    };
    let span = with_parent(name, Some("server"), parent.to_otel());
    match protocol {
        Protocol::Grpc => {
            span.attr(attr::RPC_SYSTEM_NAME, "grpc").attr(attr::RPC_METHOD, name.to_owned());
        }
        Protocol::Http => {
            span.attr(attr::HTTP_REQUEST_METHOD, name.to_owned()).attr(attr::URL_PATH, path.to_owned());
        }
    }
    span
}

/// Which conventions describe a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

impl Protocol {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let is_grpc =
            headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if is_grpc { Self::Grpc } else { Self::Http }
    }

    pub(super) fn record<R>(self, span: &Span, side: Side, response: &Response<R>) {
        match self {
            Self::Grpc => {
                // A failed unary call is answered by headers alone; an answer without this header has begun well.
                let code = grpc_code(response.headers());
                if let Some(Failure { reason, message }) = response.extensions().get() {
                    span.outcome(side, code, reason, message);
                } else {
                    let message = response.headers().get("grpc-message").and_then(|value| value.to_str().ok());
                    span.outcome(side, code, "", message.unwrap_or_default());
                }
            }
            Self::Http => {
                let code = response.status();
                span.attr(attr::HTTP_RESPONSE_STATUS_CODE, i64::from(code.as_u16()));
                match response.extensions().get() {
                    Some(Failure { reason, message }) if code.is_server_error() => _ = span.fail(*reason, message),
                    Some(Failure { reason, .. }) => _ = span.attr(attr::ERROR_TYPE, *reason),
                    None if code.is_server_error() => {
                        span.fail(code.as_str().to_owned(), code.canonical_reason().unwrap_or_default());
                    }
                    None => {}
                }
            }
        }
    }
}

fn grpc_code(headers: &HeaderMap) -> tonic::Code {
    headers.get("grpc-status").map_or(tonic::Code::Ok, |code| tonic::Code::from_bytes(code.as_bytes()))
}

/// Names an HTTP call by its route (`GET /api/v1/namespaces/{namespace}/pods/{name}`), once the router has found it.
pub fn set_route(span: &Span, method: &http::Method, route: &'static str) {
    use opentelemetry::trace::TraceContextExt;
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    if !span.is_disabled() {
        span.context().span().update_name(format!("{method} {route}"));
        span.attr(attr::HTTP_ROUTE, route);
    }
}

/// In the extensions of a response: why the call failed, with Kubernetes' reason, which headers do not tell, and the message as
/// it was before it was escaped for them. The layer records it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// A reason as in a Kubernetes `Status`.
    pub reason: &'static str,
    /// What went wrong, for people.
    pub message: String,
}
