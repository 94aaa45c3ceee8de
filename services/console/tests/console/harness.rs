//! A console on free ports, spans to send to it, and the means to ask it.

use std::net::SocketAddr;

use clap::Parser;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, span::SpanKind},
};
use serde_json::Value as Json;
use service_kit::Shutdown;
use tonic::transport::Channel;
use traceplane_console::{Addresses, Config, Handle, serve};

/// A console in this process. It stops when it is dropped.
pub(crate) struct Console {
    pub(crate) at: Addresses,
    pub(crate) shutdown: Shutdown,
    pub(crate) handle: Option<Handle>,
}

impl Console {
    pub(crate) async fn start(flags: &[&str]) -> Console {
        let ports = ["--otlp-grpc-port", "--otlp-http-port", "--query-grpc-port", "--query-http-port"];
        let free = ports.iter().flat_map(|flag| [*flag, "0"]);
        let config = Config::parse_from(["console"].into_iter().chain(free).chain(flags.iter().copied()));
        let shutdown = Shutdown::new();
        let handle = serve(&config, &shutdown).await.unwrap();
        Console { at: handle.addresses, shutdown, handle: Some(handle) }
    }

    pub(crate) async fn exporter(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(format!("http://{}", self.at.otlp_grpc)).await.unwrap()
    }

    /// Sends spans over gRPC; when it returns, they can be asked for.
    pub(crate) async fn export(&self, spans: Vec<ResourceSpans>) -> ExportTraceServiceResponse {
        let request = ExportTraceServiceRequest { resource_spans: spans };
        self.exporter().await.export(request).await.unwrap().into_inner()
    }

    /// Gets a path of the query port that answers in text.
    pub(crate) async fn text(&self, path: &str) -> String {
        let (status, body) = call(self.at.query_http, Request::get(path).body(Full::default()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        String::from_utf8(body.into()).unwrap()
    }

    /// Gets a path of the query port that answers in JSON.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Json) {
        let (status, body) = call(self.at.query_http, Request::get(path).body(Full::default()).unwrap()).await;
        let json = serde_json::from_slice(&body);
        (status, json.unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&body))))
    }

    /// The ids of the traces that a search finds, in the order of the answer; `params` is added to a time range that holds all.
    pub(crate) async fn find(&self, params: &str) -> Vec<String> {
        let range = "query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=2100-01-01T00:00:00Z";
        match self.get(&format!("/api/v3/traces?{range}&{params}")).await {
            (StatusCode::OK, answer) => {
                let mut ids: Vec<_> = spans(&answer).map(|span| span["traceId"].as_str().unwrap().to_owned()).collect();
                ids.dedup();
                ids
            }
            (StatusCode::NOT_FOUND, _) => Vec::new(),
            (status, answer) => panic!("{status}: {answer}"),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// The spans of an answer of the HTTP gateway.
pub(crate) fn spans(answer: &Json) -> impl Iterator<Item = &Json> {
    answer["result"]["resourceSpans"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|resource| resource["scopeSpans"].as_array().into_iter().flatten())
        .flat_map(|scope| scope["spans"].as_array().into_iter().flatten())
}

/// One HTTP/1.1 request on its own connection.
pub(crate) async fn call(address: SocketAddr, mut request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().insert("host", "console".parse().unwrap());
    let answer = client.send_request(request).await.unwrap();
    let status = answer.status();
    (status, answer.into_body().collect().await.unwrap().to_bytes())
}

/// The trace id whose 16 bytes are all `number`, as text.
pub(crate) fn trace_id(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

/// A span of one second that starts at second `start` of 1970.
pub(crate) fn span(trace: u8, id: u8, name: &str, start: u64) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: name.into(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: start * 1_000_000_000,
        end_time_unix_nano: (start + 1) * 1_000_000_000,
        ..Default::default()
    }
}

/// Spans of a service.
pub(crate) fn from(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Resource { attributes: vec![attribute("service.name", service)], ..Default::default() };
    let scope = InstrumentationScope { name: "test".into(), ..Default::default() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..Default::default() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..Default::default() }
}
