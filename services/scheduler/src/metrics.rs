//! What the scheduler counts, under the names that Kubernetes' dashboards know.
//! <https://kubernetes.io/docs/reference/instrumentation/metrics/>

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use service_kit::Metrics;
use service_kit::metrics::Durations;

use crate::cache::Cache;
use crate::queue::{QueuedPod, SchedulingQueue};

/// Counters of attempts. Clones share them.
#[derive(Clone)]
pub struct SchedulerMetrics {
    profile: Arc<str>,
    attempts: Family<Attempt, Counter>,
    durations: Durations<Attempt>,
    attempts_per_pod: Histogram,
    until_scheduled: Durations<Tries>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The pod is bound.
    Scheduled,
    /// No node is feasible.
    Unschedulable,
    /// Something went wrong.
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    profile: String,
    result: &'static str,
}

/// How many attempts a pod needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tries {
    attempts: String,
}

/// From so many attempts on they are no longer told apart.
const MANY_ATTEMPTS: u32 = 15;

impl Tries {
    fn of(attempts: u32) -> Self {
        let attempts = if attempts < MANY_ATTEMPTS { attempts.to_string() } else { format!("{MANY_ATTEMPTS}+") };
        Self { attempts }
    }
}

impl SchedulerMetrics {
    /// Registers the counters of the profile of this name.
    pub fn register(metrics: &Metrics, profile: &str) -> Self {
        Self {
            profile: Arc::from(profile),
            attempts: metrics.counters("scheduler_schedule_attempts", "Attempts to schedule a pod, by their result"),
            durations: metrics.durations(
                "scheduler_scheduling_attempt_duration_seconds",
                "How long an attempt took, from the queue to the end of its binding",
            ),
            attempts_per_pod: metrics.register(
                "scheduler_pod_scheduling_attempts",
                "Attempts that pods needed until they were scheduled",
                Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            ),
            until_scheduled: metrics.durations(
                "scheduler_pod_scheduling_sli_duration_seconds",
                "From a pod's coming into the queue to its binding, by the number of its attempts",
            ),
        }
    }

    /// Counts an attempt.
    pub fn attempt(&self, pod: &QueuedPod, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Scheduled => "scheduled",
            Outcome::Unschedulable => "unschedulable",
            Outcome::Error => "error",
        };
        let labels = Attempt { profile: self.profile.to_string(), result };
        self.attempts.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        if outcome == Outcome::Scheduled {
            self.attempts_per_pod.observe(pod.attempts.into());
            let until_scheduled = self.until_scheduled.get_or_create(&Tries::of(pod.attempts));
            until_scheduled.observe(pod.first_queued.elapsed().as_secs_f64());
        }
    }
}

impl fmt::Debug for SchedulerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerMetrics").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// Registers gauges that look at the queue and the cache when they are asked for.
pub fn observe(metrics: &Metrics, queue: &Arc<SchedulingQueue>, cache: &Arc<Mutex<Cache>>) {
    let queue = Arc::clone(queue);
    let pending = move || {
        let lengths = queue.lengths();
        vec![
            ("active", lengths.active),
            ("backoff", lengths.backoff),
            ("unschedulable", lengths.unschedulable),
            ("gated", lengths.gated),
        ]
    };
    let cache = Arc::clone(cache);
    let known = move || {
        let cache = cache.lock();
        let (pods, assumed) = cache.pod_counts();
        vec![("nodes", cache.node_count()), ("pods", pods), ("assumed_pods", assumed)]
    };
    let pending = Gauges { label: "queue", values: Arc::new(pending) };
    metrics.register("scheduler_pending_pods", "Pods that wait, by the queue that they wait in", pending);
    let known = Gauges { label: "type", values: Arc::new(known) };
    metrics.register("scheduler_scheduler_cache_size", "Nodes, pods and assumed pods in the cache", known);
}

/// Gauges with one label, read when they are scraped.
#[derive(Clone)]
struct Gauges {
    label: &'static str,
    values: Arc<Values>,
}

type Values = dyn Fn() -> Vec<(&'static str, usize)> + Send + Sync;

impl EncodeMetric for Gauges {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (value_of_label, value) in (self.values)() {
            encoder.encode_family(&[(self.label, value_of_label)])?.encode_gauge(&(value as u64))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").field("label", &self.label).finish_non_exhaustive()
    }
}
