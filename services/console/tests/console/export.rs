//! Spans on their way in: both transports, both formats, and what is no span.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use opentelemetry::{
    KeyValue,
    trace::{Span as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value as Json, json};
use tonic::{Code, codec::CompressionEncoding};

use crate::harness::{Console, call, from, span, spans, trace_id};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

type Headers = &'static [(&'static str, &'static str)];

fn request(number: u8) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest { resource_spans: vec![from("test", vec![span(number, 1, "sent", 1)])] }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn post(console: &Console, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, Bytes) {
    let mut request = Request::post("/v1/traces");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    call(console.at.otlp_http, request.body(Full::from(body)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_of_opentelemetry_delivers() {
    let console = Console::start(&[]).await;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{}", console.at.otlp_grpc))
        .build()
        .unwrap();
    let resource = opentelemetry_sdk::Resource::builder().with_service_name("exporter").build();
    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();

    let mut span = provider.tracer("test").start("create pod");
    span.set_attribute(KeyValue::new("k8s.pod.name", "web"));
    span.set_attribute(KeyValue::new("traceplane.revision", 42));
    let id = span.span_context().trace_id().to_string();
    span.end();
    tokio::task::spawn_blocking(move || provider.force_flush()).await.unwrap().unwrap();

    let (status, answer) = console.get(&format!("/api/v3/traces/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    let span = spans(&answer).next().unwrap();
    assert_eq!((&span["name"], &span["traceId"]), (&json!("create pod"), &json!(id)));
    assert!(
        span["attributes"]
            .as_array()
            .unwrap()
            .contains(&json!({"key": "traceplane.revision", "value": {"intValue": "42"}}))
    );
    assert_eq!(console.find("query.serviceName=exporter").await, [id]);
}

#[tokio::test]
async fn grpc_takes_plain_and_gzip() {
    let console = Console::start(&[]).await;
    let mut plain = console.exporter().await;
    let mut zipped = console.exporter().await.send_compressed(CompressionEncoding::Gzip);
    for (number, client) in [(1, &mut plain), (2, &mut zipped)] {
        let answer = client.export(request(number)).await.unwrap().into_inner();
        assert_eq!(answer, ExportTraceServiceResponse::default());
        assert_eq!(console.get(&format!("/api/v3/traces/{}", trace_id(number))).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn http_takes_protobuf_and_json_plain_and_gzip() {
    let console = Console::start(&[]).await;
    let json = |number| {
        json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "json"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": trace_id(number), "spanId": "0102030405060708", "name": "sent", "kind": 2,
                "startTimeUnixNano": "1000000000", "endTimeUnixNano": 2000000000u64,
                "attributes": [{"key": "n", "value": {"intValue": "7"}}],
                "status": {"code": 2}, "aFieldOfTheFuture": [1, 2]
            }]}]
        }]})
        .to_string()
        .into_bytes()
    };
    let table: [(Headers, Vec<u8>); 5] = [
        (&[("content-type", PROTOBUF)], request(1).encode_to_vec()),
        (&[("content-type", PROTOBUF), ("content-encoding", "gzip")], gzip(&request(2).encode_to_vec())),
        (&[("content-type", JSON)], json(3)),
        (&[("content-type", JSON), ("content-encoding", "gzip")], gzip(&json(4))),
        (&[("content-type", "application/json; charset=utf-8"), ("content-encoding", "identity")], json(5)),
    ];
    for (number, (headers, body)) in (1..).zip(table) {
        let (status, answer) = post(&console, headers, body).await;
        assert_eq!(status, StatusCode::OK);
        match headers[0].1 {
            PROTOBUF => assert_eq!(answer, Bytes::new(), "the encoding of an empty message"),
            _ => assert_eq!(answer, "{}"),
        }
        let (_, trace) = console.get(&format!("/api/v3/traces/{}", trace_id(number))).await;
        assert_eq!(spans(&trace).next().unwrap()["name"], "sent");
    }
}

#[tokio::test]
async fn spans_that_cannot_be_kept_are_reported_and_the_others_kept() {
    let console = Console::start(&[]).await;
    let mut bad = span(1, 1, "bad", 1);
    bad.trace_id.clear();
    let mixed = vec![from("test", vec![bad, span(1, 2, "good", 1)])];

    let partial = console.export(mixed.clone()).await.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("trace id"), "{}", partial.error_message);
    assert_eq!(console.get(&format!("/api/v3/traces/{}", trace_id(1))).await.0, StatusCode::OK);

    let body = serde_json::to_vec(&ExportTraceServiceRequest { resource_spans: mixed }).unwrap();
    let (status, answer) = post(&console, &[("content-type", JSON)], body).await;
    let answer: Json = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedSpans"]), (StatusCode::OK, &json!("1")));
}

