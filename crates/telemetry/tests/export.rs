//! The whole of `init`, in its own process: spans reach a real OTLP server, log lines and all.
#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use telemetry::span::{ObjectRef, store};
use telemetry::{
    Cause, Causes, ExportStats, Reconcile, TelemetryConfig, TraceContext, reconcile_span, self_started_span,
};
use tonic::{Request, Response, Status};
use traceplane_telemetry as telemetry;
use tracing::Instrument;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        address
    }

    /// Names of all spans received, with the services that sent them.
    fn spans(&self) -> Vec<(String, String)> {
        let requests = self.0.lock().unwrap();
        let mut spans = Vec::new();
        for resource_spans in requests.iter().flat_map(|request| &request.resource_spans) {
            let attributes = &resource_spans.resource.as_ref().expect("a resource").attributes;
            let service = attributes.iter().find(|kv| kv.key == "service.name").expect("a service name");
            let Some(Value::StringValue(service)) = service.value.clone().and_then(|value| value.value) else {
                panic!("{service:?}")
            };
            let names = resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans).map(|span| &span.name);
            spans.extend(names.map(|name| (service.clone(), name.clone())));
        }
        spans.sort();
        spans
    }
}

/// One test: `init` is once per process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_the_collector_and_an_unsampled_journey_does_not() {
    let collector = Collector::default();
    let address = collector.serve().await;
    let config = TelemetryConfig {
        otlp_endpoint: Some(format!("http://{address}")),
        flush_timeout: Duration::from_secs(10),
        ..TelemetryConfig::new("scheduler")
    };
    let guard = telemetry::init(config.clone()).unwrap();
    assert!(guard.is_exporting());
    assert!(telemetry::init(config).is_err(), "a second subscriber is refused");

    let root = self_started_span("tpctl create", &TraceContext::NONE);
    let stored = async {
        tracing::info!("the line belongs to the trace");
        let txn = store::txn("/registry/pods/default/web-1");
        tokio::spawn(async { TraceContext::current() }.instrument(txn)).await.unwrap()
    };
    let stored = stored.instrument(root).await;
    assert!(stored.is_sampled());

    let unsampled = TraceContext::parse(&stored.traceparent().replace("-01", "-00"), "");
    for context in [stored, unsampled] {
        let causes = Causes::from(Cause::received(context, 7, Some(jiff::Timestamp::now())));
        let object = ObjectRef::pod("default", "web-1", "");
        drop(reconcile_span(&Reconcile::new("replicaset", object, &causes)));
    }

    tokio::task::block_in_place(|| assert!(guard.flush()));
    let scheduler = |name: &str| ("scheduler".to_owned(), name.to_owned());
    let expected = ["etcd txn", "sync replicaset", "tpctl create", "watch"].map(scheduler);
    assert_eq!(collector.spans(), expected);
    assert_eq!(telemetry::export_stats(), ExportStats { exported: 4, dropped: 0, failed: 0 });

    drop(self_started_span("last words", &TraceContext::NONE));
    tokio::task::block_in_place(|| drop(guard));
    assert!(collector.spans().contains(&scheduler("last words")), "the guard sends what is left");
    assert_eq!(telemetry::dropped_spans(), 0);
}
