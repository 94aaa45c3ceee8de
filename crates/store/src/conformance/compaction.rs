//! Compaction: history ends somewhere, and whoever needs more is told.

use super::{by, events_until, keys, next_or_error, origin, value};
use crate::{Error, EventKind, ListOptions, Revision, Store};

const PREFIX: &str = "/registry/configmaps/default/";
const KEY: &str = "/registry/configmaps/default/a";

/// Expired, for lists and watches alike; the present stays.
pub async fn compacted_history_can_be_neither_listed_nor_watched(store: &dyn Store) {
    let first = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let second = store.update(KEY, first, value("two"), &by(2)).await.unwrap();
    let third = store.update(KEY, second, value("three"), &by(3)).await.unwrap();
    store.compact(third).await.unwrap();

    let options = ListOptions { revision: Some(second), ..ListOptions::default() };
    let error = store.list(PREFIX, options).await.unwrap_err();
    assert!(matches!(error, Error::Compacted { requested, .. } if requested == second), "{error:?}");

    // Some stores say so at once, others only in the stream.
    let error = match store.watch(first).await {
        Ok(mut watch) => next_or_error(&mut watch).await.unwrap_err(),
        Err(error) => error,
    };
    let Error::Compacted { requested, compact_revision } = error else { panic!("{error:?}") };
    assert_eq!((requested, compact_revision), (second, Some(third)));

    assert_eq!(keys(store, PREFIX, ListOptions::default()).await, [KEY]);
    assert_eq!(keys(store, PREFIX, ListOptions { revision: Some(third), ..ListOptions::default() }).await, [KEY]);
}

/// The compacted revision itself is still there, even if all it did was to remove a key.
pub async fn a_watch_from_the_compacted_revision_on_is_complete(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let removed = store.delete(KEY, created, &by(2)).await.unwrap();
    let again = store.create(KEY, value("two"), &by(3)).await.unwrap();
    store.compact(removed).await.unwrap();

    let mut watch = store.watch(created).await.unwrap();
    let events = events_until(&mut watch, again).await;
    let seen: Vec<_> = events.iter().map(|event| (event.revision, event.kind, &event.cause.context)).collect();
    let expected = [(removed, EventKind::Removed, &origin(2)), (again, EventKind::Put { created: true }, &origin(3))];
    assert_eq!(seen, expected);
}

/// Several apiservers compact one etcd.
pub async fn compacting_again_does_nothing_and_the_future_cannot_be_compacted(store: &dyn Store) {
    let first = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let second = store.update(KEY, first, value("two"), &by(2)).await.unwrap();
    store.compact(second).await.unwrap();
    store.compact(second).await.unwrap();
    store.compact(first).await.unwrap();
    let future = Revision::new(second.get() + 1000);
    let error = store.compact(future).await.unwrap_err();
    assert!(matches!(error, Error::FutureRevision { requested } if requested == future), "{error:?}");
    store.update(KEY, second, value("three"), &by(3)).await.unwrap();
}
