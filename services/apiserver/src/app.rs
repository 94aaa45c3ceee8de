//! The wiring: every part of the apiserver is made and connected here, and nowhere else.
//!
//! ```text
//! bind ─ serve health ─ etcd answers ─ caches filled ─ system objects made ─ serve the API ... shutdown
//!                       (warns, gives up                                      watches end, calls finish
//!                        after a bound)                                       then caches stop
//! ```
//!
//! The port is open from the beginning, so that health tells what the start waits for; calls get UNAVAILABLE until it is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_kit::health::Gate;
use service_kit::listener::BindError;
use service_kit::supervisor::SupervisorError;
use service_kit::{Backoff, Clock, Health, Listener, Metrics, OnFailure, Shutdown, Supervisor};
use store::{EtcdStore, MemoryStore, Store, Traced};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::admission;
use crate::auth::{Authenticator, CachedPods, Chain, NodeAuthorizer, SystemRules};
use crate::bootstrap::{self, bootstrap};
use crate::config::{ConfigError, Settings};
use crate::kubelet::Kubelets;
use crate::registry::{Admission, Registries, ServiceRange, Storage};
use crate::rpc::{Dispatch, Started, grpc_health, reflection};
use crate::server::{Front, RequestMetrics, StorageMetrics, http_routes, stack};

/// How long the stop may take: the listener drains for 5 s, and the caches stop at once.
const STOP: Duration = Duration::from_secs(6);
/// How often to try an etcd that does not answer, and how often to say so.
const TRY_ETCD: Duration = Duration::from_millis(500);
const SAY_SO: Duration = Duration::from_secs(5);

/// Why the apiserver did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store's settings cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A task failed that the apiserver cannot do without.
    #[error(transparent)]
    Task(#[from] SupervisorError),
}

/// etcd did not answer within the bound for the start.
#[derive(Debug, thiserror::Error)]
#[error(
    "etcd did not answer within {within:?}: {last}. Start it (for example `etcd --data-dir /tmp/traceplane-etcd`), \
     or name another one with --etcd-servers"
)]
struct NoEtcd {
    within: Duration,
    last: store::Error,
}

/// A running apiserver.
pub struct Handle {
    address: SocketAddr,
    health: Health,
    front: Supervisor,
    back: Supervisor,
    stop_back: Shutdown,
}

impl Handle {
    /// The address it serves on; with port 0 asked for, the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it serves the API now.
    pub async fn is_ready(&self) -> bool {
        self.health.is_ready().await
    }

    /// Waits for the signal to stop, or a failure, and then for the end: first of what clients see, then of what serves them.
    pub async fn stopped(self) -> Result<(), Error> {
        let front = self.front.wait(STOP).await;
        self.stop_back.trigger();
        let back = self.back.wait(Duration::from_secs(1)).await;
        // A failure behind is why the front was stopped.
        Ok(back.and(front)?)
    }
}

/// Starts the apiserver. Returns when the port is bound and the tasks run; whether it is ready, health tells.
pub async fn serve(settings: Settings, shutdown: Shutdown) -> Result<Handle, Error> {
    let store: Arc<dyn Store> = match &settings.storage {
        crate::config::Storage::Etcd(etcd) => Arc::new(Traced::new(EtcdStore::new(etcd)?)),
        crate::config::Storage::Memory => {
            warn!("objects are kept in memory and forgotten at exit (--storage-backend=memory)");
            Arc::new(Traced::new(MemoryStore::new()))
        }
    };
    let listener = Listener::bind(settings.address, "--secure-port").await?.with_tls(settings.tls);
    let address = listener.local_addr();

    let storage = Storage::new(Arc::clone(&store), &settings.registry);
    let admission: Arc<dyn Admission> = Arc::new(admission::Chain::new(&storage));
    let registries = Registries::new(&storage, &admission, &Clock::system());

    let metrics = Metrics::new("apiserver");
    metrics.collect(StorageMetrics(storage.clone()));
    let health = Health::new();
    health.not_ready_after(&shutdown);
    check_etcd(&health, &store);
    let started = health.gate("start");

    let services = Started::default();
    let (health_service, keep_health) = grpc_health(health.clone(), shutdown.clone());
    let front = Front {
        authenticator: Authenticator::new(settings.tokens),
        authorizer: Box::new(Chain::new(vec![
            Box::new(SystemRules),
            Box::new(NodeAuthorizer::new(Arc::new(CachedPods(storage.lookup())))),
        ])),
        limits: settings.limits,
        metrics: RequestMetrics::new(&metrics),
        services: services.clone(),
    };
    let router = stack(front, http_routes(&health, &metrics).merge(health_service).merge(reflection()));

    // The caches outlive the calls that they serve, so they stop by a signal of their own.
    let stop_back = Shutdown::new();
    let tasks = Supervisor::new(&shutdown);
    let back = Supervisor::new(&stop_back);
    tasks.spawn("listener", OnFailure::StopService, listener.serve(router, shutdown.clone()));
    tasks.spawn("grpc health", OnFailure::StopService, keep_health);
    tasks.spawn("failure of storage", OnFailure::StopService, {
        let (front, back) = (shutdown.clone(), stop_back.clone());
        async move {
            // Triggered only by a failed task before the front has ended.
            if front.run_until_triggered(back.triggered()).await.is_some() {
                front.trigger();
            }
        }
    });
    let start = Start {
        store,
        storage,
        registries,
        services,
        back: back.clone(),
        stop_back: stop_back.clone(),
        service_range: settings.registry.services,
        timeout: settings.startup_timeout,
        kubelets: settings.kubelets,
        started,
    };
    let stop = shutdown.clone();
    tasks.spawn("start", OnFailure::StopService, async move {
        // Boxed, because it makes an object of several kinds.
        stop.run_until_triggered(Box::pin(start.run(&stop))).await.unwrap_or(Ok(()))
    });
    Ok(Handle { address, health, front: tasks, back, stop_back })
}

