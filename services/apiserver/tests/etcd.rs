//! The registry and its caches on a real etcd: bursts, outages, restarts, compaction.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::core::v1::{Container, Pod};
use api::meta::v1::{CreateOptions, DeleteOptions, GetOptions, ListOptions};
use api::rpc::EventType;
use futures::{StreamExt, stream};
use service_kit::{Clock, Shutdown, Supervisor};
use store::{EtcdConfig, EtcdStore, Store, Traced};
use testkit::etcd::EtcdProcess;
use testkit::eventually;
use tokio::time::timeout;
use traceplane_apiserver::cache::{Watch, WatchEvent};
use traceplane_apiserver::registry::{Admission, AdmitAll, Registries, Settings, Storage};
use traceplane_apiserver::request::RequestContext;

const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    store: Arc<dyn Store>,
    registries: Registries,
    shutdown: Shutdown,
    ctx: RequestContext,
}

impl Server {
    async fn start(etcd: &EtcdProcess) -> Self {
        let config = EtcdConfig::new([etcd.endpoint()]);
        let store: Arc<dyn Store> = Arc::new(Traced::new(EtcdStore::new(&config).unwrap()));
        let shutdown = Shutdown::new();
        let storage = Storage::new(store.clone(), &Settings::default());
        storage.spawn(&Supervisor::new(&shutdown), &shutdown);
        timeout(PATIENCE, storage.ready()).await.expect("the caches fill");
        let admission: Arc<dyn Admission> = Arc::new(AdmitAll);
        let registries = Registries::new(&storage, &admission, &Clock::system());
        Self { store, registries, shutdown, ctx: RequestContext::default() }
    }

    async fn create(&self, name: &str) -> Result<Pod, api::Error> {
        let created = self.registries.pods.create(&self.ctx, "default", pod(name), &CreateOptions::default()).await;
        created.map(|pod| pod.decode())
    }

    async fn names(&self) -> BTreeSet<String> {
        let list = self.registries.pods.list(&self.ctx, "default", &ListOptions::default()).await.unwrap();
        list.objects().map(|pod| pod.metadata.name).collect()
    }

    async fn watch_after(&self, version: &str) -> Result<Watch, api::Error> {
        let options = ListOptions { resource_version: version.to_owned(), ..ListOptions::default() };
        self.registries.pods.watch(&self.ctx, "", &options).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

fn pod(name: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = name.to_owned();
    pod.spec.containers.push(Container { name: "c".to_owned(), image: "nginx".to_owned(), ..Container::default() });
    pod
}

async fn next(watch: &mut Watch) -> WatchEvent {
    timeout(PATIENCE, watch.next()).await.expect("the watch goes on").expect("it does not end").unwrap()
}

fn name_of(event: &WatchEvent) -> String {
    <Pod as prost::Message>::decode(event.object.clone()).unwrap().metadata.name
}

#[tokio::test]
async fn a_burst_of_pods_is_stored_watched_and_listed_completely() {
    const PODS: usize = 500;
    let etcd = EtcdProcess::start().await;
    let server = Server::start(&etcd).await;
    let start = server.create("first").await.unwrap().metadata.resource_version;
    let mut watch = server.watch_after(&start).await.unwrap();
    let began = Instant::now();
    let names = (0..PODS).map(|number| format!("p{number}"));
    let creates = stream::iter(names).map(async |name| server.create(&name).await);
    let created: Vec<_> = creates.buffer_unordered(50).collect().await;
    println!("{:.0} creates/s, 50 at once", PODS as f64 / began.elapsed().as_secs_f64());
    let versions: BTreeSet<i64> =
        created.into_iter().map(|pod| pod.unwrap().metadata.resource_version.parse().unwrap()).collect();
    let mut watched = Vec::new();
    for _ in 0..PODS {
        let event = next(&mut watch).await;
        assert_eq!(event.r#type, EventType::Added);
        watched.push(event.revision.get());
    }
    assert!(watched.is_sorted());
    assert_eq!(
        BTreeSet::from_iter(watched),
        versions,
        "each once, with the revision that its create was answered with"
    );
    assert_eq!(server.names().await.len(), PODS + 1);
}

#[tokio::test]
async fn an_outage_of_etcd_stops_writes_for_its_time_and_loses_nothing() {
    let mut etcd = EtcdProcess::start().await;
    let server = Server::start(&etcd).await;
    let start = server.create("before").await.unwrap().metadata.resource_version;
    let mut watch = server.watch_after(&start).await.unwrap();
    server.names().await;
    etcd.kill().await;
    let began = Instant::now();
    let refused = server.create("during").await.unwrap_err();
    assert_eq!((refused.code(), refused.details.retry_after_seconds), (503, Some(1)), "{refused}");
    println!("refused after {:?}: {refused}", began.elapsed());
    let cached = GetOptions { resource_version: "0".to_owned() };
    server.registries.pods.get(&server.ctx, "default", "before", &cached).await.unwrap();
    etcd.restart().await;
    eventually("writes go on", PATIENCE, async || server.create("after").await).await;
    loop {
        let event = next(&mut watch).await;
        match name_of(&event).as_str() {
            "after" => break,
            // The refusal says whether it may have been stored all the same.
            other => assert_eq!(other, "during"),
        }
    }
    assert!(server.names().await.contains("after"));
}

#[tokio::test]
async fn a_new_server_takes_over_the_watches_of_the_old_one() {
    let etcd = EtcdProcess::start().await;
    let old = Server::start(&etcd).await;
    let start = old.create("a").await.unwrap().metadata.resource_version;
    old.create("b").await.unwrap();
    old.registries.pods.delete(&old.ctx, "default", "a", &DeleteOptions::default()).await.unwrap();
    drop(old);
    let new = Server::start(&etcd).await;
    let mut watch = new.watch_after(&start).await.unwrap();
    let (added, deleted) = (next(&mut watch).await, next(&mut watch).await);
    assert_eq!((added.r#type, name_of(&added).as_str()), (EventType::Added, "b"));
    assert_eq!((deleted.r#type, name_of(&deleted).as_str()), (EventType::Deleted, "a"));
    assert_eq!(new.names().await, BTreeSet::from(["b".to_owned()]));
}

#[tokio::test]
async fn a_new_server_on_a_compacted_etcd_sends_old_watches_back_to_list() {
    let etcd = EtcdProcess::start().await;
    let old = Server::start(&etcd).await;
    let start = old.create("a").await.unwrap().metadata.resource_version;
    old.create("b").await.unwrap();
    old.store.compact(old.store.current_revision().await.unwrap()).await.unwrap();
    drop(old);
    let new = Server::start(&etcd).await;
    assert!(new.watch_after(&start).await.unwrap_err().is_expired());
    assert_eq!(new.names().await.len(), 2);
}

#[tokio::test]
async fn kubernetes_own_tools_find_the_objects_where_they_look() {
    let etcd = EtcdProcess::start().await;
    let server = Server::start(&etcd).await;
    server.create("web").await.unwrap();
    let keys = etcd.ctl(&["get", "--prefix", "/registry/pods/", "--keys-only"]).await;
    assert_eq!(keys.trim(), "/registry/pods/default/web");
    let value = etcd.ctl(&["get", "/registry/pods/default/web", "--print-value-only", "--hex"]).await;
    assert!(value.starts_with(r"\x6b\x38\x73\x00"), "{value}");
}
