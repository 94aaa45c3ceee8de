//! The W3C trace context: which span, of which trace, caused something.
//!
//! Invariant: a [`TraceContext`] is either none or fully valid; what arrives malformed is treated as absent, as the
//! W3C recommendation asks, so nobody downstream checks again. It does not decide sampling and creates no spans.

use std::fmt;
use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

/// Header and metadata key of the parent span (W3C Trace Context, section 3.2).
pub const TRACEPARENT: &str = "traceparent";
/// Header and metadata key of the vendors' additions (W3C Trace Context, section 3.3).
pub const TRACESTATE: &str = "tracestate";

/// The annotation that carries a `traceparent` with an object (KEP-5915): written on creates and changes of intent, honoured
/// when no cause came with the event.
pub const TRACEPARENT_ANNOTATION: &str = "tracing.k8s.io/traceparent";

/// Length of a version 00 `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_LEN: usize = 55;
/// W3C asks for at least 512 characters to be carried. It is also our bound, because a context is stored with every revision.
const TRACESTATE_MAX: usize = 512;
/// Flags with a meaning (sampled, and random of level 2); the others must be sent as zero.
const KNOWN_FLAGS: u8 = 0b11;

/// A W3C trace context (`traceparent` and `tracestate`), or none, which is the default.
///
/// It is what crosses every boundary: headers, the storage envelope, watch events and the annotation of KEP-5915. A
/// clone copies a few words and allocates nothing.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    /// Absent when empty, which it nearly always is.
    tracestate: Option<Arc<str>>,
}

impl TraceContext {
    /// No context: what a request or a revision without a trace carries.
    pub const NONE: Self = Self { trace_id: 0, span_id: 0, flags: 0, tracestate: None };

    /// Reads the two header values. Anything but a valid `traceparent` gives [`TraceContext::NONE`]; an invalid or
    /// overlong `tracestate` is dropped and the parent kept.
    pub fn parse(traceparent: &str, tracestate: &str) -> Self {
        let Some(mut context) = parse_traceparent(traceparent.trim()) else {
            return Self::NONE;
        };
        let tracestate = tracestate.trim();
        if !tracestate.is_empty()
            && tracestate.len() <= TRACESTATE_MAX
            && tracestate.is_ascii()
            && tracestate.parse::<TraceState>().is_ok()
        {
            context.tracestate = Some(Arc::from(tracestate));
        }
        context
    }

    /// The context of the span that is current in this thread or task; none outside of any span.
    ///
    /// Reads one thread-local; it is correct in async code as long as the span was entered by `Instrument`.
    pub fn current() -> Self {
        opentelemetry::Context::map_current(Self::from_otel)
    }

    /// The context of a span that need not be entered; none when the span is disabled.
    pub fn of(span: &tracing::Span) -> Self {
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        Self::from_otel(&span.context())
    }

    /// The context of the span that an OpenTelemetry context carries.
    pub fn from_otel(context: &opentelemetry::Context) -> Self {
        if context.has_active_span() { Self::from(context.span().span_context()) } else { Self::NONE }
    }

    /// An OpenTelemetry context whose active span is this one, as a remote parent; empty for none.
    pub fn to_otel(&self) -> opentelemetry::Context {
        let context = opentelemetry::Context::new();
        if self.is_valid() { context.with_remote_span_context(self.span_context()) } else { context }
    }

    /// The same as OpenTelemetry's own type, marked remote.
    pub fn span_context(&self) -> SpanContext {
        let state = self.tracestate.as_deref().and_then(|state| state.parse().ok()).unwrap_or_default();
        SpanContext::new(
            TraceId::from(self.trace_id),
            SpanId::from(self.span_id),
            TraceFlags::new(self.flags),
            true,
            state,
        )
    }

    /// Reads `traceparent` and `tracestate` from HTTP headers (or gRPC metadata, which are HTTP headers).
    pub fn from_headers(headers: &http::HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        // Two parents are no parent: one of them would be chosen by chance.
        let (Some(parent), None) = (parents.next(), parents.next()) else {
            return Self::NONE;
        };
        let mut states = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok());
        let state = match (states.next(), states.next()) {
            (None, _) => String::new(),
            (Some(only), None) => only.to_owned(),
            // A list header may be split; its order is its meaning.
            (Some(first), Some(second)) => [first, second].into_iter().chain(states).collect::<Vec<_>>().join(","),
        };
        parent.to_str().map_or(Self::NONE, |parent| Self::parse(parent, &state))
    }

    /// Writes both headers, replacing what stood there; none removes them.
    pub fn inject(&self, headers: &mut http::HeaderMap) {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        if !self.is_valid() {
            return;
        }
        let value = http::HeaderValue::from_str(&self.traceparent()).expect("a traceparent is ASCII");
        headers.insert(TRACEPARENT, value);
        if let Some(Ok(value)) = self.tracestate.as_deref().map(http::HeaderValue::from_str) {
            headers.insert(TRACESTATE, value);
        }
    }

    /// The `traceparent` value, `""` for none.
    pub fn traceparent(&self) -> String {
        if self.is_valid() { self.to_string() } else { String::new() }
    }

    /// The `tracestate` value, `""` when there is none.
    pub fn tracestate(&self) -> &str {
        self.tracestate.as_deref().unwrap_or_default()
    }

    /// Whether there is a context at all.
    pub fn is_valid(&self) -> bool {
        self.trace_id != 0 && self.span_id != 0
    }

    /// Whether the trace is recorded: only then do spans of it reach an exporter.
    pub fn is_sampled(&self) -> bool {
        self.is_valid() && self.flags & TraceFlags::SAMPLED.to_u8() != 0
    }

    /// The trace's id as 32 hexadecimal digits, the form that users copy; `""` for none.
    pub fn trace_id(&self) -> String {
        if self.is_valid() { format!("{:032x}", self.trace_id) } else { String::new() }
    }

    /// The span's id as 16 hexadecimal digits; `""` for none.
    pub fn span_id(&self) -> String {
        if self.is_valid() { format!("{:016x}", self.span_id) } else { String::new() }
    }
}