fn check_etcd(health: &Health, store: &Arc<dyn Store>) {
    let store = Arc::clone(store);
    health.ready("etcd", move || {
        let store = Arc::clone(&store);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
}

/// What happens between the first listening and the first call that is served.
struct Start {
    store: Arc<dyn Store>,
    storage: Storage,
    registries: Registries,
    services: Started,
    back: Supervisor,
    stop_back: Shutdown,
    service_range: ServiceRange,
    timeout: Option<Duration>,
    kubelets: Kubelets,
    started: Gate,
}

impl Start {
    async fn run(self, stop: &Shutdown) -> Result<(), NoEtcd> {
        wait_for_etcd(&*self.store, self.timeout).await?;
        self.storage.spawn(&self.back, &self.stop_back);
        self.registries.spawn_housekeeping(&self.storage, &Clock::system(), &self.back, &self.stop_back);
        self.storage.ready().await;
        let mut backoff = Backoff::default();
        while let Err(error) = bootstrap(&self.registries, self.service_range).await {
            warn!(%error, "cannot make the system's objects yet");
            sleep(backoff.next_delay()).await;
        }
        let (keep, stop_back) = (bootstrap::keep(self.registries.clone(), self.service_range), self.stop_back.clone());
        self.back.spawn("system objects", OnFailure::StopService, async move {
            // Boxed, because it makes an object of several kinds.
            stop_back.run_until_triggered(Box::pin(keep)).await;
        });
        self.services.start(Dispatch::new(&self.registries, self.kubelets, stop));
        self.started.open();
        info!("ready");
        Ok(())
    }
}

/// Returns once the store answers. Says every few seconds what it waits for.
async fn wait_for_etcd(store: &dyn Store, bound: Option<Duration>) -> Result<(), NoEtcd> {
    let start = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let Err(error) = store.ping().await else { return Ok(()) };
        let waited = start.elapsed();
        if let Some(within) = bound.filter(|bound| waited >= *bound) {
            return Err(NoEtcd { within, last: error });
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_SO) {
            let giving_up_after = bound.map_or_else(|| "never".to_owned(), |bound| format!("{bound:?}"));
            warn!(%error, waited_seconds = waited.as_secs(), giving_up_after, "waiting for etcd");
            said = Some(Instant::now());
        }
        sleep(TRY_ETCD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_never_answers_ends_the_start_with_the_fix() {
        let store = MemoryStore::new();
        store.set_available(false);
        let start = Instant::now();
        let error = wait_for_etcd(&store, Some(Duration::from_secs(60))).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 60);
        let text = error.to_string();
        assert!(text.starts_with("etcd did not answer within 60s: ") && text.contains("--etcd-servers"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_the_start_waits_until_the_store_is_there() {
        let store = Arc::new(MemoryStore::new());
        store.set_available(false);
        let later = Arc::clone(&store);
        tokio::spawn(async move {
            sleep(Duration::from_secs(3600)).await;
            later.set_available(true);
        });
        assert!(wait_for_etcd(&*store, None).await.is_ok());
    }
}
