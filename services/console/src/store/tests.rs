//! The store as a table of batches and questions.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};

use super::{Added, AttributeMatch, Batch, Limits, Trace, TraceId, TraceQuery, TraceStore};

const ROOMY: Limits = Limits { traces: 1000, spans: 100_000, bytes: 64 << 20 };

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..Default::default() }
}

fn number(key: &str, value: i64) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::IntValue(value)) }), ..Default::default() }
}

/// A span of one second that starts at second `start` of 1970.
fn span(trace: u8, id: u8, name: &str, start: u64) -> Span {
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

fn from(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Resource {
        attributes: vec![attribute("service.name", service), attribute("host.name", "one")],
        ..Default::default()
    };
    let scope = InstrumentationScope { name: format!("{service}-tracer"), version: "1.2".into(), ..Default::default() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..Default::default() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..Default::default() }
}

fn id(trace: u8) -> TraceId {
    TraceId::from_bytes(&[trace; 16]).unwrap()
}

fn all() -> TraceQuery {
    TraceQuery::any(0, u64::MAX)
}

fn found(store: &TraceStore, query: &TraceQuery) -> Vec<TraceId> {
    store.find(query).iter().map(|trace| trace.id()).collect()
}

fn names(trace: Arc<Trace>) -> Vec<String> {
    let spans = trace
        .parts()
        .flat_map(|part| part.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans);
    spans.map(|span| span.name).collect()
}

#[test]
fn a_trace_is_given_back_as_it_came_and_grows() {
    let store = TraceStore::new(ROOMY);
    let mut first = span(1, 1, "create", 10);
    first.attributes = vec![attribute("k8s.pod.name", "web"), number("traceplane.revision", 42)];
    first.events = vec![Event { name: "bound".into(), time_unix_nano: 7, ..Default::default() }];
    first.links = vec![Link { trace_id: vec![9; 16], span_id: vec![9; 8], ..Default::default() }];
    first.status = Some(Status { code: StatusCode::Ok as i32, ..Default::default() });
    store.add(Batch::new(vec![from("apiserver", vec![first.clone()])]));

    let early = store.get(id(1)).unwrap();
    let parts: Vec<_> = early.clone().parts().collect();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].resource_spans, vec![from("apiserver", vec![first])]);

    store.add(Batch::new(vec![
        from("kubelet", vec![span(1, 2, "sync", 11)]),
        from("apiserver", vec![span(1, 3, "patch", 12)]),
    ]));
    assert_eq!(names(store.get(id(1)).unwrap()), ["create", "patch", "sync"], "spans of one origin stand together");
    assert_eq!(names(early), ["create"], "a reader keeps what it got");
    assert_eq!(store.get(id(2)).map(names), None);
}

#[test]
fn a_span_that_was_sent_twice_is_given_once() {
    let store = TraceStore::new(ROOMY);
    for _ in 0..2 {
        store.add(Batch::new(vec![from("apiserver", vec![span(1, 1, "create", 10)])]));
    }
    let mut other_side = span(1, 1, "create", 10);
    other_side.kind = SpanKind::Server as i32;
    store.add(Batch::new(vec![from("apiserver", vec![other_side])]));
    assert_eq!(names(store.get(id(1)).unwrap()), ["create", "create"]);
}

#[test]
fn spans_without_valid_ids_are_counted_and_the_others_kept() {
    let mut no_trace = span(1, 1, "a", 1);
    no_trace.trace_id = vec![];
    let mut zero_trace = span(1, 1, "b", 1);
    zero_trace.trace_id = vec![0; 16];
    let mut short_id = span(1, 1, "c", 1);
    short_id.span_id = vec![1; 4];
    let batch = Batch::new(vec![from("x", vec![no_trace, zero_trace, short_id, span(1, 2, "good", 1)])]);
    assert_eq!(batch.malformed(), 3);

    let store = TraceStore::new(ROOMY);
    assert_eq!(store.add(batch).accepted, 1);
    assert_eq!(names(store.get(id(1)).unwrap()), ["good"]);
}

