//! The registry as its callers see it, on a store in memory and under tokio's paused time.

mod deletes;
mod faults;
mod patches;
mod reads;
mod services;
mod traces;
mod watches;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use api::Resource;
use api::apps::v1::Deployment;
use api::core::v1::{Container, Pod};
use api::meta::v1::{CreateOptions, DeleteOptions, GetOptions, ListOptions, ObjectMeta, UpdateOptions};
use api::rpc::{Event, EventType};
use futures::StreamExt;
use prost::Message;
use service_kit::{Clock, Shutdown, Supervisor};
use store::{MemoryStore, Store};
use tokio::time::timeout;

use super::*;
use crate::cache::Watch;
use crate::request::{RequestContext, UserInfo};

/// Registries on a store in memory.
pub(super) struct Server {
    pub(super) store: MemoryStore,
    pub(super) storage: Storage,
    pub(super) registries: Registries,
    pub(super) shutdown: Shutdown,
    pub(super) ctx: RequestContext,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_on(MemoryStore::new()).await
    }

    async fn start_on(store: MemoryStore) -> Self {
        Self::start_with(store.clone(), Arc::new(store), Settings::default()).await
    }

    /// `store` is what `memory` is seen through.
    async fn start_with(memory: MemoryStore, store: Arc<dyn Store>, settings: Settings) -> Self {
        let shutdown = Shutdown::new();
        let supervisor = Supervisor::new(&shutdown);
        let storage = Storage::new(store, &settings);
        storage.spawn(&supervisor, &shutdown);
        storage.ready().await;
        let admission: Arc<dyn Admission> = Arc::new(AdmitAll);
        let clock = Clock::following_tokio("2026-01-01T12:00:00Z".parse().unwrap());
        let registries = Registries::new(&storage, &admission, &clock);
        let ctx = user("alice");
        Self { store: memory, storage, registries, shutdown, ctx }
    }

    fn pods(&self) -> &Registry<Pod> {
        &self.registries.pods
    }

    pub(super) async fn create<K: Resource>(&self, object: K) -> K {
        let created = self.registries.of::<K>().create(&self.ctx, "", object, &CreateOptions::default()).await;
        created.unwrap().decode()
    }

    /// The object as the store has it; `None` if it has none.
    pub(super) async fn get<K: Resource>(&self, namespace: &str, name: &str) -> Option<K> {
        match self.registries.of::<K>().get(&self.ctx, namespace, name, &GetOptions::default()).await {
            Ok(object) => Some(object.decode()),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn update<K: Resource>(&self, object: K) -> Result<K, api::Error> {
        let updated = self.registries.of::<K>().update(&self.ctx, "", object, &UpdateOptions::default()).await;
        updated.map(|object| object.decode())
    }

    async fn update_status<K: Resource>(&self, object: K) -> Result<K, api::Error> {
        let updated = self.registries.of::<K>().update_status(&self.ctx, "", object, &UpdateOptions::default()).await;
        updated.map(|object| object.decode())
    }

    async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Deleted<Pod>, api::Error> {
        self.pods().delete(&self.ctx, "default", name, options).await
    }

    /// A pod on a node, as one that runs.
    async fn running_pod(&self, name: &str) -> Pod {
        let created = self.create(pod(name)).await;
        let mut binding = api::core::v1::Binding::default();
        binding.metadata.name = name.to_owned();
        binding.target.name = "node-1".to_owned();
        self.pods().bind(&self.ctx, "default", binding).await.unwrap();
        let mut bound: Pod = self.get("default", name).await.unwrap();
        assert_ne!(bound.metadata.resource_version, created.metadata.resource_version);
        bound.status.phase = "Running".to_owned();
        self.update_status(bound).await.unwrap()
    }

    async fn watch<K: Resource>(&self, namespace: &str, options: ListOptions) -> Events<K> {
        let watch = self.registries.of::<K>().watch(&self.ctx, namespace, &options).await.unwrap();
        Events { watch, kind: std::marker::PhantomData }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// A watch, decoded.
struct Events<K> {
    watch: Watch,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: Resource> Events<K> {
    /// The next event; the error if the watch ends with one; `None` if it just ends.
    async fn next(&mut self) -> Option<Result<Event<K>, api::Error>> {
        let item = timeout(Duration::from_secs(7_200), self.watch.next()).await.expect("the watch brings nothing");
        item.map(|item| {
            item.map(|event| {
                let decoded = Event::<K>::decode(event.encoded).unwrap();
                assert_eq!(K::decode(event.object).unwrap(), decoded.object);
                assert_eq!(event.r#type as i32, decoded.r#type);
                decoded
            })
        })
    }

    async fn event(&mut self) -> Event<K> {
        self.next().await.expect("the watch ended").unwrap()
    }

    /// Type and name of the next event.
    async fn seen(&mut self) -> (EventType, String) {
        let event = self.event().await;
        (event.r#type(), event.object.metadata().name.clone())
    }

    /// True if nothing comes for a while.
    async fn is_quiet(&mut self) -> bool {
        timeout(Duration::from_secs(5), self.watch.next()).await.is_err()
    }
}

fn user(name: &str) -> RequestContext {
    RequestContext { user: UserInfo { name: name.to_owned(), groups: Vec::new() }, ..RequestContext::default() }
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: name.to_owned(), namespace: "default".to_owned(), ..ObjectMeta::default() }
}

fn pod(name: &str) -> Pod {
    let mut pod = Pod { metadata: metadata(name), ..Pod::default() };
    pod.spec.containers.push(Container { name: "c".to_owned(), image: "nginx".to_owned(), ..Container::default() });
    pod
}

fn deployment(name: &str) -> Deployment {
    let mut deployment = Deployment { metadata: metadata(name), ..Deployment::default() };
    let labels: std::collections::BTreeMap<_, _> = [("app".to_owned(), name.to_owned())].into();
    deployment.spec.selector.get_or_insert_default().match_labels = labels.clone();
    deployment.spec.template.metadata.labels = labels;
    deployment.spec.template.spec = pod(name).spec;
    deployment
}

fn labelled(mut pod: Pod, key: &str, value: &str) -> Pod {
    pod.metadata.labels.insert(key.to_owned(), value.to_owned());
    pod
}

fn selecting(labels: &str, fields: &str) -> ListOptions {
    ListOptions { label_selector: labels.to_owned(), field_selector: fields.to_owned(), ..ListOptions::default() }
}

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() }
}
