//! A journey as JSON, for programs: flat spans with plain values, times in nanoseconds from the start.

use super::journey::Journey;
use super::span::Span;
use serde_json::{Value, json};

/// The whole journey, every span once, by start.
pub(crate) fn json(journey: &Journey) -> Value {
    let begin = journey.start();
    let spans: Vec<Value> = journey.spans().iter().map(|span| of_span(span, begin)).collect();
    json!({
        "traceId": journey.trace_id(),
        "name": journey.title(),
        "startUnixNano": begin,
        "durationNano": journey.end() - begin,
        "complete": journey.is_whole(),
        "services": journey.services(),
        "spans": spans,
    })
}

fn of_span(span: &Span, begin: i64) -> Value {
    let event = |event: &super::span::SpanEvent| json!({ "name": event.name, "atNano": event.time - begin, "attributes": event.attributes });
    let link = |link: &super::span::Link| json!({ "traceId": link.trace_id, "spanId": link.span_id });
    let mut document = json!({
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "service": span.service,
        "instance": span.instance,
        "name": span.name,
        "kind": span.kind.name(),
        "startNano": span.start - begin,
        "durationNano": span.duration(),
        "attributes": span.attributes,
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
    });
    if let Some(step) = span.step() {
        document["step"] = json!(step);
    }
    if let Some(error) = &span.error {
        document["error"] = json!(error);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture;

    #[test]
    fn every_span_is_there_with_its_step() {
        let journey = fixture::apply();
        let document = json(&journey);
        assert_eq!(document["complete"], true);
        let spans = document["spans"].as_array().unwrap();
        assert_eq!(spans.len(), journey.spans().len());
        assert_eq!((&spans[0]["startNano"], &spans[0]["name"]), (&json!(0), &json!("tpctl apply")));
        assert!(spans.iter().any(|span| span["step"] == "pod.create.2e"));
    }
}
