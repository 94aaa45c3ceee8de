//! Lists: a prefix at one revision, in pages.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{by, keys, text, value};
use crate::{Error, ListOptions, Revision, Store};

const PREFIX: &str = "/registry/configmaps/default/";

fn key(number: usize) -> String {
    format!("{PREFIX}{number:05}")
}

async fn fill(store: &dyn Store, count: usize) -> Revision {
    let writes = stream::iter(0..count).map(|number| async move {
        store.create(&key(number), value(&number.to_string()), &by(1)).await.unwrap();
    });
    writes.buffer_unordered(100).collect::<()>().await;
    store.current_revision().await.unwrap()
}

/// In order of the keys; neighbours whose names begin alike stay out.
pub async fn a_list_is_ordered_and_has_only_its_prefix(store: &dyn Store) {
    for name in ["default/b", "default/a", "default-2/a", "kube-system/a"] {
        store.create(&format!("/registry/configmaps/{name}"), value(name), &by(1)).await.unwrap();
    }
    store.create("/registry/configmapsets/default/a", value("set"), &by(1)).await.unwrap();

    let listing = store.list(PREFIX, ListOptions::default()).await.unwrap();
    let found: Vec<_> = listing.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(found, ["/registry/configmaps/default/a", "/registry/configmaps/default/b"]);
    assert_eq!(text(&listing.entries[0].value), "default/a");
    assert_eq!(listing.revision, store.current_revision().await.unwrap());
    assert_eq!((listing.more, listing.remaining), (false, 0));
    assert_eq!(keys(store, "/registry/configmaps/", ListOptions::default()).await.len(), 4);
    assert!(store.list("/registry/configmaps", ListOptions::default()).await.is_err(), "a prefix ends with a slash");
}

/// What is written between two pages is on neither.
pub async fn pages_at_one_revision_do_not_see_later_writes(store: &dyn Store) {
    let revision = fill(store, 10).await;
    let mut found = Vec::new();
    let mut options = ListOptions { limit: Some(4), ..ListOptions::default() };
    loop {
        let page = store.list(PREFIX, options.clone()).await.unwrap();
        assert_eq!(page.revision, revision);
        found.extend(page.entries.iter().map(|entry| entry.key.to_string()));
        assert_eq!(page.remaining, 10 - found.len() as u64);
        if !page.more {
            break;
        }
        options.revision = Some(page.revision);
        options.start_after = page.entries.last().map(|entry| entry.key.clone());

        store.create(&format!("{}-late", key(found.len())), value("late"), &by(2)).await.unwrap();
        let last = store.get(&key(9)).await.unwrap();
        if let Some(last) = last {
            store.delete(&key(9), last.revision, &by(2)).await.unwrap();
        }
    }
    assert_eq!(found, (0..10).map(key).collect::<Vec<_>>());
}

/// A full page with nothing behind it says that it is the last.
pub async fn the_last_page_may_be_exactly_full(store: &dyn Store) {
    fill(store, 6).await;
    let limit = Some(3);
    let first = store.list(PREFIX, ListOptions { limit, ..ListOptions::default() }).await.unwrap();
    assert_eq!((first.entries.len(), first.more, first.remaining), (3, true, 3));
    let start_after: Option<Arc<str>> = Some(key(2).into());
    let options = ListOptions { limit, start_after, revision: Some(first.revision) };
    let second = store.list(PREFIX, options).await.unwrap();
    assert_eq!((second.entries.len(), second.more, second.remaining), (3, false, 0));
}

/// Old values, removed keys and all.
pub async fn a_list_at_a_past_revision_shows_the_past(store: &dyn Store) {
    let past = fill(store, 3).await;
    let revisions: Vec<_> = {
        let listing = store.list(PREFIX, ListOptions::default()).await.unwrap();
        listing.entries.iter().map(|entry| entry.revision).collect()
    };
    store.update(&key(0), revisions[0], value("changed"), &by(2)).await.unwrap();
    store.delete(&key(1), revisions[1], &by(2)).await.unwrap();

    let then = store.list(PREFIX, ListOptions { revision: Some(past), ..ListOptions::default() }).await.unwrap();
    assert_eq!(then.revision, past);
    assert_eq!(then.entries.iter().map(|entry| text(&entry.value)).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(keys(store, PREFIX, ListOptions::default()).await, [key(0), key(2)]);
}

/// A resourceVersion of another cluster must not hang or pretend.
pub async fn a_list_at_a_future_revision_is_refused(store: &dyn Store) {
    let future = Revision::new(fill(store, 1).await.get() + 1000);
    let error = store.list(PREFIX, ListOptions { revision: Some(future), ..ListOptions::default() }).await.unwrap_err();
    assert!(matches!(error, Error::FutureRevision { requested } if requested == future), "{error:?}");
}

/// More than fits one answer of etcd.
pub async fn a_list_of_thousands_is_complete(store: &dyn Store) {
    let revision = fill(store, 2_300).await;
    let listing = store.list(PREFIX, ListOptions::default()).await.unwrap();
    assert_eq!(listing.revision, revision);
    assert!(listing.entries.iter().map(|entry| entry.key.to_string()).eq((0..2_300).map(key)));

    let limited = store.list(PREFIX, ListOptions { limit: Some(1_700), ..ListOptions::default() }).await.unwrap();
    assert_eq!((limited.entries.len(), limited.more, limited.remaining), (1_700, true, 600));
}

/// Removal records and barriers are nobody's objects.
pub async fn the_stores_own_entries_are_in_no_list(store: &dyn Store) {
    fill(store, 2).await;
    let removed = store.get(&key(0)).await.unwrap().unwrap();
    store.delete(&key(0), removed.revision, &by(2)).await.unwrap();
    store.barrier().await.unwrap();
    assert_eq!(keys(store, store.root(), ListOptions::default()).await, [key(1)]);
}
