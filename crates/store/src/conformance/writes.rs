//! Create, update and delete: one transaction each, at the revision that was read.

use bytes::Bytes;
use futures::future::join_all;

use super::{by, origin, read, text, value};
use crate::{Error, Revision, Store, WriteContext};

const KEY: &str = "/registry/configmaps/default/a";

/// Value, revisions and cause come back as they went in.
pub async fn a_created_key_reads_back_as_it_was_written(store: &dyn Store) {
    assert!(store.get(KEY).await.unwrap().is_none());
    let before = jiff::Timestamp::now();
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let after = jiff::Timestamp::now();

    let entry = read(store, KEY).await;
    assert_eq!((&*entry.key, entry.value), (KEY, value("one")));
    assert_eq!((entry.revision, entry.create_revision), (revision, revision));
    assert_eq!(entry.cause.context, origin(1));
    assert_eq!(entry.cause.context.tracestate(), "vendor=state");
    assert_eq!(entry.cause.revision, revision.get());
    let committed = entry.cause.committed_at.expect("the commit time is recorded");
    assert!(before <= committed && committed <= after, "{before} {committed} {after}");
}

/// The second create loses.
pub async fn creating_twice_fails_and_changes_nothing(store: &dyn Store) {
    let revision = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let error = store.create(KEY, value("two"), &by(2)).await.unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { key } if &**key == KEY), "{error:?}");
    assert_eq!(store.current_revision().await.unwrap(), revision);
    assert_eq!(text(&read(store, KEY).await.value), "one");
}

/// The new value replaces the old one; the key's birth stays.
pub async fn an_update_at_the_newest_revision_replaces_the_value(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    assert!(updated > created);
    let entry = read(store, KEY).await;
    assert_eq!(text(&entry.value), "two");
    assert_eq!((entry.revision, entry.create_revision), (updated, created));
    assert_eq!(entry.cause.context, origin(2));
}

/// Who lost a race learns from the error what it lost to.
pub async fn an_update_at_an_older_revision_returns_the_current_entry(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let error = store.update(KEY, created, value("three"), &by(3)).await.unwrap_err();
    let Error::Conflict { expected, current } = error else { panic!("{error:?}") };
    assert_eq!((expected, current.revision, current.create_revision), (created, updated, created));
    assert_eq!((&*current.key, text(&current.value).as_str()), (KEY, "two"));
    assert_eq!(current.cause.context, origin(2));
    assert_eq!(store.current_revision().await.unwrap(), updated);
}

/// Not even revision 0, which etcd compares equal to "does not exist".
pub async fn updating_a_missing_key_is_not_found_and_creates_nothing(store: &dyn Store) {
    for expected in [Revision::NONE, Revision::new(1)] {
        let error = store.update(KEY, expected, value("one"), &by(1)).await.unwrap_err();
        assert!(matches!(&error, Error::NotFound { key } if &**key == KEY), "{error:?}");
    }
    assert!(store.get(KEY).await.unwrap().is_none());
}

/// Gone, at a revision of its own.
pub async fn a_delete_at_the_newest_revision_removes_the_key(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let removed = store.delete(KEY, created, &by(2)).await.unwrap();
    assert!(removed > created);
    assert_eq!(store.current_revision().await.unwrap(), removed);
    assert!(store.get(KEY).await.unwrap().is_none());
}

/// A delete races like an update.
pub async fn a_delete_at_an_older_revision_returns_the_current_entry(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let error = store.delete(KEY, created, &by(3)).await.unwrap_err();
    let Error::Conflict { current, .. } = error else { panic!("{error:?}") };
    assert_eq!((current.revision, text(&current.value).as_str()), (updated, "two"));
    assert_eq!(read(store, KEY).await.revision, updated);
}

/// A second delete is not an accident that the caller must guess at.
pub async fn deleting_a_missing_key_is_not_found(store: &dyn Store) {
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    store.delete(KEY, created, &by(2)).await.unwrap();
    let error = store.delete(KEY, created, &by(3)).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound { key } if &**key == KEY), "{error:?}");
}

