//! A cache that follows the apiserver, and handlers that hear of every change.
//!
//! Guarantees to a handler: it hears of an object first by [`Change::Added`] and last by [`Change::Removed`], with its states between them in
//! the order in which they were written, some perhaps left out, none repeated. The cache has what it is told. Once
//! [`Informer::synced`] returns it has heard of everything that existed at the start. Between objects there is no order; a name that was used
//! anew is another object.

use crate::reflector::{Delta, Selection, reflect};
use crate::{Cache, Key};
use api::Resource;
use client::Api;
use service_kit::{OnFailure, Shutdown, Supervisor};
use std::collections::HashSet;
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

    /// Calls `handler` for every change, after the cache has it. It must not block: it adds keys to queues.
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
        let InformerBuilder { api, selection, cache, handlers } = self;
        let (synced_in, synced) = watch::channel(false);
        let informer = Informer { cache: cache.clone(), synced };
        let (mut teller, shutdown) = (Teller { cache, handlers }, shutdown.clone());
        supervisor.spawn(format!("{} informer", K::INFO.plural), OnFailure::StopService, async move {
            reflect(api, selection, shutdown, |delta| match delta {
                Delta::Applied(object, cause) => teller.applied(object, cause),
                Delta::Removed(object, cause) => teller.removed(&object, cause),
                Delta::Filled(existing) => {
                    teller.only(&existing);
                    synced_in.send_replace(true);
                }
            })
            .await;
        });
        informer
    }
}

/// Brings the cache up to date, then tells the handlers what that changed; what changes nothing is not told.
struct Teller<K> {
    cache: Cache<K>,
    handlers: Vec<Handler<K>>,
}

impl<K: Resource> Teller<K> {
    fn applied(&mut self, new: Arc<K>, cause: Cause) {
        let key = Key::of(&*new);
        match self.cache.get(&key) {
            // A relist tells what is known already.
            Some(old) if is_same_write(&*old, &*new) => {}
            // The name was used anew while nobody looked. To handlers these are two objects.
            Some(old) if old.metadata().uid != new.metadata().uid => {
                self.cache.remove(&key);
                self.tell(&Change::Removed(old), &Cause::default());
                self.cache.put(Arc::clone(&new), cause.clone());
                self.tell(&Change::Added(new), &cause);
            }
            Some(old) => {
                self.cache.put(Arc::clone(&new), cause.clone());
                self.tell(&Change::Updated { old, new }, &cause);
            }
            None => {
                self.cache.put(Arc::clone(&new), cause.clone());
                self.tell(&Change::Added(new), &cause);
            }
        }
    }

    /// `last` may be newer than what the cache had: it is as it was when it was removed.
    fn removed(&mut self, last: &Arc<K>, cause: Cause) {
        if self.cache.remove(&Key::of(&**last)).is_some() {
            self.tell(&Change::Removed(Arc::clone(last)), &cause);
        }
    }

    /// Nothing else exists.
    fn only(&mut self, existing: &HashSet<Key>) {
        for key in self.cache.keys().iter().filter(|key| !existing.contains(key)) {
            if let Some(last) = self.cache.remove(key) {
                self.tell(&Change::Removed(last), &Cause::default());
            }
        }
    }

    fn tell(&mut self, change: &Change<K>, cause: &Cause) {
        for handler in &mut self.handlers {
            handler(change, cause);
        }
    }
}

fn is_same_write<K: Resource>(old: &K, new: &K) -> bool {
    let (old, new) = (old.metadata(), new.metadata());
    !new.resource_version.is_empty() && old.resource_version == new.resource_version && old.uid == new.uid
}