#[tokio::test]
async fn a_trace_over_the_limit_is_reported() {
    let console = Console::start(&["--max-spans", "2"]).await;
    let spans = (1..=3).map(|id| span(1, id, "many", 1)).collect();
    let partial = console.export(vec![from("test", spans)]).await.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 3);
    assert!(partial.error_message.contains("--max-spans"), "{}", partial.error_message);
}

#[tokio::test]
async fn http_refuses_what_is_no_export_and_says_why() {
    let console = Console::start(&["--max-request-bytes", "2Ki"]).await;
    let bomb = gzip(&vec![0; 1 << 20]);
    assert!(bomb.len() < 2048);
    let garbage = b"\xff\xff\xffgarbage".to_vec();
    let table: [(&str, Headers, Vec<u8>, u16, &str); 10] = [
        ("garbage protobuf", &[("content-type", PROTOBUF)], garbage.clone(), 400, "not an OTLP trace export"),
        ("garbage JSON", &[("content-type", JSON)], garbage.clone(), 400, "line 1 column 1"),
        ("JSON of another shape", &[("content-type", JSON)], br#"{"resourceSpans": 7}"#.to_vec(), 400, "sequence"),
        (
            "ids that are not hexadecimal",
            &[("content-type", JSON)],
            br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}"#.to_vec(),
            400,
            "not an OTLP",
        ),
        ("no content type", &[], vec![], 415, "application/x-protobuf or application/json"),
        ("another content type", &[("content-type", "text/plain")], vec![], 415, "text/plain"),
        ("another encoding", &[("content-type", JSON), ("content-encoding", "br")], vec![], 415, "gzip or identity"),
        ("no gzip", &[("content-type", JSON), ("content-encoding", "gzip")], garbage, 400, "not valid gzip"),
        ("too long", &[("content-type", JSON)], vec![b' '; 4096], 413, "--max-request-bytes"),
        ("inflates too long", &[("content-type", JSON), ("content-encoding", "gzip")], bomb, 413, "2048 bytes"),
    ];
    for (case, headers, body, expected, words) in table {
        let (status, answer) = post(&console, headers, body).await;
        assert_eq!(status.as_u16(), expected, "{case}");
        let message = match headers.first() {
            Some((_, PROTOBUF)) => tonic_types::pb::Status::decode(answer).unwrap().message,
            _ => serde_json::from_slice::<Json>(&answer).unwrap()["message"].as_str().unwrap().to_owned(),
        };
        assert!(message.contains(words), "{case}: {message}");
    }
    let get = Request::get("/v1/traces").body(Full::default()).unwrap();
    assert_eq!(call(console.at.otlp_http, get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(console.get("/api/v3/services").await.1, json!({"services": []}), "nothing was kept");
}

#[tokio::test]
async fn grpc_refuses_what_is_no_export_and_says_why() {
    let console = Console::start(&["--max-request-bytes", "2Ki"]).await;

    // A message of gRPC whose first field is a number where OTLP has spans.
    #[derive(Clone, PartialEq, Message)]
    struct Garbage {
        #[prost(fixed64, tag = "1")]
        not_resource_spans: u64,
    }
    let channel = tonic::transport::Endpoint::new(format!("http://{}", console.at.otlp_grpc)).unwrap();
    let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
    client.ready().await.unwrap();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<Garbage, ExportTraceServiceResponse>::default();
    let garbage = tonic::Request::new(Garbage { not_resource_spans: 7 });
    let refusal = client.unary(garbage, path, codec).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
    assert!(refusal.message().contains("resource_spans"), "{}", refusal.message());

    let long = span(1, 1, &"x".repeat(4096), 1);
    let request = ExportTraceServiceRequest { resource_spans: vec![from("test", vec![long])] };
    let refusal = console.exporter().await.export(request.clone()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::OutOfRange, "{refusal:?}");
    let mut zipped = console.exporter().await.send_compressed(CompressionEncoding::Gzip);
    assert!(zipped.export(request).await.is_err(), "the limit holds for the size after decompression");
}
