//! Receives spans over OTLP, as any collector does, and keeps them.

use crate::journey::{Span, Trace};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A collector on a port of its own; dropping it closes the port.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Spans,
    server: JoinHandle<()>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

#[derive(Debug)]
struct Receiver(Spans);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let received = request.into_inner().resource_spans.into_iter().flat_map(Span::all_of);
        self.0.lock().extend(received);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts to listen.
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let spans = Spans::default();
        let service = TraceServiceServer::new(Receiver(Arc::clone(&spans))).max_decoding_message_size(64 << 20);
        let server = tonic::transport::Server::builder().add_service(service);
        let server = tokio::spawn(async move {
            server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("the collector serves");
        });
        Collector { address, spans, server }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` must say.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans received so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().clone()
    }

    /// All traces received so far, by id.
    pub fn traces(&self) -> BTreeMap<String, Trace> {
        let mut by_id: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for span in self.spans() {
            by_id.entry(span.trace_id.clone()).or_default().push(span);
        }
        by_id.into_iter().map(|(id, spans)| (id.clone(), Trace::new(id, spans))).collect()
    }

    /// One trace as far as it was received.
    pub fn trace(&self, id: &str) -> Trace {
        let spans = self.spans.lock().iter().filter(|s| s.trace_id == id).cloned().collect();
        Trace::new(id.to_owned(), spans)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}
