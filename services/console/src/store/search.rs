//! What it means that a trace matches a query. Pure: a query and a trace in, a verdict out.
//!
//! All predicates must hold for one and the same span (Jaeger's rule), and a trace matches when one of its spans does.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

use super::{bounds::Bounds, chunk::Chunk, origin::Origin, sketch::Term, text::text, trace::Trace};

/// A question for traces. Empty texts and `None` ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceQuery {
    /// `service.name` of the span's resource.
    pub service: String,
    /// Name of the span.
    pub operation: String,
    /// What else the span, its origin, its events or its links say.
    pub attributes: Vec<AttributeMatch>,
    /// The span starts in this range: from (inclusive) ...
    pub start_min: u64,
    /// ... to (exclusive), in nanoseconds since 1970.
    pub start_max: u64,
    /// The span lasts at least so many nanoseconds.
    pub duration_min: Option<u64>,
    /// The span lasts at most so many nanoseconds.
    pub duration_max: Option<u64>,
    /// At most so many traces.
    pub limit: usize,
}

/// One entry of a query's attributes. Some keys are fields of a span rather than attributes, as everywhere in Jaeger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeMatch {
    /// An attribute of the span, its scope, its resource, one of its events or one of its links, with the text of its value.
    Anywhere(String, String),
    /// `resource.<key>`: an attribute of the resource only.
    Resource(String, String),
    /// `error`: whether the status is ERROR.
    Error(bool),
    /// `span.kind`.
    Kind(SpanKind),
    /// `span.status`.
    Status(StatusCode),
    /// `scope.name`.
    ScopeName(String),
    /// `scope.version`.
    ScopeVersion(String),
}

impl AttributeMatch {
    /// Reads an entry of a query; the error says what values the key takes.
    pub fn parse(key: &str, value: &str) -> Result<AttributeMatch, String> {
        let value_of = |takes: &str| format!("attribute {key} takes {takes}, not {value:?}");
        Ok(match key {
            "error" => AttributeMatch::Error(value.parse().map_err(|_| value_of("true or false"))?),
            "span.kind" => AttributeMatch::Kind(
                kind_named(value).ok_or_else(|| value_of("server, client, producer, consumer or internal"))?,
            ),
            "span.status" => AttributeMatch::Status(match value.to_ascii_lowercase().as_str() {
                "ok" => StatusCode::Ok,
                "error" => StatusCode::Error,
                "unset" => StatusCode::Unset,
                _ => return Err(value_of("ok, error or unset")),
            }),
            "scope.name" => AttributeMatch::ScopeName(value.to_owned()),
            "scope.version" => AttributeMatch::ScopeVersion(value.to_owned()),
            _ => match key.strip_prefix("resource.") {
                Some(key) => AttributeMatch::Resource(key.to_owned(), value.to_owned()),
                None => AttributeMatch::Anywhere(key.to_owned(), value.to_owned()),
            },
        })
    }

    fn matches(&self, origin: &Origin, span: &Span) -> bool {
        let status = span.status.as_ref().map_or(0, |status| status.code);
        match self {
            AttributeMatch::Anywhere(key, value) => {
                let events = span.events.iter().map(|event| &event.attributes[..]);
                let links = span.links.iter().map(|link| &link.attributes[..]);
                let mut places = [&span.attributes[..], origin.scope_attributes(), origin.resource_attributes()]
                    .into_iter()
                    .chain(events)
                    .chain(links);
                places.any(|attributes| has_attribute(attributes, key, value))
            }
            AttributeMatch::Resource(key, value) => has_attribute(origin.resource_attributes(), key, value),
            AttributeMatch::Error(error) => (status == StatusCode::Error as i32) == *error,
            AttributeMatch::Kind(kind) => span.kind == *kind as i32,
            AttributeMatch::Status(code) => status == *code as i32,
            AttributeMatch::ScopeName(name) => origin.scope().is_some_and(|scope| scope.name == *name),
            AttributeMatch::ScopeVersion(version) => origin.scope().is_some_and(|scope| scope.version == *version),
        }
    }

