//! Start-up and shutdown: logs to stderr, traces to an OTLP collector, both as the standard variables say.
//!
//! Without a collector no span is ever created: log lines are the only subscriber and they take no spans. With one, spans go
//! through a bounded queue of our own ([`queue`]); everything else is OpenTelemetry's SDK.

mod env;
mod log;
mod queue;
mod tracer;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::span::SkipIdle;

use env::Environment;
pub use log::LogFormat;
pub use queue::ExportStats;
use queue::QueueProcessor;
pub(crate) use tracer::tracer;

/// What a process says about itself; everything else comes from the `OTEL_*` variables.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `service.name`: apiserver, scheduler, kubelet ... `OTEL_SERVICE_NAME` wins over it.
    pub service: String,
    /// `service.instance.id`, such as a node's name; a random UUID if absent. `OTEL_RESOURCE_ATTRIBUTES` wins over it.
    pub instance: Option<String>,
    /// `service.version`.
    pub version: &'static str,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of `RUST_LOG`, which is asked if this is absent; `info` if both are. It has no
    /// influence on traces.
    pub log_filter: Option<String>,
    /// The collector, `http://host:4317`. Wins over `OTEL_EXPORTER_OTLP_ENDPOINT`; without either nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// How long the end of the process may wait for the last spans to be sent.
    pub flush_timeout: Duration,
}

impl TelemetryConfig {
    /// The configuration of a service that leaves the rest to the environment.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            instance: None,
            version: env!("CARGO_PKG_VERSION"),
            log_format: LogFormat::default(),
            log_filter: None,
            otlp_endpoint: None,
            flush_timeout: Duration::from_secs(2),
        }
    }
}

/// Why telemetry cannot start. Each message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A variable or the log filter has a value that cannot be used.
    #[error("{name} is {value:?}: {problem}")]
    Setting {
        /// The variable or setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The exporter refuses its configuration.
    #[error("traces cannot be exported: {0}; check OTEL_EXPORTER_OTLP_ENDPOINT, or unset it to run without traces")]
    Exporter(String),
    /// The export thread could not be started.
    #[error("the export thread does not start")]
    Thread(#[from] std::io::Error),
    /// The process has a subscriber already.
    #[error("logs and traces were set up twice in one process")]
    AlreadyInstalled,
}

/// Sets up logs and traces for the process. Keep the guard until the end of `main`.
///
/// Needs no async runtime: the export has a thread and a runtime of its own, so that neither a busy nor a paused runtime
/// delays it.
///
/// # Errors
/// A setting that cannot be used, or a second call in one process.
pub fn init(config: TelemetryConfig) -> Result<Guard, InitError> {
    let environment = Environment::read(|name| std::env::var(name).ok())?;
    let lines = log::layer(config.log_format, log_filter(&config)?);
    let provider = match environment.endpoint(config.otlp_endpoint.as_deref()) {
        Some(endpoint) => Some(export_to(endpoint, &environment, &config)?),
        None => None,
    };
    let traces = provider.as_ref().map(|provider| export_layer(provider).boxed());
    tracing_subscriber::registry().with(traces).with(lines).try_init().map_err(|_| InitError::AlreadyInstalled)?;
    Ok(Guard { provider, flush_timeout: config.flush_timeout })
}

/// The layer that turns our spans into OpenTelemetry's. It takes spans of our own target only, so that neither the
/// libraries' spans nor the export's own calls ever become part of a trace; and events from INFO on, as span events.
pub(crate) fn export_layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let tracer = provider.tracer("traceplane");
    tracing_opentelemetry::layer()
        .with_tracer(tracer.clone())
        // Source lines and threads are for developers of the code, a journey is for its users.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // A span fails when its seam says so; an error that was handled is an event.
        .with_error_events_to_status(false)
        .and_then(tracer::TracerLayer::new(tracer))
        .with_filter(tracing_subscriber::filter::filter_fn(|meta| {
            if meta.is_span() {
                meta.target() == crate::span::TARGET
            } else {
                *meta.level() <= tracing::Level::INFO && !meta.target().starts_with("opentelemetry")
            }
        }))
}

fn export_to(
    endpoint: String,
    environment: &Environment,
    config: &TelemetryConfig,
) -> Result<SdkTracerProvider, InitError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exporter = {
        // The channel spawns its connection task on the runtime it is built in.
        let _entered = runtime.enter();
        opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            // The queue keeps the newest work flowing; insisting on an old batch would fill it up.
            .with_retry_policy(opentelemetry_otlp::RetryPolicy::disabled())
            .build()
            .map_err(|error| InitError::Exporter(error.to_string()))?
    };
    let queue = QueueProcessor::start(exporter, environment.batch, runtime)?;
    queue::publish(&queue);
    Ok(provider(queue, environment.resource(config)))
}

/// A provider that samples as `OTEL_TRACES_SAMPLER` says (the SDK reads it) and skips idle roots.
pub(crate) fn provider(
    processor: impl SpanProcessor + 'static,
    resource: opentelemetry_sdk::Resource,
) -> SdkTracerProvider {
    SdkTracerProvider::builder().with_span_processor(SkipIdle::new(processor)).with_resource(resource).build()
}

fn log_filter(config: &TelemetryConfig) -> Result<EnvFilter, InitError> {
    let directives = config
        .log_filter
        .clone()
        .or_else(|| std::env::var(EnvFilter::DEFAULT_ENV).ok())
        .filter(|directives| !directives.is_empty())
        // The SDK reports each failed batch; the queue reports each change.
        .unwrap_or_else(|| "info,opentelemetry=off,opentelemetry_sdk=off,opentelemetry-otlp=off".to_owned());
    EnvFilter::try_new(&directives).map_err(|error| InitError::Setting {
        name: "the log filter",
        value: directives,
        problem: format!("{error}; write it like info,scheduler=debug"),
    })
}

/// Spans that were lost because the export queue was full: for the metrics endpoint.
pub fn dropped_spans() -> u64 {
    export_stats().dropped
}

/// What became of the spans of this process so far; all zero when nothing is exported.
pub fn export_stats() -> ExportStats {
    queue::published()
}

/// Sends what is left when the process ends. Dropping it is enough.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export of traces"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
    flush_timeout: Duration,
}

impl Guard {
    /// Whether traces are exported at all.
    pub fn is_exporting(&self) -> bool {
        self.provider.is_some()
    }

    /// Sends everything that is queued now and waits for it, at most the flush timeout. Blocks the calling thread.
    ///
    /// Answers whether it was all taken in time.
    pub fn flush(&self) -> bool {
        self.provider.as_ref().is_none_or(|provider| provider.force_flush().is_ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // A collector that is away must not hold up the end of the process; the queue has logged it.
            let _ = provider.shutdown_with_timeout(self.flush_timeout);
        }
    }
}
