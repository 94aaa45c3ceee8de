//! Watches: every change once, in order, as each watcher sees it.

use super::*;
use api::rpc::EventType::{Added, Bookmark, Deleted, Modified};
use std::collections::HashSet;

fn after(version: &str) -> ListOptions {
    ListOptions { resource_version: version.to_owned(), ..ListOptions::default() }
}

fn node(name: &str) -> ListOptions {
    selecting("", &format!("spec.nodeName={name}"))
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_each_change_once_with_the_revision_that_the_write_was_answered_with() {
    let server = Server::start().await;
    let start = server.create(pod("before")).await;
    let mut events = server.watch::<Pod>("default", after(&start.metadata.resource_version)).await;
    let created = server.create(pod("web")).await;
    let updated = server.update(labelled(created.clone(), "a", "1")).await.unwrap();
    let deleted = server.delete("web", &grace(0)).await.unwrap();
    for (kind, object) in [(Added, created), (Modified, updated.clone()), (Deleted, deleted.object.decode())] {
        let event = events.event().await;
        assert_eq!((event.r#type(), &event.object), (kind, &object));
    }
    let last = deleted.object.decode().metadata.resource_version;
    assert_ne!(last, updated.metadata.resource_version, "a removal has a revision of its own");
    assert!(events.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_version_starts_with_what_exists() {
    let server = Server::start().await;
    server.create(pod("a")).await;
    server.create(pod("b")).await;
    for version in ["", "0"] {
        let mut events = server.watch::<Pod>("", after(version)).await;
        assert_eq!((events.seen().await, events.seen().await), ((Added, "a".to_owned()), (Added, "b".to_owned())));
        assert!(events.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_after_the_version_that_it_last_saw() {
    let server = Server::start().await;
    let mut versions = vec![server.create(pod("p0")).await.metadata.resource_version];
    for number in 1..10 {
        versions.push(server.create(pod(&format!("p{number}"))).await.metadata.resource_version);
    }
    for (seen, version) in versions.iter().enumerate() {
        let mut events = server.watch::<Pod>("", after(version)).await;
        for missed in seen + 1..10 {
            assert_eq!(events.seen().await, (Added, format!("p{missed}")));
        }
        assert!(events.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_starts_or_stops_to_match_is_added_or_deleted() {
    let server = Server::start().await;
    let mut options = selecting("app=web", "");
    options.resource_version = server.create(pod("other")).await.metadata.resource_version;
    let mut events = server.watch::<Pod>("default", options).await;
    let created = server.create(pod("p")).await;
    let matching = server.update(labelled(created, "app", "web")).await.unwrap();
    let changed = server.update(labelled(matching.clone(), "x", "y")).await.unwrap();
    let unmatching = server.update(labelled(changed.clone(), "app", "db")).await.unwrap();
    assert_eq!(events.seen().await, (Added, "p".to_owned()));
    assert_eq!(events.seen().await, (Modified, "p".to_owned()));
    let last = events.event().await;
    assert_eq!(last.r#type(), Deleted);
    assert_eq!(last.object.metadata.labels, changed.metadata.labels, "the last state that matched");
    assert_eq!(
        last.object.metadata.resource_version, unmatching.metadata.resource_version,
        "at the revision of the change"
    );
    assert!(events.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn c5_a_kubelet_sees_the_pods_of_its_node_and_no_others() {
    let server = Server::start().await;
    let mut own = server.watch::<Pod>("", node("node-1")).await;
    let mut other = server.watch::<Pod>("", node("node-2")).await;
    let mut unbound = server.watch::<Pod>("", node("")).await;
    server.running_pod("web").await;
    assert_eq!(own.seen().await, (Added, "web".to_owned()));
    assert_eq!(own.seen().await, (Modified, "web".to_owned()));
    assert_eq!(unbound.seen().await, (Added, "web".to_owned()));
    assert_eq!(unbound.seen().await, (Deleted, "web".to_owned()), "the scheduler's view of it ends with the binding");
    assert!(other.is_quiet().await && own.is_quiet().await && unbound.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_one_object_sees_that_object() {
    let server = Server::start().await;
    for (namespace, fields) in
        [("default", "metadata.name=a"), ("", "metadata.name=a"), ("", "metadata.name=a,metadata.namespace=default")]
    {
        let mut events = server.watch::<Pod>(namespace, selecting("", fields)).await;
        server.create(pod("a")).await;
        server.create(pod("b")).await;
        assert_eq!(events.seen().await, (Added, "a".to_owned()));
        assert!(events.is_quiet().await);
        for name in ["a", "b"] {
            server.delete(name, &grace(0)).await.unwrap();
        }
        assert_eq!(events.seen().await, (Deleted, "a".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_ends_with_a_marked_bookmark() {
    let server = Server::start().await;
    let created = server.create(pod("a")).await;
    let options = ListOptions {
        send_initial_events: Some(true),
        resource_version_match: "NotOlderThan".to_owned(),
        allow_watch_bookmarks: true,
        ..ListOptions::default()
    };
    let mut events = server.watch::<Pod>("", options.clone()).await;
    let existing = events.event().await;
    assert_eq!((existing.r#type(), existing.object), (Added, created.clone()));
    assert_eq!(existing.cause.unwrap().revision.to_string(), created.metadata.resource_version);
    let end = events.event().await;
    assert_eq!(end.r#type(), Bookmark);
    assert_eq!(end.object.metadata.annotations["k8s.io/initial-events-end"], "true");
    assert!(!end.object.metadata.resource_version.is_empty());
    server.create(pod("b")).await;
    assert_eq!(events.seen().await, (Added, "b".to_owned()));
    let unmarked = ListOptions { allow_watch_bookmarks: false, ..options };
    assert_eq!(server.pods().watch(&server.ctx, "", &unmarked).await.unwrap_err().code(), 422);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_can_be_resumed_from() {
    let server = Server::start().await;
    let options = ListOptions { allow_watch_bookmarks: true, timeout_seconds: Some(90), ..ListOptions::default() };
    let mut events = server.watch::<api::core::v1::Node>("", options).await;
    // Pods change, nodes do not: their bookmark moves on all the same.
    let created = server.create(pod("a")).await;
    let minute = events.event().await;
    assert_eq!(minute.r#type(), Bookmark);
    assert_eq!(minute.object.metadata.resource_version, created.metadata.resource_version);
    let last = events.event().await;
    assert_eq!(last.r#type(), Bookmark, "before its time is up");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_before_the_history_has_expired() {
    let store = MemoryStore::new();
    let settings = Settings { history: 5, ..Settings::default() };
    let server = Server::start_with(store.clone(), Arc::new(store), settings).await;
    let first = server.create(pod("p")).await.metadata.resource_version;
    for number in 0..10 {
        server.create(pod(&format!("p{number}"))).await;
    }
    server.get::<Pod>("default", "p9").await.unwrap();
    let error = server.pods().watch(&server.ctx, "", &after(&first)).await.unwrap_err();
    assert!(
        error.is_expired() && error.message.starts_with(&format!("too old resource version: {first} (")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_cut_off_and_the_others_are_not() {
    let server = Server::start().await;
    let mut slow = server.watch::<Pod>("", ListOptions { allow_watch_bookmarks: true, ..Default::default() }).await;
    let mut quick = server.watch::<Pod>("", ListOptions::default()).await;
    let queue = crate::cache::CacheLimits::default().queue;
    let mut last = pod("web");
    last.metadata.resource_version = server.create(pod("web")).await.metadata.resource_version;
    let mut current: Pod = server.get("default", "web").await.unwrap();
    for round in 0..queue + 10 {
        current = server.update(labelled(current, "round", &round.to_string())).await.unwrap();
        quick.event().await;
    }
    let mut seen = 0;
    let mut last_seen = String::new();
    let error = loop {
        match slow.next().await.expect("it ends with an error") {
            Ok(event) => {
                assert_ne!(event.r#type(), Bookmark, "nothing may claim to have passed what was lost");
                seen += 1;
                last_seen = event.object.metadata.resource_version;
            }
            Err(error) => break error,
        }
    };
    assert_eq!((seen, error.code()), (queue, 503));
    // It resumes where it was, and misses nothing.
    let mut resumed = server.watch::<Pod>("", after(&last_seen)).await;
    for _ in seen..queue + 11 {
        assert_eq!(resumed.seen().await, (Modified, "web".to_owned()));
    }
    assert!(resumed.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn watches_end_with_the_server_and_say_so() {
    let server = Server::start().await;
    let mut events = server.watch::<Pod>("", ListOptions::default()).await;
    server.shutdown.trigger();
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (503, true));
}

#[tokio::test(start_paused = true)]
async fn many_watchers_that_come_and_go_see_every_change_in_order() {
    let server = Server::start().await;
    let mut version = server.create(pod("p")).await.metadata.resource_version;
    let mut seen = HashSet::new();
    let mut current: Pod = server.get("default", "p").await.unwrap();
    for round in 0..200 {
        current = server.update(labelled(current, "round", &round.to_string())).await.unwrap();
        if round % 3 == 0 {
            // Comes back in the middle of changes, reads one event, goes away.
            let mut events = server.watch::<Pod>("", after(&version)).await;
            let event = events.event().await.object;
            assert!(event.metadata.resource_version.parse::<i64>().unwrap() > version.parse::<i64>().unwrap());
            version = event.metadata.resource_version;
            assert!(seen.insert(event.metadata.labels["round"].clone()));
        }
    }
    assert_eq!(seen.len(), 67);
    assert_eq!(server.storage.caches().iter().map(|cache| cache.watchers()).sum::<usize>(), 0, "nobody is left behind");
}
