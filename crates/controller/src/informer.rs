//! A cache that follows the apiserver, and handlers that hear of every change.

use crate::reflector::{Delta, Selection, reflect};
use crate::{Cache, Key};
use api::Resource;
use client::Api;
use service_kit::{OnFailure, Shutdown, Supervisor};
use std::sync::Arc;
use telemetry::Cause;
use tokio::sync::watch;

/// What happened to an object between two states of the cache. Several writes may appear as one change.
#[derive(Debug, Clone)]
pub enum Change<K> {
    /// The object is new to the cache.
    Added(Arc<K>),
    /// The object differs from what the cache had.
    Updated {
        /// What the cache had.
        old: Arc<K>,
        /// What it has now.
        new: Arc<K>,
    },
    /// The object is gone; its last known state.
    Removed(Arc<K>),
}

impl<K> Change<K> {
    /// The newest state that is known.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Change::Added(object) | Change::Updated { new: object, .. } | Change::Removed(object) => object,
        }
    }
}

type Handler<K> = Box<dyn FnMut(&Change<K>, &Cause) + Send>;

/// A running informer. Dropping the handle does not stop it; shutdown does.
#[derive(Debug, Clone)]
pub struct Informer<K> {
    cache: Cache<K>,
    synced: watch::Receiver<bool>,
}

/// An informer about to start.
///
/// Several controllers may share one: each adds its indexes and handlers and takes the cache; then it is started, once.
pub struct InformerBuilder<K: Resource> {
    api: Api<K>,
    selection: Selection,
    cache: Cache<K>,
    handlers: Vec<Handler<K>>,
}

impl<K: Resource> Informer<K> {
    /// An informer of the objects that `api` sees.
    pub fn of(api: Api<K>) -> InformerBuilder<K> {
        InformerBuilder { api, selection: Selection::default(), cache: Cache::new(Vec::new()), handlers: Vec::new() }
    }

    /// The cache. It is empty, then partly filled, until [`Informer::synced`] returns.
    pub fn cache(&self) -> Cache<K> {
        self.cache.clone()
    }

    /// Waits until the cache has held everything that existed at the start. False: the informer was shut down before.
    pub async fn synced(&self) -> bool {
        self.synced.clone().wait_for(|synced| *synced).await.is_ok()
    }

    /// Whether [`Informer::synced`] would return at once.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }
}

impl<K: Resource> InformerBuilder<K> {
    /// Only objects with these labels.
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.selection.labels = selector.into();
        self
    }

    /// Only objects with these fields.
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.selection.fields = selector.into();
        self
    }

    /// Finds objects by values of theirs; see [`Cache::by_index`].
    pub fn index(self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.add_index(name, values);
        self
    }

    /// Calls `handler` for every change, after the cache has it, in the order of changes. It must not block: it adds keys to queues.
    pub fn on_change(mut self, handler: impl FnMut(&Change<K>, &Cause) + Send + 'static) -> Self {
        self.add_handler(handler);
        self
    }

    /// As [`InformerBuilder::index`]. An index of that name that is there already is kept: sharers agree on names.
    pub fn add_index(&self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        self.cache.add_index(name, Box::new(values));
    }

    /// As [`InformerBuilder::on_change`]. Handlers are called in the order in which they were added.
    pub fn add_handler(&mut self, handler: impl FnMut(&Change<K>, &Cause) + Send + 'static) {
        self.handlers.push(Box::new(handler));
    }

    /// The cache that the informer will fill: handlers may read the caches of several kinds.
    pub fn cache(&self) -> Cache<K> {
        self.cache.clone()
    }

    /// Starts watching, until shutdown.
    pub fn start(self, supervisor: &Supervisor, shutdown: &Shutdown) -> Informer<K> {
        let InformerBuilder { api, selection, cache, mut handlers } = self;
        let (synced_in, synced) = watch::channel(false);
        let informer = Informer { cache: cache.clone(), synced };
        let shutdown = shutdown.clone();
        supervisor.spawn(format!("{} informer", K::INFO.plural), OnFailure::StopService, async move {
            let mut tell = |change: Change<K>, cause: &Cause| {
                for handler in &mut handlers {
                    handler(&change, cause);
                }
            };
            reflect(api, selection, shutdown, |delta| match delta {
                Delta::Applied(new, cause) => match cache.put(Arc::clone(&new), cause.clone()) {
                    // A relist tells what is known already.
                    Some(old) if old.metadata().resource_version == new.metadata().resource_version => {}
                    Some(old) => tell(Change::Updated { old, new }, &cause),
                    None => tell(Change::Added(new), &cause),
                },
                Delta::Removed(last, cause) => {
                    cache.remove(&Key::of(&*last));
                    tell(Change::Removed(last), &cause);
                }
                Delta::Filled(existing) => {
                    for key in cache.keys().iter().filter(|key| !existing.contains(key)) {
                        if let Some(last) = cache.remove(key) {
                            tell(Change::Removed(last), &Cause::default());
                        }
                    }
                    synced_in.send_replace(true);
                }
            })
            .await;
        });
        informer
    }
}
