//! For tests, of this crate and of others: collects the spans of a test in memory and shows them as plain values.
//!
//! ```
//! # use traceplane_telemetry as telemetry;
//! use telemetry::{TraceContext, self_started_span, testing::Recorder};
//!
//! let recorder = Recorder::new();
//! let _current = recorder.install();
//! self_started_span("unit of work", &TraceContext::NONE).in_scope(|| tracing::info!("half done"));
//! assert_eq!(recorder.only("unit of work").parent, None);
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, Status, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use crate::span::SkipIdle;
use crate::{Step, TraceContext, attr};

/// Records every span that would be exported while it is installed.
#[derive(Clone, Debug)]
pub struct Recorder {
    spans: Collected,
    provider: SdkTracerProvider,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Records everything, except what an unsampled parent excludes.
    pub fn new() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    /// Records no root of its own, only what a sampled parent asks for.
    pub fn sampling_no_roots() -> Self {
        Self::sampling(Sampler::AlwaysOff)
    }

    fn sampling(roots: Sampler) -> Self {
        let spans = Collected::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(SkipIdle::new(spans.clone()))
            .with_resource(Resource::builder_empty().build())
            .with_sampler(Sampler::ParentBased(Box::new(roots)))
            .build();
        Self { spans, provider }
    }

    /// Makes it the subscriber of this thread until the guard is dropped: enough for synchronous tests and for
    /// `#[tokio::test]`, whose tasks run on the test's thread.
    pub fn install(&self) -> DefaultGuard {
        tracing::subscriber::set_default(self.subscriber())
    }

    /// A subscriber for `WithSubscriber` or for a whole process.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::registry().with(crate::setup::export_layer(&self.provider))
    }

    /// A tracer that records here, for spans that a test makes by hand.
    pub fn tracer(&self) -> opentelemetry_sdk::trace::SdkTracer {
        self.provider.tracer("test")
    }

    /// All spans that have ended, in the order of their ends.
    pub fn spans(&self) -> Vec<RecordedSpan> {
        self.spans.lock().iter().map(RecordedSpan::from).collect()
    }

    /// The spans of a name.
    pub fn named(&self, name: &str) -> Vec<RecordedSpan> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// The one span of a name.
    ///
    /// # Panics
    /// If there is none or more than one; the message shows what was recorded.
    pub fn only(&self, name: &str) -> RecordedSpan {
        let mut named = self.named(name);
        assert!(named.len() == 1, "{} spans are named {name:?} in:\n{self}", named.len());
        named.remove(0)
    }

    /// The one span that is `step`.
    ///
    /// # Panics
    /// If there is none or more than one.
    pub fn step(&self, step: Step) -> RecordedSpan {
        let mut steps: Vec<_> = self.spans().into_iter().filter(|span| span.step() == Some(step)).collect();
        assert!(steps.len() == 1, "{} spans are {step} in:\n{self}", steps.len());
        steps.remove(0)
    }

    /// Forgets what was recorded.
    pub fn clear(&self) {
        self.spans.lock().clear();
    }
}

/// One line per span, for failed assertions.
impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for span in self.spans() {
            writeln!(f, "  {span}")?;
        }
        Ok(())
    }
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedSpan {
    /// The exported name.
    pub name: String,
    /// Its own context: sampled, or it would not be here.
    pub context: TraceContext,
    /// The parent's span id in hexadecimal; `None` for a root.
    pub parent: Option<String>,
    /// `internal`, `server`, `client`, `consumer` or `producer`.
    pub kind: String,
    /// All attributes as text; of a repeated one the last.
    pub attributes: BTreeMap<String, String>,
    /// The contexts that it links to.
    pub links: Vec<TraceContext>,
    /// Names and attributes of its events.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// The description of its failure, if it failed.
    pub error: Option<String>,
    /// When it started.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
}

impl RecordedSpan {
    /// The value of an attribute.
    pub fn attr(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// Which step it is.
    pub fn step(&self) -> Option<Step> {
        self.attr(attr::STEP)?.parse().ok()
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }

    /// Whether `parent` is its parent.
    pub fn is_child_of(&self, parent: &TraceContext) -> bool {
        self.context.trace_id() == parent.trace_id() && self.parent.as_deref() == Some(&parent.span_id())
    }
}

impl fmt::Display for RecordedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, context, parent, attributes, .. } = self;
        write!(f, "{} {name} parent={} {attributes:?}", context, parent.as_deref().unwrap_or("none"))
    }
}

impl From<&SpanData> for RecordedSpan {
    fn from(span: &SpanData) -> Self {
        let error = match &span.status {
            Status::Error { description } => Some(description.to_string()),
            _ => None,
        };
        Self {
            name: span.name.to_string(),
            context: TraceContext::from(&span.span_context),
            parent: (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string()),
            kind: format!("{:?}", span.span_kind).to_lowercase(),
            attributes: texts(&span.attributes),
            links: span.links.iter().map(|link| TraceContext::from(&link.span_context)).collect(),
            events: span.events.iter().map(|it| (it.name.to_string(), texts(&it.attributes))).collect(),
            error,
            start: span.start_time,
            end: span.end_time,
        }
    }
}

fn texts(attributes: &[opentelemetry::KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
}

/// The processor's end: keeps what the SDK hands over.
#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl Collected {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SpanData>> {
        // A failed assertion elsewhere must not hide what was recorded.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for Collected {
    fn on_start(&self, _span: &mut Span, _cx: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        self.lock().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
