//! The registry: what a create, an update or a delete means, the same for every kind.
mod admission;
mod answer;

pub use admission::{Admission, AdmitAll, AnyObject, Attributes, Operation};
pub use answer::{Deleted, Encoded, ListAnswer};

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Binding, Pod};
use api::meta::v1::{CreateOptions, DeleteOptions, GetOptions, ListOptions, PatchOptions, UpdateOptions};
use api::rpc::PatchType;
use api::{Error, Resource};
use service_kit::{Clock, Shutdown, Supervisor};
use store::{Revision, Store};

use crate::cache::Watch;
use crate::request::RequestContext;

/// What can be set about storage and registries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many changes of each resource are kept for watches that resume.
    pub history: usize,
    /// Where cluster IPs come from.
    pub service_cidr: String,
    /// How often history is compacted; zero: never.
    pub compaction_interval: Duration,
    /// How long events are kept.
    pub event_ttl: Duration,
}

/// The caches of all kinds and the one watch that feeds them. Exists before admission, whose plugins look things up in it.
#[derive(Clone)]
pub struct Storage {
}

impl Storage {
    /// Empty caches in front of `store`; [`spawn`](Self::spawn) fills them.
    pub fn new(store: Arc<dyn Store>, settings: &Settings) -> Self { todo!() }
    /// Starts the tasks that fill the caches and keep them in step.
    pub fn spawn(&self, supervisor: &Supervisor, shutdown: &Shutdown) { todo!() }
    /// True once every cache shows a state that is not older than the start.
    pub fn is_ready(&self) -> bool { todo!() }
    /// Returns once [`is_ready`](Self::is_ready).
    pub async fn ready(&self) { todo!() }
    /// Read access to the objects of a kind for admission plugins.
    pub fn lookup<K: Resource>(&self) -> Lookup<K> { todo!() }
}

/// Reads objects of one kind from the cache.
pub struct Lookup<K> { k: std::marker::PhantomData<fn() -> K> }
impl<K: Resource> Lookup<K> {
    /// The object as the cache has it; `namespace` is empty for cluster-wide kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<K> { todo!() }
    /// The object as the store has it now.
    pub async fn get_live(&self, namespace: &str, name: &str) -> Result<Option<K>, Error> { todo!() }
    /// All objects as the cache has them.
    pub fn list(&self, namespace: &str) -> Vec<K> { todo!() }
}

/// The server side of one kind. Cheap to clone.
pub struct Registry<K> { k: std::marker::PhantomData<fn() -> K> }
impl<K> Clone for Registry<K> { fn clone(&self) -> Self { todo!() } }

impl<K: Resource> Registry<K> {
    pub async fn create(&self, ctx: &RequestContext, namespace: &str, object: K, options: &CreateOptions) -> Result<Encoded<K>, Error> { todo!() }
    pub async fn get(&self, ctx: &RequestContext, namespace: &str, name: &str, options: &GetOptions) -> Result<Encoded<K>, Error> { todo!() }
    pub async fn list(&self, ctx: &RequestContext, namespace: &str, options: &ListOptions) -> Result<ListAnswer<K>, Error> { todo!() }
    /// Items: `Result<WatchEvent, Error>`; WatchEvent.encoded is the Event<K> message. An Err is the last item.
    pub async fn watch(&self, ctx: &RequestContext, namespace: &str, options: &ListOptions) -> Result<Watch, Error> { todo!() }
    /// The name is the object's.
    pub async fn update(&self, ctx: &RequestContext, namespace: &str, object: K, options: &UpdateOptions) -> Result<Encoded<K>, Error> { todo!() }
    pub async fn update_status(&self, ctx: &RequestContext, namespace: &str, object: K, options: &UpdateOptions) -> Result<Encoded<K>, Error> { todo!() }
    /// subresource "" or "status"
    pub async fn patch(&self, ctx: &RequestContext, namespace: &str, name: &str, subresource: &str, patch_type: PatchType, patch: &[u8], options: &PatchOptions) -> Result<Encoded<K>, Error> { todo!() }
    pub async fn delete(&self, ctx: &RequestContext, namespace: &str, name: &str, options: &DeleteOptions) -> Result<Deleted<K>, Error> { todo!() }
    pub async fn delete_collection(&self, ctx: &RequestContext, namespace: &str, list: &ListOptions, options: &DeleteOptions) -> Result<ListAnswer<K>, Error> { todo!() }
}
impl Registry<Pod> {
    pub async fn bind(&self, ctx: &RequestContext, namespace: &str, binding: Binding) -> Result<Revision, Error> { todo!() }
}

/// One registry per kind; the field names are the plurals of KindInfo in snake_case (config_maps? no: as in proto file names: pods, config_maps, replica_sets ...)
pub struct Registries { pub pods: Registry<Pod> /* ... all */ }
impl Registries {
    pub fn new(storage: &Storage, admission: Arc<dyn Admission>, clock: Clock) -> Self { todo!() }
    /// by type
    pub fn of<K: Resource>(&self) -> Registry<K> { todo!() }
}
