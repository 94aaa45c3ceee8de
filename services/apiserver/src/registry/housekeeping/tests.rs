use std::sync::Arc;

use api::core::v1::ConfigMap;
use api::meta::v1::{DeleteOptions, ObjectMeta};
use store::{Error, MemoryStore, Revision, Store};

use super::compaction::Compactor;
use super::*;
use crate::registry::tests::Server;

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { name: name.to_owned(), namespace: namespace.to_owned(), ..ObjectMeta::default() }
}

#[tokio::test(start_paused = true)]
async fn apiservers_take_turns_to_compact_to_where_history_was_an_interval_ago() {
    let store = Arc::new(MemoryStore::new());
    let mut first = Compactor::new(store.clone());
    let mut second = Compactor::new(store.clone());
    assert_eq!((first.tick().await.unwrap(), second.tick().await.unwrap()), (None, None));
    let interval_ago = store.current_revision().await.unwrap();
    store.barrier().await.unwrap();
    assert_eq!(first.tick().await.unwrap(), Some(interval_ago));
    assert_eq!(second.tick().await.unwrap(), None, "it was done in this interval");
    assert!(matches!(store.compact(Revision::new(i64::MAX)).await, Err(Error::FutureRevision { .. })));
    // The second goes on alone when the first is gone.
    drop(first);
    let interval_ago = store.get("/registry/compaction/newest").await.unwrap().unwrap().revision;
    store.barrier().await.unwrap();
    assert_eq!(second.tick().await.unwrap(), Some(interval_ago));
}

#[tokio::test(start_paused = true)]
async fn events_go_when_nobody_has_written_them_for_their_time() {
    let server = Server::start().await;
    let mut old = Event { metadata: metadata("default", "old"), ..Event::default() };
    old.involved_object.namespace = "default".to_owned();
    server.create(old).await;
    server.get::<Event>("default", "old").await.unwrap();
    let expiry = Expiry::new(&server.storage, server.storage.lookup(), Duration::from_secs(3_600));
    // The commit time is the machine's.
    let now = jiff::Timestamp::now();
    assert_eq!(expiry.expire(now).await.unwrap(), 0);
    assert_eq!(expiry.expire(now + Duration::from_secs(3_601)).await.unwrap(), 1);
    assert_eq!(server.get::<Event>("default", "old").await, None);
}

#[tokio::test(start_paused = true)]
async fn v1_addresses_without_a_service_are_given_back_and_missing_ones_taken() {
    let server = Server::start().await;
    let addresses = server.storage.cluster_ips();
    let lost = addresses.claim(Some("10.96.0.77"), &metadata("default", "never-stored")).await.ok().unwrap();
    let mut service = Service { metadata: metadata("default", "web"), ..Service::default() };
    service.spec.ports.push(api::core::v1::ServicePort { port: 80, ..Default::default() });
    let service = server.create(service).await;
    server.get::<Service>("default", "web").await.unwrap();
    let held = addresses.key(&service.spec.cluster_ip);
    let services = server.storage.lookup();
    let now = jiff::Timestamp::now();
    addresses.repair(&services, now).await.unwrap();
    assert!(server.store.get(&lost.key).await.unwrap().is_some(), "its Service may be about to be stored");
    addresses.release(&held).await;
    addresses.repair(&services, now + Duration::from_secs(120)).await.unwrap();
    assert!(server.store.get(&lost.key).await.unwrap().is_none());
    assert!(server.store.get(&held).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_is_emptied_and_goes() {
    let server = Server::start().await;
    let supervisor = Supervisor::new(&server.shutdown);
    server.registries.spawn_housekeeping(&server.storage, &Clock::system(), &supervisor, &server.shutdown);
    for name in ["team", "other"] {
        server.create(Namespace { metadata: metadata("", name), ..Namespace::default() }).await;
        server.create(ConfigMap { metadata: metadata(name, "settings"), ..ConfigMap::default() }).await;
    }
    let mut held = ConfigMap { metadata: metadata("team", "held"), ..ConfigMap::default() };
    held.metadata.finalizers.push("x/y".to_owned());
    server.create(held).await;
    let namespaces = &server.registries.namespaces;
    namespaces.delete(&server.ctx, "", "team", &DeleteOptions::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.get::<ConfigMap>("team", "settings").await, None);
    assert!(server.get::<Namespace>("", "team").await.is_some(), "something in it is held by a finalizer");
    let mut held: ConfigMap = server.get("team", "held").await.unwrap();
    held.metadata.finalizers.clear();
    server.update(held).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(server.get::<Namespace>("", "team").await, None);
    assert!(server.get::<ConfigMap>("other", "settings").await.is_some());
}
