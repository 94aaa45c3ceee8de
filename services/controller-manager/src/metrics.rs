//! What the controller-manager shows of itself, under the names that Kubernetes' dashboards know.
//! <https://kubernetes.io/docs/reference/instrumentation/metrics/>

use controller::WorkQueue;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use service_kit::Metrics;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Handles on the values. Clones share them.
#[derive(Clone, Default)]
pub struct ManagerMetrics {
    queues: Arc<Mutex<Vec<Queue>>>,
    leads: Arc<AtomicBool>,
}

/// A controller's name, and how many keys wait for it.
type Queue = (&'static str, Box<dyn Fn() -> usize + Send + Sync>);

impl fmt::Debug for ManagerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerMetrics").field("leads", &self.leads).finish_non_exhaustive()
    }
}

impl ManagerMetrics {
    /// Registers the gauges. `lease` is what the replicas agree on one by.
    pub fn register(metrics: &Metrics, lease: &'static str) -> Self {
        let this = Self::default();
        let (queues, leads) = (Arc::clone(&this.queues), Arc::clone(&this.leads));
        let depths = move || queues.lock().iter().map(|(name, depth)| (*name, depth())).collect();
        metrics.register("workqueue_depth", "Keys that wait for a run, by controller", Gauges(Arc::new(depths)));
        let leads = move || vec![(lease, usize::from(leads.load(Ordering::Relaxed)))];
        let help = "Whether this replica leads (1) or waits (0)";
        metrics.register("leader_election_master_status", help, Gauges(Arc::new(leads)));
        this
    }

    /// Shows the depth of a controller's queue.
    pub fn observe<T: Clone + Eq + Hash + Ord + Send + Sync + 'static>(
        &self,
        name: &'static str,
        queue: &WorkQueue<T>,
    ) {
        let queue = queue.clone();
        self.queues.lock().push((name, Box::new(move || queue.len())));
    }

    /// Says whether this replica leads.
    pub fn set_leading(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }
}

/// Gauges with the label `name`, read when they are scraped.
#[derive(Clone)]
struct Gauges(Arc<dyn Fn() -> Vec<(&'static str, usize)> + Send + Sync>);

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl EncodeMetric for Gauges {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (name, value) in (self.0)() {
            encoder.encode_family(&[("name", name)])?.encode_gauge(&(value as u64))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::Shutdown;
    use telemetry::Causes;

    #[test]
    fn queues_and_leadership_can_be_scraped() {
        let metrics = Metrics::new("controller-manager");
        let ours = ManagerMetrics::register(&metrics, "kube-controller-manager");
        let queue = WorkQueue::new(&Shutdown::new());
        ours.observe("deployment", &queue);
        queue.add_all("web", Causes::none());
        ours.set_leading(true);
        let text = metrics.encode().unwrap();
        assert!(text.contains("workqueue_depth{name=\"deployment\"} 1"), "{text}");
        assert!(text.contains("leader_election_master_status{name=\"kube-controller-manager\"} 1"), "{text}");
    }
}
