//! The wiring: two watches, a cache, a queue, a policy and a loop that runs while we lead.

use std::net::SocketAddr;
use std::sync::Arc;

use api::coordination::v1::Lease;
use api::core::v1::{Event, Node, Pod};
use client::{Api, Client, ConnectError, Kubeconfig, KubeconfigError};
use controller::{Informer, Recorder, elect};
use parking_lot::Mutex;
use service_kit::listener::BindError;
use service_kit::ops::Ops;
use service_kit::supervisor::{SupervisorError, TaskError};
use service_kit::tls::TlsError;
use service_kit::{Health, Metrics, OnFailure, STOP_WITHIN, Shutdown, Supervisor};
use tracing::info;

use crate::cache::Cache;
use crate::config::{Config, ConfigError, DEFAULT_PORT};
use crate::events::Events;
use crate::framework::{Framework, WaitingPods};
use crate::metrics::{self, SchedulerMetrics};
use crate::plugins::{self, DefaultBinder};
use crate::queue::SchedulingQueue;
use crate::report::ApiReport;
use crate::scheduler::Scheduler;

/// Pods that have ended hold nothing and need nothing: to the scheduler they are gone.
const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Why the scheduler does not start. Each message says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Flags contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The apiserver's address cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The serving certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port cannot be taken.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// A scheduler that runs.
#[derive(Debug)]
pub struct Handle {
    /// Where health and metrics are served; with port 0 asked for, the port that the system chose.
    pub address: SocketAddr,
    tasks: Supervisor,
}

impl Handle {
    /// Returns when shutdown was triggered and all tasks have ended.
    ///
    /// # Errors
    /// A task failed that the scheduler cannot do without: it lost its lease, for one.
    pub async fn stopped(self) -> Result<(), SupervisorError> {
        self.tasks.wait(STOP_WITHIN).await
    }
}

/// Schedules from start to shutdown: the whole life of the process.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), TaskError> {
    let scheduler = serve(&config, &shutdown).await?;
    info!(address = %scheduler.address, "serving health and metrics");
    Ok(scheduler.stopped().await?)
}

/// Starts a scheduler. It needs no apiserver to start: it tries until there is one.
///
/// # Errors
/// A flag, a file or a port cannot be used; nothing runs then.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> Result<Handle, StartError> {
    let (timing, election) = (config.timing()?, config.election()?);
    let client = Client::new(&Kubeconfig::read(&config.kubeconfig)?.session(None)?)?;
    let (health, metrics) = (Health::new(), Metrics::new("scheduler"));
    let tls = config.tls.open_server_config()?;
    let ops = Ops::bind(config.ops.address(DEFAULT_PORT), tls, &health, &metrics).await?;
    let address = ops.local_addr();
    let tasks = Supervisor::new(shutdown);
    tasks.spawn("health and metrics", OnFailure::StopService, ops.serve(shutdown.clone()));

    let pods = Api::<Pod>::all(client.clone());
    let waiting = Arc::new(WaitingPods::default());
    let binder = DefaultBinder::new(pods.clone(), shutdown.clone());
    let framework = Arc::new(Framework::new(plugins::defaults(binder), Arc::clone(&waiting)));
    let cache = Arc::new(Mutex::new(Cache::new()));
    let queue = Arc::new(SchedulingQueue::new(Arc::clone(&framework), timing));
    metrics::observe(&metrics, &queue, &cache);

    let events = Events {
        scheduler_name: Arc::from(config.scheduler_name.as_str()),
        cache: Arc::clone(&cache),
        queue: Arc::clone(&queue),
        waiting,
        mode: config.trace_mode,
    };
    let of_nodes = events.clone();
    let node_informer = Informer::of(Api::<Node>::all(client.clone()))
        .on_change(move |change, cause| of_nodes.node(change, cause))
        .start(&tasks, shutdown);
    let pod_informer = Informer::of(pods.clone())
        .fields(UNFINISHED)
        .on_change(move |change, cause| events.pod(change, cause))
        .start(&tasks, shutdown);

    let recorder = Recorder::start(Api::<Event>::all(client.clone()), &config.scheduler_name, "", &tasks, shutdown);
    let scheduler = Arc::new(Scheduler {
        framework,
        cache,
        queue,
        report: Arc::new(ApiReport::new(pods, recorder)),
        metrics: SchedulerMetrics::register(&metrics, &config.scheduler_name),
        supervisor: tasks.clone(),
        settings: config.settings(),
    });

    let caches_filled = health.gate("informer-sync");
    health.not_ready_after(shutdown);
    let shutdown = shutdown.clone();
    tasks.spawn("scheduling", OnFailure::StopService, async move {
        // A decision on half of the nodes would be a wrong one. A standby waits with full caches.
        if !(node_informer.synced().await && pod_informer.synced().await) {
            return Ok(());
        }
        caches_filled.open();
        info!("caches are filled");
        match election {
            Some((namespace, election)) => {
                let leases = Api::<Lease>::namespaced(client, &namespace);
                elect(leases, election, shutdown, |leading| scheduler.run(leading)).await
            }
            None => {
                scheduler.run(shutdown).await;
                Ok(())
            }
        }
    });
    Ok(Handle { address, tasks })
}
