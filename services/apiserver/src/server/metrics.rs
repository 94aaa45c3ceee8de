//! What is counted of each call: how it ended, how long it took, how many run. The names are those of Kubernetes' apiserver.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service_kit::Metrics;
use service_kit::metrics::Durations;
use telemetry::span::code_name;
use tokio::time::Instant;
use tonic::Code;

use super::{Front, Target};
use crate::rpc::{Call, Method};

/// The metrics of all calls. Clones count together.
#[derive(Clone)]
pub struct RequestMetrics {
    requests: Family<Ended, Counter>,
    durations: Durations<Labels>,
    inflight: Family<Kind, Gauge<i64, AtomicI64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// gRPC's name of the code.
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    request_kind: &'static str,
}

impl RequestMetrics {
    /// Registers the metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counters("apiserver_request", "Requests by verb, resource and the code they ended with"),
            durations: metrics.durations(
                "apiserver_request_duration_seconds",
                "Time from the arrival of a request to its answer, watches and streams of pods excluded",
            ),
            inflight: metrics.gauges("apiserver_current_inflight_requests", "Requests being served now"),
        }
    }

    fn inflight(&self, method: Method) -> Gauge<i64, AtomicI64> {
        let request_kind = if method.is_mutating() { "mutating" } else { "readOnly" };
        self.inflight.get_or_create(&Kind { request_kind }).clone()
    }

    fn ended(&self, call: Call, code: &'static str, start: Instant) {
        let Call { kind, method } = call;
        let (verb, group, resource, subresource) = (method.verb(), kind.group, kind.plural, method.subresource());
        self.requests.get_or_create(&Ended { verb, group, resource, subresource, code }).inc();
        if !method.is_long_running() {
            let labels = Labels { verb, group, resource, subresource };
            self.durations.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
        }
    }
}

/// The layer.
pub(super) async fn metrics(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let Some(call) = Target::of(request.extensions()).call() else { return next.run(request).await };
    let start = Instant::now();
    let _inflight = Inflight::enter(front.metrics.inflight(call.method));
    let response = next.run(request).await;
    front.metrics.ended(call, grpc_code(&response), start);
    response
}

/// The code in the head of a gRPC answer. A stream that has begun well counts as OK, whatever its end.
pub(super) fn grpc_code(response: &Response) -> &'static str {
    let code = response.headers().get("grpc-status");
    code_name(code.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())))
}

/// Counts down also when the client goes away and the call is dropped.
struct Inflight(Gauge<i64, AtomicI64>);

impl Inflight {
    fn enter(gauge: Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
