//! One informer per kind, shared by all controllers.
//!
//! Controllers ask for a kind by its type, or by its names where they work on every kind; whoever asks first makes the informer. Nothing is
//! watched before [`Informers::start`].

use api::{KindInfo, Resource};
use client::{Api, Client};
use controller::{Informer, InformerBuilder};
use futures::future::{BoxFuture, join_all};
use service_kit::{Shutdown, Supervisor};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

/// The informers, before they start.
pub struct Informers {
    client: Client,
    /// By resource and group.
    by_kind: BTreeMap<String, Box<dyn Unstarted>>,
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}

impl Informers {
    /// None yet.
    pub fn new(client: Client) -> Self {
        Informers { client, by_kind: BTreeMap::new() }
    }

    /// The informer of a kind, in all namespaces.
    pub fn of<K: Resource>(&mut self) -> &mut InformerBuilder<K> {
        let client = &self.client;
        let informer = self
            .by_kind
            .entry(K::INFO.group_resource().into_owned())
            .or_insert_with(|| Box::new(Unit(Informer::<K>::of(Api::all(client.clone())))));
        let unit: &mut dyn Any = &mut **informer;
        &mut unit.downcast_mut::<Unit<K>>().expect("an entry has the type of its kind").0
    }

    /// Starts all, and returns when all caches are filled. False: shut down before.
    pub async fn start(self, supervisor: &Supervisor, shutdown: &Shutdown) -> bool {
        let synced: Vec<_> = self.by_kind.into_values().map(|informer| informer.start(supervisor, shutdown)).collect();
        shutdown.run_until_triggered(join_all(synced)).await.is_some_and(|all| all.into_iter().all(|synced| synced))
    }

    /// The kinds that are watched, for log lines.
    pub fn kinds(&self) -> Vec<&str> {
        self.by_kind.keys().map(String::as_str).collect()
    }
}

/// An informer whose kind's type is forgotten.
trait Unstarted: Any + Send {
    fn start(self: Box<Self>, supervisor: &Supervisor, shutdown: &Shutdown) -> BoxFuture<'static, bool>;
}

struct Unit<K: Resource>(InformerBuilder<K>);

impl<K: Resource> Unstarted for Unit<K> {
    fn start(self: Box<Self>, supervisor: &Supervisor, shutdown: &Shutdown) -> BoxFuture<'static, bool> {
        let informer = self.0.start(supervisor, shutdown);
        Box::pin(async move { informer.synced().await })
    }
}

/// The kinds that are worth watching for those who work on every kind: all but events, which are many, end by themselves, and own nothing.
pub fn lasting_kinds() -> impl Iterator<Item = &'static KindInfo> {
    api::KINDS.iter().copied().filter(|kind| !kind.same_kind(api::core::v1::Event::INFO))
}