impl From<&SpanContext> for TraceContext {
    fn from(context: &SpanContext) -> Self {
        if !context.is_valid() {
            return Self::NONE;
        }
        let state = context.trace_state().header();
        Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8() & KNOWN_FLAGS,
            tracestate: (!state.is_empty()).then(|| Arc::from(state)),
        }
    }
}

/// Prints the `traceparent`; the zero ids of none are printed as they are.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_valid() { write!(f, "TraceContext({self})") } else { f.write_str("TraceContext(none)") }
    }
}

/// Accepts version 00 exactly and, as the recommendation asks, the known prefix of later versions.
fn parse_traceparent(value: &str) -> Option<TraceContext> {
    let bytes = value.as_bytes();
    if bytes.len() < TRACEPARENT_LEN || !value.is_ascii() {
        return None;
    }
    if bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
        return None;
    }
    let version = hex(&value[..2])?;
    match version {
        0xff => return None,
        0 if bytes.len() > TRACEPARENT_LEN => return None,
        _ if bytes.len() > TRACEPARENT_LEN && bytes[TRACEPARENT_LEN] != b'-' => return None,
        _ => {}
    }
    let context = TraceContext {
        trace_id: hex(&value[3..35])?,
        span_id: u64::try_from(hex(&value[36..52])?).ok()?,
        flags: u8::try_from(hex(&value[53..55])?).ok()? & KNOWN_FLAGS,
        tracestate: None,
    };
    context.is_valid().then_some(context)
}

/// Lower-case hexadecimal only: `from_str_radix` alone would let upper case and a sign through.
fn hex(digits: &str) -> Option<u128> {
    digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        .then(|| u128::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_context_survives_every_form_unchanged() {
        let context = TraceContext::parse(PARENT, "vendor=a,other=b");
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.tracestate(), "vendor=a,other=b");
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
        assert_eq!(TraceContext::from(&context.span_context()), context);
        assert_eq!(TraceContext::from_otel(&context.to_otel()), context);
        let mut headers = http::HeaderMap::new();
        context.inject(&mut headers);
        assert_eq!(TraceContext::from_headers(&headers), context);
    }

    #[test]
    fn what_the_recommendation_forbids_is_no_context() {
        let cases = [
            "",
            "garbage",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01extra",
        ];
        for case in cases {
            assert_eq!(TraceContext::parse(case, ""), TraceContext::NONE, "{case:?}");
        }
    }

    #[test]
    fn a_later_version_is_read_by_its_known_prefix_and_sent_on_as_version_0() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what-comes";
        assert_eq!(TraceContext::parse(later, "").traceparent(), PARENT.replace("-01", "-03"));
    }

    #[test]
    fn a_bad_tracestate_costs_only_itself() {
        for state in ["no-equals-sign", &format!("k={}", "v".repeat(600)), "k=ä"] {
            let context = TraceContext::parse(PARENT, state);
            assert!(context.is_valid() && context.tracestate().is_empty(), "{state:?}");
        }
    }

    #[test]
    fn the_sampled_flag_decides() {
        assert!(TraceContext::parse(PARENT, "").is_sampled());
        assert!(!TraceContext::parse(&PARENT.replace("-01", "-00"), "").is_sampled());
        assert!(!TraceContext::NONE.is_sampled() && !TraceContext::NONE.is_valid());
        assert_eq!(TraceContext::NONE.traceparent(), "");
    }

    #[test]
    fn headers_with_two_parents_have_none_and_a_split_state_is_joined_in_order() {
        let mut headers = http::HeaderMap::new();
        let value = http::HeaderValue::from_static(PARENT);
        headers.append(TRACEPARENT, value.clone());
        headers.append(TRACESTATE, http::HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, http::HeaderValue::from_static("b=2"));
        assert_eq!(TraceContext::from_headers(&headers).tracestate(), "a=1,b=2");
        headers.append(TRACEPARENT, value);
        assert_eq!(TraceContext::from_headers(&headers), TraceContext::NONE);
    }

    #[test]
    fn injecting_none_removes_a_stale_parent() {
        let mut headers = http::HeaderMap::new();
        TraceContext::parse(PARENT, "a=1").inject(&mut headers);
        TraceContext::NONE.inject(&mut headers);
        assert!(headers.is_empty());
    }
}
