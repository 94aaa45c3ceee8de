//! The query API as readers such as `tpctl trace` use it: JSON over HTTP.

use http::{Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value},
    trace::v1::{
        Status, TracesData,
        span::{Event, Link, SpanKind},
        status::StatusCode as SpanStatus,
    },
};
use serde_json::json;

use crate::harness::{Console, attribute, call, from, span, trace_id};

fn any(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

#[tokio::test]
async fn a_trace_is_the_otlp_json_that_jaeger_writes() {
    let console = Console::start(&[]).await;
    let mut full = span(0xa1, 0xb2, "create pod", 1);
    full.parent_span_id = vec![0xc3; 8];
    full.trace_state = "vendor=1".into();
    full.flags = 0x101;
    full.kind = SpanKind::Server as i32;
    full.attributes = vec![
        any("string", Value::StringValue("web".into())),
        any("bool", Value::BoolValue(false)),
        any("int", Value::IntValue(-9_007_199_254_740_993)),
        any("double", Value::DoubleValue(0.5)),
        any("nan", Value::DoubleValue(f64::NAN)),
        any("bytes", Value::BytesValue(vec![1, 2, 255])),
        any("list", Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(1)) }] })),
        any("map", Value::KvlistValue(KeyValueList { values: vec![attribute("k", "v")] })),
        KeyValue { key: "nothing".into(), ..Default::default() },
    ];
    full.events = vec![Event {
        time_unix_nano: 5,
        name: "bound".into(),
        attributes: vec![attribute("node", "n1")],
        ..Default::default()
    }];
    full.links = vec![Link { trace_id: vec![0xd4; 16], span_id: vec![0xe5; 8], ..Default::default() }];
    full.status = Some(Status { code: SpanStatus::Error as i32, message: "no".into() });
    console.export(vec![from("apiserver", vec![full])]).await;

    let request = Request::get(format!("/api/v3/traces/{}", trace_id(0xa1))).body(Full::default()).unwrap();
    let (status, body) = call(console.at.query_http, request).await;
    assert_eq!(status, StatusCode::OK);
    let expected = concat!(
        r#"{"result":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"apiserver"}}]},"#,
        r#""scopeSpans":[{"scope":{"name":"test"},"spans":[{"#,
        r#""traceId":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","spanId":"b2b2b2b2b2b2b2b2","traceState":"vendor=1","#,
        r#""parentSpanId":"c3c3c3c3c3c3c3c3","flags":257,"name":"create pod","kind":2,"#,
        r#""startTimeUnixNano":"1000000000","endTimeUnixNano":"2000000000","attributes":["#,
        r#"{"key":"string","value":{"stringValue":"web"}},{"key":"bool","value":{"boolValue":false}},"#,
        r#"{"key":"int","value":{"intValue":"-9007199254740993"}},{"key":"double","value":{"doubleValue":0.5}},"#,
        r#"{"key":"nan","value":{"doubleValue":"NaN"}},{"key":"bytes","value":{"bytesValue":"AQL/"}},"#,
        r#"{"key":"list","value":{"arrayValue":{"values":[{"intValue":"1"}]}}},"#,
        r#"{"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}},"#,
        r#"{"key":"nothing","value":{}}],"#,
        r#""events":[{"timeUnixNano":"5","name":"bound","attributes":[{"key":"node","value":{"stringValue":"n1"}}]}],"#,
        r#""links":[{"traceId":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4","spanId":"e5e5e5e5e5e5e5e5"}],"#,
        r#""status":{"message":"no","code":2}}]}]}]}}"#,
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
}

#[tokio::test]
async fn the_json_reads_back_as_otlp() {
    let console = Console::start(&[]).await;
    let sent = vec![from("apiserver", vec![span(1, 1, "a", 1), span(1, 2, "b", 2)])];
    console.export(sent.clone()).await;
    let (_, mut answer) = console.get(&format!("/api/v3/traces/{}", trace_id(1))).await;
    let read: TracesData = serde_json::from_value(answer["result"].take()).unwrap();
    let mut expected = sent;
    for span in &mut expected[0].scope_spans[0].spans {
        // An unset message and an empty one are the same JSON.
        span.status = Some(Status::default());
    }
    assert_eq!(read.resource_spans, expected);
}

#[tokio::test]
async fn every_parameter_of_a_search_selects() {
    let console = Console::start(&[]).await;
    let mut create = span(1, 1, "create pod", 10);
    create.attributes = vec![attribute("k8s.pod.name", "web"), attribute("k8s.pod.uid", "5e1d-77")];
    let mut delete = span(2, 1, "delete pod", 20);
    delete.attributes = vec![attribute("k8s.pod.name", "web"), attribute("k8s.pod.uid", "5e1d-78")];
    delete.end_time_unix_nano += 9_000_000_000;
    console.export(vec![from("apiserver", vec![create]), from("kubelet", vec![delete])]).await;

    let table: [(&str, &[u8]); 18] = [
        ("", &[2, 1]),
        ("query.serviceName=apiserver", &[1]),
        ("query.service_name=kubelet", &[2]),
        ("query.operationName=create%20pod", &[1]),
        ("query.operation_name=create+pod", &[1]),
        ("query.attributes=%7B%22k8s.pod.name%22%3A%22web%22%7D", &[2, 1]),
        ("query.attributes=%7B%22k8s.pod.uid%22%3A%225e1d-77%22%7D", &[1]),
        ("query.attributes=%7B%22k8s.pod.uid%22%3A%22gone%22%7D", &[]),
        ("query.attributes=%7B%22k8s.pod.uid%22%3A%225e1d-77%22%2C%22k8s.pod.name%22%3A%22db%22%7D", &[]),
        ("query.durationMin=2s", &[2]),
        ("query.durationMax=1500ms", &[1]),
        ("query.duration_min=1s&query.duration_max=1s", &[1]),
        ("query.searchDepth=1", &[2]),
        ("query.num_traces=1", &[2]),
        ("query.search_depth=5", &[2, 1]),
        ("query.rawTraces=true", &[2, 1]),
        ("query.serviceName=apiserver&query.operationName=delete%20pod", &[]),
        ("query.unknown=1", &[2, 1]),
    ];
    for (params, expected) in table {
        assert_eq!(console.find(params).await, expected.iter().copied().map(trace_id).collect::<Vec<_>>(), "{params}");
    }

    let range = "/api/v3/traces?query.start_time_min=1970-01-01T00:00:10Z&query.start_time_max=1970-01-01T00:00:20Z";
    let (_, answer) = console.get(range).await;
    let found: Vec<_> = crate::harness::spans(&answer).map(|span| span["name"].clone()).collect();
    assert_eq!(found, ["create pod"], "from inclusive, to exclusive");
}