    /// The term that every match has in its chunk's sketch, where there is one.
    fn term(&self) -> Option<Term<'_>> {
        match self {
            AttributeMatch::Anywhere(key, value) | AttributeMatch::Resource(key, value) => {
                Some(Term::Attribute(key, value))
            }
            AttributeMatch::Error(true) => Some(Term::Status(StatusCode::Error as i32)),
            AttributeMatch::Kind(kind) => Some(Term::Kind(*kind as i32)),
            AttributeMatch::Status(code) => Some(Term::Status(*code as i32)),
            AttributeMatch::Error(false) | AttributeMatch::ScopeName(_) | AttributeMatch::ScopeVersion(_) => None,
        }
    }
}

impl TraceQuery {
    /// The query that every span in the time range satisfies, for 100 traces (Jaeger's default).
    pub fn any(start_min: u64, start_max: u64) -> TraceQuery {
        TraceQuery {
            service: String::new(),
            operation: String::new(),
            attributes: Vec::new(),
            start_min,
            start_max,
            duration_min: None,
            duration_max: None,
            limit: 100,
        }
    }

    /// Whether a span of this trace may lie in the time range, by the trace's bounds alone.
    pub(crate) fn may_match(&self, trace: &Trace) -> bool {
        self.overlaps(trace.bounds())
    }

    /// Whether a span of this trace matches.
    pub(crate) fn matches(&self, trace: &Trace) -> bool {
        let terms = self.terms();
        trace.chunks().iter().any(|chunk| self.matches_chunk(&terms, chunk))
    }

    fn matches_chunk(&self, terms: &[Term<'_>], chunk: &Chunk) -> bool {
        self.overlaps(chunk.bounds())
            && (self.service.is_empty() || self.service == chunk.origin().service())
            && terms.iter().all(|term| chunk.may_contain(term))
            && chunk.spans().any(|span| self.matches_span(chunk.origin(), &span))
    }

    fn matches_span(&self, origin: &Origin, span: &Span) -> bool {
        let start = span.start_time_unix_nano;
        let duration = span.end_time_unix_nano.saturating_sub(start);
        (self.start_min..self.start_max).contains(&start)
            && (self.operation.is_empty() || self.operation == span.name)
            && self.duration_min.is_none_or(|least| duration >= least)
            && self.duration_max.is_none_or(|most| duration <= most)
            && self.attributes.iter().all(|attribute| attribute.matches(origin, span))
    }

    fn overlaps(&self, bounds: Bounds) -> bool {
        bounds.start < self.start_max && bounds.last_start >= self.start_min
    }

    fn terms(&self) -> Vec<Term<'_>> {
        let operation = (!self.operation.is_empty()).then_some(Term::Name(&self.operation));
        operation.into_iter().chain(self.attributes.iter().filter_map(AttributeMatch::term)).collect()
    }
}

/// The word for a span kind in Jaeger's API; empty when unspecified.
pub fn kind_name(kind: i32) -> &'static str {
    match SpanKind::try_from(kind) {
        Ok(SpanKind::Internal) => "internal",
        Ok(SpanKind::Server) => "server",
        Ok(SpanKind::Client) => "client",
        Ok(SpanKind::Producer) => "producer",
        Ok(SpanKind::Consumer) => "consumer",
        Ok(SpanKind::Unspecified) | Err(_) => "",
    }
}

/// The span kind of a word, in any case.
pub fn kind_named(word: &str) -> Option<SpanKind> {
    use SpanKind::{Client, Consumer, Internal, Producer, Server};
    [Internal, Server, Client, Producer, Consumer]
        .into_iter()
        .find(|kind| kind_name(*kind as i32).eq_ignore_ascii_case(word))
}

/// Whether `value` is the text of the attribute `key` in these attributes.
fn has_attribute(attributes: &[KeyValue], key: &str, value: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.key == key && attribute.value.as_ref().map(text).unwrap_or_default() == value)
}
