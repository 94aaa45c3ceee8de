//! OTLP's JSON, as Jaeger's query API answers it.
//!
//! Fields with their default are missing, 64-bit numbers are strings (some servers send numbers), one resource may appear several times.
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use super::span::{Kind, Link, Span, SpanEvent};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use telemetry::attr;

#[derive(Deserialize)]
struct Envelope {
    result: TracesData,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct TracesData {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceSpans {
    resource: Attributed,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributed {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ScopeSpans {
    spans: Vec<WireSpan>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireSpan {
    trace_id: String,
    span_id: String,
    parent_span_id: String,
    name: String,
    kind: Value,
    start_time_unix_nano: Value,
    end_time_unix_nano: Value,
    attributes: Vec<KeyValue>,
    events: Vec<WireEvent>,
    links: Vec<WireLink>,
    status: WireStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireEvent {
    time_unix_nano: Value,
    name: String,
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireLink {
    trace_id: String,
    span_id: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireStatus {
    code: Value,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue {
    key: String,
    value: Value,
}

/// The spans of an answer, in no order.
pub(super) fn spans(body: &[u8]) -> Result<Vec<Span>> {
    let mut found = Vec::new();
    // A server that streams sends one envelope after the other.
    for envelope in serde_json::Deserializer::from_slice(body).into_iter::<Envelope>() {
        let envelope = envelope.context("the answer is not OTLP in JSON")?;
        for resource in envelope.result.resource_spans {
            let origin = attributes(resource.resource.attributes);
            let own = |key: &str| origin.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (service, instance) = (own(attr::SERVICE_NAME), own(attr::SERVICE_INSTANCE_ID));
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            found.extend(spans.map(|span| converted(span, &service, &instance)));
        }
    }
    Ok(found)
}

fn converted(span: WireSpan, service: &str, instance: &str) -> Span {
    let attributes = attributes(span.attributes);
    let failed = span.status.code == 2 || span.status.code == "STATUS_CODE_ERROR";
    let reason = || attributes.get(attr::ERROR_TYPE).and_then(Value::as_str).unwrap_or("failed").to_owned();
    let is_root = span.parent_span_id.bytes().all(|digit| digit == b'0');
    let error = failed.then(|| if span.status.message.is_empty() { reason() } else { span.status.message.clone() });
    Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_id: if is_root { String::new() } else { span.parent_span_id },
        name: span.name,
        kind: Kind::from_number(span.kind.as_u64().unwrap_or_default()),
        service: service.to_owned(),
        instance: instance.to_owned(),
        start: integer(&span.start_time_unix_nano),
        end: integer(&span.end_time_unix_nano),
        error,
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().map(|link| Link { trace_id: link.trace_id, span_id: link.span_id }).collect(),
        attributes,
    }
}

fn event(event: WireEvent) -> SpanEvent {
    SpanEvent { name: event.name, time: integer(&event.time_unix_nano), attributes: attributes(event.attributes) }
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, Value> {
    list.into_iter().map(|pair| (pair.key, plain(pair.value))).collect()
}

/// `{"intValue":"7"}` is 7.
fn plain(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let Some((kind, value)) = members.into_iter().next() else { return Value::Null };
    let nested = |value: Value| match value {
        Value::Object(mut members) => match members.remove("values") {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    match kind.as_str() {
        "intValue" => Value::from(integer(&value)),
        "arrayValue" => nested(value).into_iter().map(plain).collect(),
        "kvlistValue" => {
            let pairs = nested(value).into_iter().filter_map(|pair| serde_json::from_value::<KeyValue>(pair).ok());
            Value::Object(pairs.map(|pair| (pair.key, plain(pair.value))).collect())
        }
        _ => value,
    }
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.parse().unwrap_or_default(),
        other => other.as_i64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_read_with_all_that_may_be_missing() {
        let body = json!({ "result": { "resourceSpans": [{
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "apiserver" } }] },
            "scopeSpans": [{ "scope": {}, "spans": [
                { "traceId": "aa", "spanId": "01", "name": "root", "startTimeUnixNano": "10", "endTimeUnixNano": "30", "status": {} },
                { "traceId": "aa", "spanId": "02", "parentSpanId": "01", "name": "etcd txn", "kind": 3,
                  "startTimeUnixNano": "12", "endTimeUnixNano": "20",
                  "attributes": [
                      { "key": "traceplane.revision", "value": { "intValue": "42" } },
                      { "key": "list", "value": { "arrayValue": { "values": [{ "boolValue": true }] } } },
                      { "key": "map", "value": { "kvlistValue": { "values": [{ "key": "a", "value": { "doubleValue": 0.5 } }] } } },
                      { "key": "none", "value": {} }],
                  "events": [{ "timeUnixNano": "13", "name": "retry" }],
                  "links": [{ "traceId": "bb", "spanId": "09" }],
                  "status": { "code": 2, "message": "Conflict: raced" } }] }] }] } })
        .to_string();
        // The same answer in two parts.
        let spans = spans(format!("{body}\n{body}").as_bytes()).unwrap();
        assert_eq!(spans.len(), 4);
        assert_eq!(
            (spans[0].parent_id.as_str(), spans[0].service.as_str(), spans[0].error.as_ref()),
            ("", "apiserver", None)
        );
        let txn = &spans[1];
        assert_eq!((txn.kind, txn.start, txn.duration()), (Kind::Client, 12, 8));
        assert_eq!(txn.attributes["traceplane.revision"], 42);
        assert_eq!(txn.attributes["list"], json!([true]));
        assert_eq!(txn.attributes["map"], json!({ "a": 0.5 }));
        assert_eq!(txn.events[0].name, "retry");
        assert_eq!(txn.links, [Link { trace_id: "bb".into(), span_id: "09".into() }]);
        assert_eq!(txn.error.as_deref(), Some("Conflict: raced"));
        assert!(super::spans(b"<html>").is_err());
    }
}