#[tokio::test]
async fn a_trace_is_given_while_it_grows_and_the_quietest_leaves() {
    let console = Console::start(&["--max-traces", "2"]).await;
    console.export(vec![from("a", vec![span(1, 1, "one", 1)])]).await;
    console.export(vec![from("a", vec![span(2, 1, "two", 2)])]).await;
    let (_, answer) = console.get(&format!("/api/v3/traces/{}", trace_id(1))).await;
    assert_eq!(crate::harness::spans(&answer).count(), 1);

    console.export(vec![from("b", vec![span(1, 2, "one grows", 3)])]).await;
    let (_, answer) = console.get(&format!("/api/v3/traces/{}", trace_id(1))).await;
    assert_eq!(crate::harness::spans(&answer).count(), 2);

    console.export(vec![from("a", vec![span(3, 1, "three", 4)])]).await;
    assert_eq!(console.find("").await, [trace_id(3), trace_id(1)]);
    assert_eq!(console.get(&format!("/api/v3/traces/{}", trace_id(2))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn services_operations_and_summaries_are_listed() {
    let console = Console::start(&[]).await;
    assert_eq!(console.get("/api/v3/services").await, (StatusCode::OK, json!({"services": []})));

    let mut root = span(1, 1, "apply", 1);
    root.kind = SpanKind::Client as i32;
    let mut child = span(1, 2, "etcd txn", 2);
    child.parent_span_id = vec![1; 8];
    child.status = Some(Status { code: SpanStatus::Error as i32, ..Default::default() });
    child.kind = 0;
    let mut orphan = span(1, 3, "bind", 3);
    orphan.parent_span_id = vec![9; 8];
    console.export(vec![from("tpctl", vec![root]), from("apiserver", vec![child, orphan])]).await;

    assert_eq!(console.get("/api/v3/services").await.1, json!({"services": ["apiserver", "tpctl"]}));
    assert_eq!(
        console.get("/api/v3/operations?service=apiserver").await.1,
        json!({"operations": [{"name": "bind", "spanKind": "internal"}, {"name": "etcd txn", "spanKind": "internal"}]})
    );
    assert_eq!(
        console.get("/api/v3/operations?service=tpctl&span_kind=client").await.1,
        json!({"operations": [{"name": "apply", "spanKind": "client"}]})
    );
    assert_eq!(console.get("/api/v3/operations?service=tpctl&spanKind=server").await.1, json!({"operations": []}));
    assert_eq!(console.get("/api/v3/operations?service=none").await.1, json!({"operations": []}));

    let range = "query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=1971-01-01T00:00:00Z";
    assert_eq!(
        console.get(&format!("/api/v3/trace-summaries?{range}")).await.1,
        json!({"summaries": [{
            "traceId": trace_id(1), "rootServiceName": "tpctl", "rootOperationName": "apply",
            "minStartTimeUnixNano": "1000000000", "maxEndTimeUnixNano": "4000000000",
            "spanCount": 3, "errorSpanCount": 1, "orphanSpanCount": 1,
            "services": [{"name": "apiserver", "spanCount": 2, "errorSpanCount": 1}, {"name": "tpctl", "spanCount": 1}],
        }]})
    );
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_its_fault() {
    let console = Console::start(&[]).await;
    let range = "query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=1971-01-01T00:00:00Z";
    let none = trace_id(1);
    let table = [
        (format!("/api/v3/traces/{none}"), 404, "No traces found"),
        (format!("/api/v3/traces?{range}"), 404, "No traces found"),
        ("/api/v3/traces/xyz".into(), 400, "trace_id"),
        (format!("/api/v3/traces/{none}?startTime=now"), 400, "startTime"),
        ("/api/v3/traces".into(), 400, "query.startTimeMin and query.startTimeMax are required"),
        (format!("/api/v3/traces?{range}&query.durationMin=soon"), 400, "query.durationMin"),
        (format!("/api/v3/traces?{range}&query.attributes=web"), 400, "query.attributes"),
        (format!("/api/v3/trace-summaries?{range}&query.searchDepth=all"), 400, "query.searchDepth"),
        ("/api/v3/operations".into(), 400, "service is required"),
        ("/api/v3/operations?service=a&spanKind=odd".into(), 400, "spanKind"),
    ];
    for (path, expected, words) in table {
        let (status, answer) = console.get(&path).await;
        let error = &answer["error"];
        assert_eq!((status.as_u16(), &error["httpCode"]), (expected, &json!(expected)), "{path}");
        assert!(error["message"].as_str().unwrap().contains(words), "{path}: {answer}");
    }
}