#[test]
fn a_large_batch_of_one_trace_is_cut_into_parts_below_the_limit_of_grpc_clients() {
    let store = TraceStore::new(ROOMY);
    let spans = (0..2000u64).map(|number| {
        let mut span = span(1, 1, &format!("span {number}"), number);
        span.span_id = (number + 1).to_be_bytes().to_vec();
        span.attributes = vec![attribute("text", &"x".repeat(2000))];
        span
    });
    store.add(Batch::new(vec![from("x", spans.collect())]));

    let trace = store.get(id(1)).unwrap();
    let sizes: Vec<_> = trace.clone().parts().map(|part| prost::Message::encoded_len(&part)).collect();
    assert!(sizes.len() > 1 && sizes.iter().all(|size| *size < 2 << 20), "{sizes:?}");
    assert_eq!(names(trace), (0..2000).map(|number| format!("span {number}")).collect::<Vec<_>>());
}

#[test]
fn every_predicate_of_a_query_selects() {
    let store = TraceStore::new(ROOMY);
    let mut create = span(1, 1, "create pod", 10);
    create.kind = SpanKind::Server as i32;
    create.attributes =
        vec![attribute("k8s.pod.name", "web"), attribute("k8s.pod.uid", "u-1"), number("traceplane.revision", 42)];
    create.events = vec![Event { attributes: vec![attribute("reason", "Scheduled")], ..Default::default() }];
    create.links = vec![Link { attributes: vec![attribute("cause", "older")], ..Default::default() }];
    let mut failed = span(2, 1, "delete pod", 20);
    failed.attributes = vec![attribute("k8s.pod.name", "db")];
    failed.end_time_unix_nano = failed.start_time_unix_nano + 5_000_000_000;
    failed.status = Some(Status { code: StatusCode::Error as i32, ..Default::default() });
    store.add(Batch::new(vec![from("apiserver", vec![create]), from("kubelet", vec![failed])]));

    let second = 1_000_000_000;
    let with = |change: &dyn Fn(&mut TraceQuery)| {
        let mut query = all();
        change(&mut query);
        query
    };
    let attribute =
        |key: &str, value: &str| with(&|query| query.attributes = vec![AttributeMatch::parse(key, value).unwrap()]);
    let table: Vec<(&str, TraceQuery, &[u8])> = vec![
        ("everything, newest first", all(), &[2, 1]),
        ("limit", with(&|query| query.limit = 1), &[2]),
        ("service", with(&|query| query.service = "apiserver".into()), &[1]),
        ("unknown service", with(&|query| query.service = "api".into()), &[]),
        ("operation", with(&|query| query.operation = "delete pod".into()), &[2]),
        ("start, inclusive", with(&|query| query.start_min = 20 * second), &[2]),
        ("after the last start", with(&|query| query.start_min = 20 * second + 1), &[]),
        ("end, exclusive", with(&|query| query.start_max = 20 * second), &[1]),
        ("at least", with(&|query| query.duration_min = Some(5 * second)), &[2]),
        ("at most", with(&|query| query.duration_max = Some(second)), &[1]),
        ("string attribute", attribute("k8s.pod.name", "web"), &[1]),
        ("uid", attribute("k8s.pod.uid", "u-1"), &[1]),
        ("number", attribute("traceplane.revision", "42"), &[1]),
        ("value of another key", attribute("k8s.pod.uid", "web"), &[]),
        ("attribute of the resource", attribute("service.name", "kubelet"), &[2]),
        ("resource only", attribute("resource.host.name", "one"), &[2, 1]),
        ("not in the resource", attribute("resource.k8s.pod.name", "web"), &[]),
        ("attribute of an event", attribute("reason", "Scheduled"), &[1]),
        ("attribute of a link", attribute("cause", "older"), &[1]),
        ("error", attribute("error", "true"), &[2]),
        ("no error", attribute("error", "false"), &[1]),
        ("kind", attribute("span.kind", "SERVER"), &[1]),
        ("status", attribute("span.status", "error"), &[2]),
        ("unset status", attribute("span.status", "unset"), &[1]),
        ("scope name", attribute("scope.name", "kubelet-tracer"), &[2]),
        ("scope version", attribute("scope.version", "1.3"), &[]),
    ];
    for (case, query, expected) in table {
        assert_eq!(found(&store, &query), expected.iter().copied().map(id).collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn all_predicates_must_hold_for_one_span() {
    let store = TraceStore::new(ROOMY);
    let mut other = span(1, 2, "bind", 30);
    other.attributes = vec![attribute("k8s.pod.name", "web")];
    store.add(Batch::new(vec![from("scheduler", vec![span(1, 1, "filter", 10), other])]));

    let mut query = all();
    query.attributes = vec![AttributeMatch::Anywhere("k8s.pod.name".into(), "web".into())];
    query.operation = "bind".into();
    assert_eq!(found(&store, &query), [id(1)]);
    query.operation = "filter".into();
    assert_eq!(found(&store, &query), []);
}

#[test]
fn a_special_key_with_a_wrong_value_is_refused() {
    for (key, value) in [("error", "maybe"), ("span.kind", "left"), ("span.status", "fine")] {
        let message = AttributeMatch::parse(key, value).unwrap_err();
        assert!(message.contains(key) && message.contains(value), "{message}");
    }
}

#[test]
fn services_and_operations_are_those_of_the_held_spans() {
    let store = TraceStore::new(Limits { traces: 1, ..ROOMY });
    store.add(Batch::new(vec![from(
        "scheduler",
        vec![span(1, 1, "bind", 1), span(1, 2, "filter", 1), span(1, 3, "bind", 2)],
    )]));
    assert_eq!(store.services(), ["scheduler"]);
    assert_eq!(store.operations("scheduler"), [("bind".to_owned(), 1), ("filter".to_owned(), 1)]);
    assert_eq!(store.operations(""), []);

    store.add(Batch::new(vec![from("kubelet", vec![span(2, 1, "sync", 1)])]));
    assert_eq!(store.services(), ["kubelet"], "the scheduler's only trace was evicted");
    assert_eq!(store.operations("scheduler"), []);
}

#[test]
fn the_quietest_trace_leaves_first() {
    let store = TraceStore::new(Limits { traces: 2, ..ROOMY });
    store.add(Batch::new(vec![from("x", vec![span(1, 1, "a", 1), span(2, 1, "b", 2)])]));
    store.add(Batch::new(vec![from("x", vec![span(1, 2, "a still grows", 3)])]));
    let added = store.add(Batch::new(vec![from("x", vec![span(3, 1, "c", 4)])]));
    assert_eq!(added, Added { accepted: 1, evicted_traces: 1, evicted_spans: 1, over_limit: 0 });

    assert!(store.get(id(2)).is_none());
    assert_eq!(store.get(id(1)).unwrap().span_count(), 2);
    assert_eq!((store.usage().traces, store.usage().spans), (2, 3));
}

#[test]
fn spans_and_bytes_are_bounded_and_counted_exactly() {
    let by_spans = TraceStore::new(Limits { spans: 10, ..ROOMY });
    let by_bytes = TraceStore::new(Limits { bytes: 20_000, ..ROOMY });
    let mut gone = 0;
    for round in 1..=200u8 {
        for store in [&by_spans, &by_bytes] {
            let spans = (1..=3).map(|number| span(round, number, "x", 1)).collect();
            let added = store.add(Batch::new(vec![from("x", spans)]));
            assert_eq!(added.accepted, 3);
            assert!(store.get(id(round)).is_some(), "the newest trace is held");
            gone += added.evicted_spans;
        }
        assert!(by_spans.usage().spans <= 10);
        assert!(by_bytes.usage().bytes <= 20_000);
    }
    assert_eq!(by_spans.usage().spans, 9);
    assert!(by_bytes.usage().traces > 5, "{:?}", by_bytes.usage());
    assert_eq!(by_spans.usage().spans + by_bytes.usage().spans + gone, 2 * 600);
}

#[test]
fn a_trace_that_would_fill_the_store_alone_loses_its_newest_spans_and_not_the_others() {
    let store = TraceStore::new(Limits { spans: 5, ..ROOMY });
    let spans = |from: u8| (from..from + 3).map(|number| span(1, number, "x", 1)).collect();
    assert_eq!(store.add(Batch::new(vec![from("x", spans(1))])).over_limit, 0);
    assert_eq!(store.add(Batch::new(vec![from("x", spans(4))])).over_limit, 3);
    assert_eq!(store.get(id(1)).unwrap().span_count(), 3);
}

#[test]
fn what_is_evicted_takes_all_its_bytes_along() {
    let store = TraceStore::new(Limits { traces: 1, ..ROOMY });
    let one = |trace: u8, service: &str| Batch::new(vec![from(service, vec![span(trace, 1, "x", 1)])]);
    store.add(one(1, "aa"));
    let alone = store.usage().bytes;
    let reader = store.get(id(1));
    for round in 2..50 {
        store.add(one(round, if round % 2 == 0 { "bb" } else { "cc" }));
    }
    assert_eq!(store.usage().bytes, alone);
    drop(reader);
}
