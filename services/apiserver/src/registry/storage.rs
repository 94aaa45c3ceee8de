//! The caches of all kinds, the store behind them, and the tasks that keep both in step.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use api::{Error, KindInfo, Resource};
use parking_lot::Mutex;
use service_kit::{OnFailure, Shutdown, Supervisor};
use store::{Revision, Store};
use tokio::sync::watch;

use super::cluster_ips::ClusterIps;
use super::errors;
use super::registries::Strategies;
use super::service_range::ServiceRange;
use crate::cache::{Cache, CacheLimits, Cached, Feed, Freshness, Progress, Refresher, Selection, announce_readiness};

/// What can be set about storage and registries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many changes of each resource are kept for watches that resume.
    pub history: usize,
    /// Where Services get their cluster IPs from.
    pub services: ServiceRange,
    /// How often history is compacted; zero: never.
    pub compaction_interval: Duration,
    /// How long events are kept; zero: for ever.
    pub event_ttl: Duration,
}

impl Default for Settings {
    /// Kubernetes' defaults.
    fn default() -> Self {
        Self {
            history: CacheLimits::default().history,
            services: ServiceRange::default(),
            compaction_interval: Duration::from_secs(5 * 60),
            event_ttl: Duration::from_secs(60 * 60),
        }
    }
}

/// The caches of all kinds and the one watch that feeds them. Exists before admission, whose plugins look things up in it. Cheap to
/// clone.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    settings: Settings,
    cluster_ips: ClusterIps,
    strategies: Strategies,
    caches: Arc<[Cache]>,
    progress: Progress,
    freshness: Freshness,
    /// Taken by the task that it becomes.
    refresher: Mutex<Option<Refresher>>,
    ready: Arc<watch::Sender<bool>>,
}

impl Storage {
    /// Empty caches in front of `store`; [`spawn`](Self::spawn) fills them.
    pub fn new(store: Arc<dyn Store>, settings: &Settings) -> Self {
        let cluster_ips = ClusterIps::new(Arc::clone(&store), settings.services);
        let strategies = Strategies::new(&cluster_ips);
        let progress = Progress::new();
        let (freshness, refresher) = Freshness::new(progress.clone());
        let limits = CacheLimits { history: settings.history, ..CacheLimits::default() };
        let layouts = strategies.layouts(store.root()).into_iter();
        let caches = layouts.map(|layout| Cache::new(layout, limits, progress.clone())).collect();
        let shared = Shared {
            store,
            settings: settings.clone(),
            cluster_ips,
            strategies,
            caches,
            progress,
            freshness,
            refresher: Mutex::new(Some(refresher)),
            ready: Arc::new(watch::Sender::new(false)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the tasks that fill the caches and keep them in step. They end with `shutdown`, and all watches with them. Only the first
    /// call does anything.
    pub fn spawn(&self, supervisor: &Supervisor, shutdown: &Shutdown) {
        let Some(refresher) = self.shared.refresher.lock().take() else {
            return;
        };
        let Shared { store, caches, progress, freshness, ready, .. } = &*self.shared;
        let (store, caches, progress) = (Arc::clone(store), Arc::clone(caches), progress.clone());
        let feed = Feed { store: Arc::clone(&store), caches, progress };
        supervisor.spawn("watch cache feed", OnFailure::StopService, feed.run(shutdown.clone()));
        let (until, readiness) = (shutdown.clone(), announce_readiness(freshness.clone(), Arc::clone(ready)));
        supervisor.spawn("watch cache readiness", OnFailure::StopService, async move {
            until.run_until_triggered(readiness).await;
        });
        let until = shutdown.clone();
        supervisor.spawn("consistent reads", OnFailure::StopService, async move {
            until.run_until_triggered(refresher.run(store)).await;
        });
    }

    /// True once every cache shows a state that is not older than the start.
    pub fn is_ready(&self) -> bool {
        *self.shared.ready.borrow()
    }

    /// Returns once [`is_ready`](Self::is_ready).
    pub async fn ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// The store behind the caches.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Read access to the objects of a kind, for admission plugins and housekeeping.
    pub fn lookup<K: Resource>(&self) -> Lookup<K> {
        Lookup { cache: self.cache(K::INFO), store: Arc::clone(&self.shared.store), kind: PhantomData }
    }

    /// The caches of all kinds, for metrics.
    pub fn caches(&self) -> &[Cache] {
        &self.shared.caches
    }

    pub(super) fn cache(&self, kind: &KindInfo) -> Cache {
        let found = self.shared.caches.iter().find(|cache| cache.layout().kind.same_kind(kind));
        found.expect("every kind is registered; a test holds the table to it").clone()
    }

    /// Who has which cluster IP.
    pub(super) fn cluster_ips(&self) -> ClusterIps {
        self.shared.cluster_ips.clone()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(super) fn strategies(&self) -> &Strategies {
        &self.shared.strategies
    }

    pub(super) async fn catch_up(&self) -> Result<(), Error> {
        self.shared.freshness.catch_up().await
    }

    pub(super) async fn wait_for(&self, revision: Revision, patience: Duration) -> bool {
        self.shared.progress.wait_for(revision, patience).await
    }

    /// # Errors
    /// `ServiceUnavailable` until the caches are filled.
    pub(super) fn check_ready(&self) -> Result<(), Error> {
        match self.is_ready() {
            true => Ok(()),
            false => Err(Error::unavailable("storage is (re)initializing").retry_after(1)),
        }
    }
}

/// Reads objects of one kind, beside the requests of clients.
pub struct Lookup<K> {
    cache: Cache,
    store: Arc<dyn Store>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Lookup<K> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), store: Arc::clone(&self.store), kind: PhantomData }
    }
}

impl<K: Resource> Lookup<K> {
    /// The object as the cache has it; `namespace` is empty for cluster-wide kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<K> {
        let object = self.cache.get(&self.cache.layout().key(namespace, name))?;
        Some(object.decode())
    }

    /// The object as the store has it now.
    pub async fn get_live(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        let entry = self.store.get(&self.cache.layout().key(namespace, name)).await.map_err(errors::general)?;
        Ok(entry.and_then(|entry| self.cache.read(&entry)).map(|object| object.decode()))
    }

    /// The objects of a namespace, or all of them if it is empty, as the cache has them.
    pub fn list(&self, namespace: &str) -> Vec<K> {
        let snapshot = self.cache.snapshot(&Selection::all_in(namespace), None, 0);
        snapshot.objects.iter().map(|object| object.decode()).collect()
    }

    /// All objects as the cache keeps them.
    pub(super) fn cached(&self) -> Vec<Arc<Cached>> {
        self.cache.snapshot(&Selection::all_in(""), None, 0).objects
    }

    /// The cache itself.
    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }
}
