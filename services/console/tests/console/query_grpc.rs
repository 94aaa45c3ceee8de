//! The query API over gRPC, asked by the client that is generated from our proto file.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost_types::{Duration, Timestamp};
use tonic::{Code, Streaming, transport::Channel};
use traceplane_console::pb::jaeger::{
    api_v3::{
        Dependency, FindTraceSummariesRequest, FindTracesRequest, GetDependenciesRequest, GetOperationsRequest,
        GetServicesRequest, GetTraceRequest, Operation, TraceQueryParameters, query_service_client::QueryServiceClient,
    },
    expression::v1::Call,
};

use crate::harness::{Console, attribute, from, span, trace_id};

async fn client(console: &Console) -> QueryServiceClient<Channel> {
    QueryServiceClient::connect(format!("http://{}", console.at.query_grpc)).await.unwrap()
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn all() -> TraceQueryParameters {
    TraceQueryParameters { start_time_min: at(0), start_time_max: at(1_000_000), ..Default::default() }
}

async fn names(mut stream: Streaming<TracesData>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        let scopes = part.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        names.extend(scopes.flat_map(|scope| scope.spans).map(|span| span.name));
    }
    names
}

#[tokio::test]
async fn one_trace_is_streamed() {
    let console = Console::start(&[]).await;
    console.export(vec![from("a", vec![span(1, 1, "one", 1), span(2, 1, "two", 2)])]).await;
    let mut client = client(&console).await;

    let request = |id: String| GetTraceRequest { trace_id: id, ..Default::default() };
    let stream = client.get_trace(request(trace_id(1))).await.unwrap().into_inner();
    assert_eq!(names(stream).await, ["one"]);
    assert_eq!(client.get_trace(request(trace_id(3))).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.get_trace(request("xyz".into())).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_trace_larger_than_a_message_arrives_in_several() {
    let console = Console::start(&[]).await;
    let mut exporter = console.exporter().await;
    for batch in 0..8u8 {
        let spans = (1..=100u8).map(|id| {
            let mut span = span(1, 1, "large", u64::from(id));
            span.span_id = vec![batch + 1, id, 1, 1, 1, 1, 1, 1];
            span.attributes = vec![attribute("text", &"x".repeat(10_000))];
            span
        });
        let spans = vec![from("a", spans.collect())];
        let request =
            opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest { resource_spans: spans };
        exporter.export(request).await.unwrap();
    }
    // The client takes messages of at most 4 MiB, as every gRPC client does by default; the trace has 8 MB.
    let request = GetTraceRequest { trace_id: trace_id(1), ..Default::default() };
    let stream = client(&console).await.get_trace(request).await.unwrap().into_inner();
    assert_eq!(names(stream).await.len(), 800);
}

#[tokio::test]
async fn every_field_of_a_search_selects() {
    let console = Console::start(&[]).await;
    let mut create = span(1, 1, "create", 10);
    create.attributes = vec![attribute("k8s.pod.name", "web")];
    let mut delete = span(2, 1, "delete", 20);
    delete.end_time_unix_nano += 9_000_000_000;
    console.export(vec![from("a", vec![create]), from("b", vec![delete])]).await;
    let mut client = client(&console).await;

    let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
    let attributes = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let table: Vec<(TraceQueryParameters, &[&str])> = vec![
        (all(), &["delete", "create"]),
        (TraceQueryParameters { service_name: "a".into(), ..all() }, &["create"]),
        (TraceQueryParameters { operation_name: "delete".into(), ..all() }, &["delete"]),
        (TraceQueryParameters { attributes: attributes("k8s.pod.name", "web"), ..all() }, &["create"]),
        (TraceQueryParameters { attributes: attributes("k8s.pod.name", "db"), ..all() }, &[]),
        (TraceQueryParameters { start_time_min: at(20), ..all() }, &["delete"]),
        (TraceQueryParameters { start_time_max: at(20), ..all() }, &["create"]),
        (TraceQueryParameters { duration_min: seconds(2), ..all() }, &["delete"]),
        (TraceQueryParameters { duration_max: seconds(2), ..all() }, &["create"]),
        (TraceQueryParameters { duration_max: seconds(0), ..all() }, &["delete", "create"]),
        (TraceQueryParameters { search_depth: 1, ..all() }, &["delete"]),
        (TraceQueryParameters { raw_traces: true, ..all() }, &["delete", "create"]),
    ];
    for (query, expected) in table {
        let stream = client.find_traces(FindTracesRequest { query: Some(query.clone()) }).await.unwrap().into_inner();
        assert_eq!(names(stream).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_wrong_search_is_an_invalid_argument() {
    let console = Console::start(&[]).await;
    let mut client = client(&console).await;
    let table = [
        (None, "query is required"),
        (Some(TraceQueryParameters { start_time_min: None, ..all() }), "start_time_min"),
        (Some(TraceQueryParameters { start_time_max: None, ..all() }), "start_time_max"),
        (Some(TraceQueryParameters { start_time_max: at(0), ..all() }), "before"),
        (Some(TraceQueryParameters { filter: Some(Call::default()), ..all() }), "filter"),
        (Some(TraceQueryParameters { attributes: [("error".into(), "?".into())].into(), ..all() }), "error"),
        (
            Some(TraceQueryParameters { duration_min: Some(Duration { seconds: -1, nanos: 0 }), ..all() }),
            "duration_min",
        ),
    ];
    for (query, words) in table {
        let refusal = client.find_traces(FindTracesRequest { query }).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(words), "{}", refusal.message());
    }
}

#[tokio::test]
async fn services_operations_dependencies_and_summaries_are_listed() {
    let console = Console::start(&[]).await;
    let mut child = span(1, 2, "serve", 2);
    child.parent_span_id = vec![1; 8];
    console.export(vec![from("a", vec![span(1, 1, "call", 1)]), from("b", vec![child])]).await;
    let mut client = client(&console).await;

    let services = client.get_services(GetServicesRequest {}).await.unwrap().into_inner();
    assert_eq!(services.services, ["a", "b"]);
    let request = GetOperationsRequest { service: "a".into(), ..Default::default() };
    let operations = client.get_operations(request).await.unwrap().into_inner();
    assert_eq!(operations.operations, [Operation { name: "call".into(), span_kind: "internal".into() }]);
    let request = GetDependenciesRequest { start_time: at(0), end_time: at(100) };
    let dependencies = client.get_dependencies(request).await.unwrap().into_inner();
    assert_eq!(dependencies.dependencies, [Dependency { parent: "a".into(), child: "b".into(), call_count: 1 }]);
    let request = FindTraceSummariesRequest { query: Some(all()) };
    let mut summaries = client.find_trace_summaries(request).await.unwrap().into_inner();
    let summary = &summaries.message().await.unwrap().unwrap().summaries[0];
    assert_eq!((summary.span_count, summary.root_operation_name.as_str()), (2, "call"));

    let refusal = client.get_operations(GetOperationsRequest::default()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    let refusal = client.get_dependencies(GetDependenciesRequest::default()).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
}
