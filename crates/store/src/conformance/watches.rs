//! Watches: every revision once, in order, whole, with its cause.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::{by, events_until, next, origin, read, text, value};
use crate::{EventKind, ListOptions, Store};

const KEY: &str = "/registry/configmaps/default/a";
const CREATED: EventKind = EventKind::Put { created: true };
const UPDATED: EventKind = EventKind::Put { created: false };

/// The three kinds of change, as they happened.
pub async fn a_watch_sees_every_change_once_and_in_order(store: &dyn Store) {
    let mut watch = store.watch(store.current_revision().await.unwrap()).await.unwrap();
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let removed = store.delete(KEY, updated, &by(3)).await.unwrap();
    let again = store.create(KEY, value("three"), &by(4)).await.unwrap();

    let events = events_until(&mut watch, again).await;
    let seen: Vec<_> = events.iter().map(|event| (&*event.key, event.revision, event.kind)).collect();
    let expected =
        [(KEY, created, CREATED), (KEY, updated, UPDATED), (KEY, removed, EventKind::Removed), (KEY, again, CREATED)];
    assert_eq!(seen, expected);
    assert_eq!(events[1].value, value("two"));
    assert!(events[2].value.is_empty());
}

/// What traces are made of: also the removal says who did it.
pub async fn a_watch_sees_the_cause_of_creates_updates_and_removals(store: &dyn Store) {
    let mut watch = store.watch(store.current_revision().await.unwrap()).await.unwrap();
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let removed = store.delete(KEY, updated, &by(3)).await.unwrap();
    for (revision, number) in [(created, 1), (updated, 2), (removed, 3)] {
        let batch = next(&mut watch).await;
        assert_eq!((batch.revision, batch.events.len()), (revision, 1));
        let cause = &batch.events[0].cause;
        assert_eq!((&cause.context, cause.revision), (&origin(number), revision.get()));
        let (committed, received) = (cause.committed_at.unwrap(), cause.received_at.unwrap());
        assert!(committed <= received, "committed at {committed}, received at {received}");
    }
}

/// A watcher that comes late catches up.
pub async fn a_watch_after_a_past_revision_replays_what_followed(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let removed = store.delete(KEY, updated, &by(3)).await.unwrap();
    let mut watch = store.watch(created).await.unwrap();
    let events = events_until(&mut watch, removed).await;
    assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [updated, removed]);
    assert_eq!(events[1].cause.context, origin(3));

    let mut all = store.watch(crate::Revision::NONE).await.unwrap();
    assert_eq!(events_until(&mut all, removed).await.len(), 3);
}

/// Fifty writers, two watchers, one order.
pub async fn a_watch_of_racing_writers_misses_and_repeats_nothing(store: &dyn Store) {
    const WRITERS: u64 = 50;
    let start = store.current_revision().await.unwrap();
    let mut early = store.watch(start).await.unwrap();
    let writers = (0..WRITERS).map(|writer| async move {
        let key = format!("/registry/configmaps/default/{writer}");
        let mut revision = store.create(&key, value("0"), &by(writer)).await.unwrap();
        for round in 1..4 {
            revision = store.update(&key, revision, value(&round.to_string()), &by(writer)).await.unwrap();
        }
        store.delete(&key, revision, &by(writer)).await.unwrap();
    });
    join_all(writers).await;
    let end = store.current_revision().await.unwrap();
    let mut late = store.watch(start).await.unwrap();
    for watch in [&mut early, &mut late] {
        let mut lives: BTreeMap<String, Vec<(EventKind, String)>> = BTreeMap::new();
        for event in events_until(watch, end).await {
            let writer = event.key.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(event.cause.context, origin(writer), "{event:?}");
            let value = if event.value.is_empty() { String::new() } else { text(&event.value) };
            lives.entry(event.key.to_string()).or_default().push((event.kind, value));
        }
        let life = [(CREATED, "0"), (UPDATED, "1"), (UPDATED, "2"), (UPDATED, "3"), (EventKind::Removed, "")]
            .map(|(kind, value)| (kind, value.to_owned()));
        assert_eq!(lives.len() as u64, WRITERS);
        assert!(lives.values().all(|seen| *seen == life), "{lives:?}");
    }
}

/// How every cache begins.
pub async fn a_list_and_the_watch_after_it_leave_no_gap(store: &dyn Store) {
    let writer = async {
        for number in 0..100 {
            store.create(&format!("{KEY}{number:03}"), value(""), &by(1)).await.unwrap();
        }
        store.current_revision().await.unwrap()
    };
    let cache = async {
        // Not before the writer has begun, so that the list falls into the middle.
        while store.list(store.root(), ListOptions::default()).await.unwrap().entries.len() < 20 {}
        let listing = store.list(store.root(), ListOptions::default()).await.unwrap();
        (listing.entries.len(), store.watch(listing.revision).await.unwrap())
    };
    let (end, (listed, mut watch)) = futures::join!(writer, cache);
    let watched = if listed < 100 { events_until(&mut watch, end).await.len() } else { 0 };
    assert_eq!(listed + watched, 100);
}

/// A consistent read can wait for its cache although nobody writes.
pub async fn a_barrier_passes_a_quiet_watch(store: &dyn Store) {
    store.create(KEY, value("one"), &by(1)).await.unwrap();
    let mut watch = store.watch(read(store, KEY).await.revision).await.unwrap();
    for _ in 0..2 {
        let barrier = store.barrier().await.unwrap();
        assert!(events_until(&mut watch, barrier).await.is_empty());
    }
}
