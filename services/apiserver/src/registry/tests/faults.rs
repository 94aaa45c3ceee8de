//! The store fails, lags or forgets, and what clients see of that.

use super::*;
use api::core::v1::ConfigMap;

#[tokio::test(start_paused = true)]
async fn without_the_store_cached_reads_go_on_and_the_rest_fails_at_once_with_advice() {
    let server = Server::start().await;
    server.create(pod("web")).await;
    server.get::<Pod>("default", "web").await.unwrap();
    let mut events = server.watch::<Pod>("", ListOptions::default()).await;
    events.event().await;
    server.store.set_available(false);
    let cached = GetOptions { resource_version: "0".to_owned() };
    assert!(server.pods().get(&server.ctx, "default", "web", &cached).await.is_ok());
    let refusals = [
        server.pods().get(&server.ctx, "default", "web", &GetOptions::default()).await.map(drop),
        server.pods().list(&server.ctx, "default", &ListOptions::default()).await.map(drop),
        server.pods().create(&server.ctx, "", pod("b"), &CreateOptions::default()).await.map(drop),
        server.delete("web", &grace(0)).await.map(drop),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert_eq!((error.code(), error.details.retry_after_seconds), (503, Some(1)), "{error}");
    }
    server.store.set_available(true);
    server.create(pod("b")).await;
    assert_eq!(events.seen().await, (EventType::Added, "b".to_owned()), "the watch went on by itself");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_server_shows_everything_and_lets_watches_resume() {
    let first = Server::start().await;
    let start = first.create(pod("a")).await.metadata.resource_version;
    first.create(pod("b")).await;
    first.delete("a", &grace(0)).await.unwrap();
    let second = Server::start_on(first.store.clone()).await;
    drop(first);
    assert!(second.get::<Pod>("default", "b").await.is_some());
    assert_eq!(second.get::<Pod>("default", "a").await, None);
    let mut events = second.watch::<Pod>("", ListOptions { resource_version: start, ..Default::default() }).await;
    assert_eq!(events.seen().await, (EventType::Added, "b".to_owned()));
    let removed = events.event().await;
    assert_eq!((removed.r#type(), removed.object.metadata.name.as_str()), (EventType::Deleted, "a"));
    assert_eq!(removed.object.spec.containers.len(), 1, "with its last state");
}

#[tokio::test(start_paused = true)]
async fn a_server_starts_on_a_compacted_store() {
    let first = Server::start().await;
    let start = first.create(pod("a")).await.metadata.resource_version;
    first.create(pod("b")).await;
    first.store.compact(first.store.current_revision().await.unwrap()).await.unwrap();
    let second = Server::start_on(first.store.clone()).await;
    let list = second.pods().list(&second.ctx, "", &ListOptions::default()).await.unwrap();
    assert_eq!(list.items.len(), 2);
    let options = ListOptions { resource_version: start, ..ListOptions::default() };
    assert!(second.pods().watch(&second.ctx, "", &options).await.unwrap_err().is_expired());
}

#[tokio::test(start_paused = true)]
async fn a_write_decided_on_an_old_state_is_decided_again() {
    let first = Server::start().await;
    let second = Server::start_on(first.store.clone()).await;
    first.create(ConfigMap { metadata: metadata("shared"), ..ConfigMap::default() }).await;
    for round in 0..30 {
        // Each server writes while its cache may still show the state before the other's write.
        let server = if round % 2 == 0 { &first } else { &second };
        let patch = format!("{{\"data\":{{\"k{round}\":\"v\"}}}}");
        let (merge, options) = (api::rpc::PatchType::MergePatch, Default::default());
        let maps = &server.registries.config_maps;
        maps.patch(&server.ctx, "default", "shared", "", merge, patch.as_bytes(), &options).await.unwrap();
    }
    assert_eq!(first.get::<ConfigMap>("default", "shared").await.unwrap().data.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_stale_cache_never_refuses_what_the_store_allows() {
    let first = Server::start().await;
    let second = Server::start_on(first.store.clone()).await;
    let mut map = first.create(ConfigMap { metadata: metadata("shared"), ..ConfigMap::default() }).await;
    for round in 0..20 {
        map.data.insert("k".to_owned(), round.to_string());
        let server = if round % 2 == 0 { &second } else { &first };
        // The version is the newest; only this server's cache may not know it yet.
        map = server.update(map).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_left_out_and_harms_no_other() {
    let server = Server::start().await;
    server.create(pod("good")).await;
    let broken = store::envelope::Envelope { raw: vec![0xff; 8].into(), ..Default::default() };
    server.store.create("/registry/pods/default/bad", broken.encode(), &Default::default()).await.unwrap();
    let list = server.pods().list(&server.ctx, "", &ListOptions::default()).await.unwrap();
    assert_eq!(list.objects().map(|pod| pod.metadata.name).collect::<Vec<_>>(), ["good"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_too_large_is_refused_and_nothing_is_stored() {
    let server = Server::start().await;
    let mut map = ConfigMap { metadata: metadata("big"), ..ConfigMap::default() };
    map.metadata.annotations.insert("a".to_owned(), "x".repeat(200_000));
    map.data.insert("k".to_owned(), "x".repeat(1_000_000));
    map.binary_data.insert("b".to_owned(), vec![0; 40_000]);
    server.create(map.clone()).await;
    map.metadata.name = "bigger".to_owned();
    map.metadata.owner_references = (0..4_000)
        .map(|number| api::meta::v1::OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: "x".repeat(100),
            uid: number.to_string(),
            ..Default::default()
        })
        .collect();
    let maps = &server.registries.config_maps;
    let error = maps.create(&server.ctx, "", map, &CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), 413, "{error}");
    assert_eq!(server.get::<ConfigMap>("default", "bigger").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_feed_whose_history_is_gone_loads_anew_and_sends_watches_back_to_list() {
    let server = Server::start().await;
    server.create(pod("a")).await;
    let mut events = server.watch::<Pod>("", ListOptions::default()).await;
    assert_eq!(events.seen().await, (EventType::Added, "a".to_owned()));
    // Nothing here yields, so the feed sees none of it before the history is gone.
    server.create(pod("b")).await;
    server.create(pod("c")).await;
    server.store.compact(server.store.current_revision().await.unwrap()).await.unwrap();
    assert!(events.next().await.unwrap().unwrap_err().is_expired());
    let list = server.pods().list(&server.ctx, "", &ListOptions::default()).await.unwrap();
    assert_eq!(list.items.len(), 3);
    let after = ListOptions { resource_version: list.metadata.resource_version, ..ListOptions::default() };
    let mut events = server.watch::<Pod>("", after).await;
    server.create(pod("d")).await;
    assert_eq!(events.seen().await, (EventType::Added, "d".to_owned()));
}
