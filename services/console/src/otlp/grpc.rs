//! OTLP over gRPC, by default on port 4317.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use super::Receiver;
use crate::pb::otlp::trace_service_server::{TraceService, TraceServiceServer};

impl Receiver {
    /// The gRPC service.
    pub fn grpc(self) -> TraceServiceServer<Receiver> {
        let max_request = self.max_request;
        TraceServiceServer::new(self)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(max_request)
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(self.receive(request.into_inner().resource_spans)))
    }
}