/// The second life has its own birth.
pub async fn a_removed_key_can_be_created_again(store: &dyn Store) {
    let first = store.create(KEY, value("one"), &by(1)).await.unwrap();
    store.delete(KEY, first, &by(2)).await.unwrap();
    let second = store.create(KEY, value("two"), &by(3)).await.unwrap();
    let entry = read(store, KEY).await;
    assert_eq!((entry.revision, entry.create_revision), (second, second));
}

/// Revisions count writes, barriers included, and nothing else.
pub async fn every_write_gets_a_revision_of_its_own(store: &dyn Store) {
    let start = store.current_revision().await.unwrap();
    let created = store.create(KEY, value("one"), &by(1)).await.unwrap();
    read(store, KEY).await;
    let updated = store.update(KEY, created, value("two"), &by(2)).await.unwrap();
    let barrier = store.barrier().await.unwrap();
    let removed = store.delete(KEY, updated, &by(3)).await.unwrap();
    assert_eq!([created, updated, barrier, removed].map(|r| r.get() - start.get()), [1, 2, 3, 4]);
    assert_eq!(store.current_revision().await.unwrap(), removed);
}

/// A heartbeat's revision is known, its trace is not.
pub async fn an_untraced_write_has_a_cause_without_context(store: &dyn Store) {
    let revision = store.create(KEY, value("one"), &WriteContext::default()).await.unwrap();
    let cause = read(store, KEY).await.cause;
    assert!(!cause.context.is_valid());
    assert_eq!(cause.revision, revision.get());
    assert!(cause.committed_at.is_some());
}

/// Compare-and-swap under contention: the sum is exact.
pub async fn a_hundred_writers_that_increment_one_key_lose_nothing(store: &dyn Store) {
    const WRITERS: u64 = 100;
    const INCREMENTS: u64 = 3;
    store.create(KEY, value("0"), &by(0)).await.unwrap();
    let writers = (0..WRITERS).map(|writer| async move {
        let mut entry = read(store, KEY).await;
        for _ in 0..INCREMENTS {
            loop {
                let next = text(&entry.value).parse::<u64>().unwrap() + 1;
                match store.update(KEY, entry.revision, value(&next.to_string()), &by(writer)).await {
                    Ok(revision) => {
                        entry.revision = revision;
                        entry.value = value(&next.to_string());
                        break;
                    }
                    Err(Error::Conflict { current, .. }) => entry = *current,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    join_all(writers).await;
    assert_eq!(text(&read(store, KEY).await.value), (WRITERS * INCREMENTS).to_string());
}

/// Kubernetes' limit on the size of an object is etcd's limit on a request.
pub async fn a_value_of_nearly_1_5_mib_is_kept_and_a_larger_one_refused(store: &dyn Store) {
    let large = value(&"x".repeat((3 << 19) - 1024));
    let revision = store.create(KEY, large.clone(), &by(1)).await.unwrap();
    assert_eq!(read(store, KEY).await.value, large);

    // etcd refuses what is a little too large and what is far too large in two different ways.
    for size in [3 << 19, 8 << 20] {
        let error = store.update(KEY, revision, value(&"x".repeat(size)), &by(2)).await.unwrap_err();
        let Error::TooLarge { key, size: said, .. } = &error else { panic!("{error:?}") };
        assert_eq!(&**key, KEY);
        assert!(*said > size, "{error}");
    }
    assert_eq!(read(store, KEY).await.revision, revision);
}

/// A defect of the caller is refused before anything is written.
pub async fn only_keys_of_objects_under_the_root_can_be_written(store: &dyn Store) {
    let before = store.current_revision().await.unwrap();
    for key in ["/elsewhere/a", "/registry/", "/registry/configmaps/", "/registry/traceplane.dev/barrier", ""] {
        let error = store.create(key, value("one"), &by(1)).await.unwrap_err();
        assert!(matches!(error, Error::Internal(_)), "{key}: {error:?}");
    }
    let error = store.create(KEY, Bytes::from_static(b"{}"), &by(1)).await.unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "not an envelope: {error:?}");
    assert_eq!(store.current_revision().await.unwrap(), before);
}
