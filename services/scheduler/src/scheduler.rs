//! The loop: take a pod, find it a node, bind it beside the next one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use service_kit::{Shutdown, Supervisor};
use telemetry::span::TraceMode;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::cache::{Cache, Snapshot};
use crate::feasible::Search;
use crate::framework::Framework;
use crate::metrics::SchedulerMetrics;
use crate::queue::{Next, SchedulingQueue};
use crate::report::Report;

/// How often assumptions are looked through for those whose time is over.
const EXPIRY_PERIOD: Duration = Duration::from_secs(30);

/// Finds nodes for the pods of the queue. Only the leading replica runs it.
pub struct Scheduler {
    /// The policy.
    pub framework: Arc<Framework>,
    /// What is believed of nodes.
    pub cache: Arc<Mutex<Cache>>,
    /// Who waits.
    pub queue: Arc<SchedulingQueue>,
    /// Whom to tell.
    pub report: Arc<dyn Report>,
    /// What to count.
    pub metrics: SchedulerMetrics,
    /// Where binding cycles run.
    pub supervisor: Supervisor,
    /// What can be chosen.
    pub settings: Settings,
}

/// What can be chosen about the algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How attempts relate to the causes of their pods.
    pub mode: TraceMode,
    /// How many pods may be bound at once; while so many are, no further one is taken. At least 1.
    pub bind_concurrency: usize,
    /// How many percent of the nodes are enough; 0: depends on how many there are.
    pub percentage_of_nodes_to_score: usize,
    /// Makes the choice among equal nodes repeatable.
    pub seed: Option<u64>,
}

/// What the algorithm keeps from pod to pod. One task owns it, so finding nodes needs no lock.
pub(crate) struct Algorithm {
    pub(crate) snapshot: Snapshot,
    pub(crate) search: Search,
    pub(crate) rng: StdRng,
}

impl Algorithm {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            snapshot: Snapshot::new(),
            search: Search::new(settings.percentage_of_nodes_to_score),
            rng: settings.seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64),
        }
    }
}

impl Scheduler {
    /// Schedules until shutdown. Bindings that are under way then go on; the supervisor waits for them.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut algorithm = Algorithm::new(&self.settings);
        let slots = Arc::new(Semaphore::new(self.settings.bind_concurrency.max(1)));
        let scheduling = async {
            loop {
                // A slot first, a pod then: the pod that is most urgent when there is a slot gets it.
                let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
                match self.queue.next().await {
                    Next::Schedule(pod) => self.schedule_one(&mut algorithm, pod, slot),
                    Next::Gated(pod, rejection) => self.report_gated(pod, &rejection, slot),
                }
            }
        };
        let expiring = async {
            loop {
                sleep(EXPIRY_PERIOD).await;
                self.expire_assumptions();
            }
        };
        tokio::select! {
            () = shutdown.triggered() => {}
            () = scheduling => {}
            () = expiring => {}
        }
    }

    /// Takes back assumptions that the watch never confirmed. It does not happen while watches work, so it is said aloud.
    fn expire_assumptions(&self) {
        for pod in self.cache.lock().expire(Instant::now()) {
            warn!(%pod, "the pod was bound and never seen on its node; its place is given away");
        }
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("settings", &self.settings).finish_non_exhaustive()
    }
}
