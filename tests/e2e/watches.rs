//! Watches never miss, repeat or reorder a change, whatever happens to the connection, the apiserver or etcd's history.

use crate::{PATIENCE, ready_pods};
use api::core::v1::ConfigMap;
use api::meta::v1::ListOptions;
use api::{Reason, Resource};
use client::{Api, Client, Patch, WatchEvent};
use controller::{Informer, Key};
use service_kit::{Shutdown, Supervisor};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::cluster::Cluster;
use testkit::eventually;

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = name.to_owned();
    map.metadata.namespace = "default".to_owned();
    map
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

fn set(value: usize) -> Patch {
    Patch::Merge(serde_json::json!({ "data": { "value": value.to_string() } }))
}

async fn list_revision(maps: &Api<ConfigMap>) -> String {
    maps.list(ListOptions::default()).await.expect("a list").metadata.resource_version
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_a_list_sees_every_change_once_in_order_with_its_cause() {
    const OBJECTS: usize = 20;
    const CHANGES: usize = 10;
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let maps = maps(&cluster.client());
    let from = list_revision(&maps).await;
    let writers = (0..OBJECTS).map(|number| {
        let maps = maps.clone();
        tokio::spawn(async move {
            let name = format!("m{number}");
            let mut revisions = vec![maps.create(&map(&name)).await.expect("created").metadata.resource_version];
            for change in 0..CHANGES {
                revisions.push(maps.patch(&name, &set(change)).await.expect("patched").metadata.resource_version);
            }
            maps.delete(&name, Default::default()).await.expect("deleted");
            (name, revisions)
        })
    });
    let mut watch =
        maps.watch(ListOptions { resource_version: from, ..ListOptions::default() }).await.expect("a watch");
    let written: BTreeMap<String, Vec<String>> = futures::future::join_all(writers)
        .await
        .into_iter()
        .map(|written| written.expect("the writer succeeds"))
        .collect();

    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut removed, mut last) = (0, 0);
    while removed < OBJECTS {
        let event =
            tokio::time::timeout(PATIENCE, watch.next()).await.expect("events come").expect("the watch goes on");
        let (object, cause) = match event.expect("no error") {
            WatchEvent::Added(object, cause) | WatchEvent::Modified(object, cause) => {
                let revisions = seen.entry(object.metadata.name.clone()).or_default();
                revisions.push(object.metadata.resource_version.clone());
                (object, cause)
            }
            WatchEvent::Deleted(object, cause) => {
                removed += 1;
                (object, cause)
            }
            WatchEvent::Bookmark { .. } => continue,
        };
        assert_eq!(object.metadata.resource_version, cause.revision.to_string());
        assert!(cause.revision > last, "revision {} after {last}", cause.revision);
        assert!(cause.committed_at.is_some());
        last = cause.revision;
    }
    assert_eq!(seen, written, "each write's answer is the revision that was watched, once and in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_was_compacted_away_is_expired_and_the_cluster_goes_on() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let client = cluster.client();
    let api = maps(&client);
    let old = list_revision(&api).await;
    for number in 0..5 {
        api.create(&map(&format!("m{number}"))).await.expect("created");
    }
    let now = list_revision(&api).await;
    let etcd = format!("http://127.0.0.1:{}", cluster.record()["ports"]["etcdClient"]);
    let compacted = tokio::process::Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &etcd, "compact", &now])
        .output()
        .await
        .expect("etcdctl is installed with etcd");
    assert!(compacted.status.success(), "{compacted:?}");
    // A new apiserver knows nothing from before the compaction.
    cluster.kill("apiserver");
    cluster.repair().await;
    let options = ListOptions { resource_version: old, ..ListOptions::default() };
    let refused = match api.watch(options).await {
        Err(refused) => refused,
        Ok(mut watch) => watch.next().await.expect("an answer").expect_err("the revision is gone"),
    };
    assert_eq!(refused.reason, Reason::Expired, "{refused}");
    assert!(refused.message.contains("too old resource version"), "{refused}");
    // Every informer of the cluster has found its way.
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]).await.success();
    ready_pods(&client, "app=web", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_informer_keeps_its_promises_over_restarts_of_the_apiserver() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let (client, shutdown) = (cluster.client(), Shutdown::new());
    let supervisor = Supervisor::new(&shutdown);
    let api = maps(&client);
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&changes);
    let mut last: BTreeMap<Key, i64> = BTreeMap::new();
    let informer = Informer::of(api.clone())
        .on_change(move |change, _| {
            let object = change.object();
            let revision: i64 = object.metadata.resource_version.parse().expect("a number");
            let before = last.insert(Key::of(&**object), revision).unwrap_or(0);
            assert!(revision >= before, "{} went back from {before} to {revision}", object.metadata.name);
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .start(&supervisor, &shutdown);
    assert!(informer.synced().await);
    for round in 0..3 {
        for number in 0..5 {
            api.create(&map(&format!("m{round}-{number}"))).await.expect("created");
        }
        cluster.kill("apiserver");
        cluster.repair().await;
        api.delete(&format!("m{round}-0"), Default::default()).await.expect("deleted");
        api.patch(&format!("m{round}-1"), &set(round)).await.expect("patched");
        eventually("the cache is what the apiserver has", PATIENCE, async || {
            let list = api.list(ListOptions::default()).await.map_err(|e| e.to_string())?.items;
            let expected: BTreeMap<Key, String> =
                list.iter().map(|m| (Key::of(m), m.metadata().resource_version.clone())).collect();
            let held: BTreeMap<Key, String> =
                informer.cache().list().iter().map(|m| (Key::of(&**m), m.metadata.resource_version.clone())).collect();
            if held == expected { Ok(()) } else { Err(format!("{held:?} instead of {expected:?}")) }
        })
        .await;
    }
    assert!(changes.load(Ordering::Relaxed) >= 3 * (5 + 2), "changes were lost");
    shutdown.trigger();
}
