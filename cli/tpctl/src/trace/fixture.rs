//! Spans for tests.

use super::journey::Journey;
use super::otlp;
use super::span::{Kind, Span};
use std::collections::BTreeMap;

/// A span with nothing but its place.
pub(crate) fn span(trace: &str, id: &str, parent: &str, service: &str, name: &str, start: i64, duration: i64) -> Span {
    Span {
        trace_id: trace.into(),
        span_id: id.into(),
        parent_id: parent.into(),
        name: name.into(),
        kind: Kind::Internal,
        service: service.into(),
        instance: String::new(),
        start,
        end: start + duration,
        attributes: BTreeMap::new(),
        events: Vec::new(),
        links: Vec::new(),
        error: None,
    }
}

/// A Deployment of three pods, applied: the answer of a console, cut down to what is looked at.
pub(crate) fn apply() -> Journey {
    let spans = otlp::spans(include_bytes!("fixture/apply.json")).expect("the fixture is OTLP");
    Journey::all(spans).remove(0)
}
