//! Metrics of a component, in the OpenMetrics text format at `/metrics`.
//!
//! A [`Metrics`] is a cheap handle on the component's registry. Metrics are registered once, where the part that counts is
//! built, and kept by that part: counting never touches the registry. Names follow Prometheus' rules (base units, a unit as
//! suffix; `_total` is added to counters by the encoder).
//!
//! There is no global registry: what is not registered here is not served.

mod process;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client;

/// A family of histograms of durations, made by [`Metrics::durations`].
pub type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// The registry of one component. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// A registry with what every process has: `traceplane_build_info`, the standard `process_*` metrics, and
    /// what became of its spans (`traceplane_spans_*`).
    pub fn new(component: &str) -> Self {
        let mut registry = Registry::default();
        let labels = [("component", component.to_owned()), ("version", env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("traceplane_build", "What this process is", Info::new(labels.to_vec()));
        registry.register_collector(Box::new(process::Process));
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers any metric and returns it, to be counted with. A name may be registered once.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// Adds metrics that are read at each scrape: numbers that somebody keeps anyway.
    pub fn collect(&self, collector: impl Collector) {
        self.registry.lock().register_collector(Box::new(collector));
    }

    /// A counter per set of labels. `name` goes without `_total`, which is added when served.
    pub fn counters<L: Labels>(&self, name: &str, help: &str) -> Family<L, Counter> {
        self.register(name, help, Family::default())
    }

    /// A gauge per set of labels.
    pub fn gauges<L: Labels>(&self, name: &str, help: &str) -> Family<L, Gauge> {
        self.register(name, help, Family::default())
    }

    /// A histogram of durations in seconds per set of labels, with buckets from 0.5 ms to 16 s; `name` ends in `_seconds`.
    pub fn durations<L: Labels>(&self, name: &str, help: &str) -> Durations<L> {
        self.register(name, help, Family::new_with_constructor(duration_histogram as fn() -> Histogram))
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry.lock())?;
        Ok(body)
    }

    /// The route `/metrics`.
    pub fn router(&self) -> Router {
        let metrics = self.clone();
        Router::new().route(
            "/metrics",
            get(async move || match metrics.encode() {
                Ok(body) => {
                    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                    ([(CONTENT_TYPE, content_type)], body).into_response()
                }
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be written as text\n").into_response(),
            }),
        )
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A set of labels: a struct that derives `EncodeLabelSet`, `Clone`, `Debug`, `Eq` and `Hash`, or `()` for none.
pub trait Labels: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static> Labels for L {}

fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Queue {
        queue: &'static str,
    }

    #[test]
    fn every_component_serves_the_standard_metrics() {
        let text = Metrics::new("scheduler").encode().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("traceplane_build_info{{component=\"scheduler\",version=\"{version}\"}} 1\n");
        assert!(text.contains(&build), "{text}");
        for name in [
            "process_start_time_seconds",
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "traceplane_spans_dropped_total",
        ] {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            let value: f64 = line.unwrap_or_else(|| panic!("{name}")).rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value >= 0.0, "{line:?}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn families_are_counted_by_label() {
        let metrics = Metrics::new("test");
        let adds = metrics.counters("workqueue_adds", "Keys added");
        let depth = metrics.gauges("workqueue_depth", "Keys waiting");
        let wait = metrics.durations("workqueue_wait_seconds", "Time from add to start");
        let pods = Queue { queue: "pods" };
        adds.get_or_create(&pods).inc();
        depth.get_or_create(&pods).set(3);
        wait.get_or_create(&pods).observe(0.7);
        let text = metrics.encode().unwrap();
        for line in [
            "workqueue_adds_total{queue=\"pods\"} 1",
            "workqueue_depth{queue=\"pods\"} 3",
            "workqueue_wait_seconds_bucket{le=\"0.512\",queue=\"pods\"} 0",
            "workqueue_wait_seconds_bucket{le=\"1.024\",queue=\"pods\"} 1",
            "workqueue_wait_seconds_bucket{le=\"16.384\",queue=\"pods\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
