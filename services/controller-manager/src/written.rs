//! Reading one's own writes: a cache that does not show yet what a controller wrote must not be acted on.
//!
//! Every write is noted by the revision that the apiserver answered with. Before the next run of the same owner, the cache must show that
//! revision or a newer one. It costs nothing but the few milliseconds that the event takes anyway, and spares the conflict that a decision on
//! the old state would end in.

use api::Resource;
use controller::{Cache, Expectations, Key};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Writes of objects of one kind, by the key of the run that wrote them.
#[derive(Debug, Default)]
pub struct Written {
    by_owner: Mutex<HashMap<Key, Vec<Write>>>,
}

#[derive(Debug)]
struct Write {
    object: Key,
    shows: Shows,
    at: Instant,
}

/// What the cache has to show.
#[derive(Debug)]
enum Shows {
    /// The object, at this revision or a newer one.
    Created(i64),
    /// The same; or nothing, if it was deleted meanwhile.
    Changed(i64),
    /// Anything but the object with this uid.
    Deleted(String),
}

impl Written {
    /// Notes an object as the apiserver answered to its creation.
    pub fn created<K: Resource>(&self, owner: &Key, stored: &K) {
        self.note(owner, Key::of(stored), Shows::Created(revision(stored)));
    }

    /// Notes an object as the apiserver answered to its update or patch.
    pub fn changed<K: Resource>(&self, owner: &Key, stored: &K) {
        self.note(owner, Key::of(stored), Shows::Changed(revision(stored)));
    }

    /// Notes an object that was removed.
    pub fn deleted<K: Resource>(&self, owner: &Key, object: &K) {
        self.note(owner, Key::of(object), Shows::Deleted(object.metadata().uid.clone()));
    }

    fn note(&self, owner: &Key, object: Key, shows: Shows) {
        let write = Write { object, shows, at: Instant::now() };
        self.by_owner.lock().entry(owner.clone()).or_default().push(write);
    }

    /// Whether the cache shows everything that was written for `owner`.
    pub fn is_shown<K: Resource>(&self, owner: &Key, cache: &Cache<K>) -> bool {
        let mut by_owner = self.by_owner.lock();
        let Some(writes) = by_owner.get_mut(owner) else { return true };
        writes.retain(|write| !write.is_shown(cache) && write.at.elapsed() < GIVE_UP);
        let is_shown = writes.is_empty();
        if is_shown {
            by_owner.remove(owner);
        }
        is_shown
    }
}

const GIVE_UP: Duration = Expectations::GIVE_UP;

impl Write {
    fn is_shown<K: Resource>(&self, cache: &Cache<K>) -> bool {
        match (&self.shows, cache.get(&self.object)) {
            (Shows::Created(at_least), cached) => cached.is_some_and(|object| revision(&*object) >= *at_least),
            (Shows::Changed(at_least), cached) => cached.is_none_or(|object| revision(&*object) >= *at_least),
            (Shows::Deleted(uid), cached) => cached.is_none_or(|object| object.metadata().uid != *uid),
        }
    }
}

/// Revisions are etcd's, and count up.
fn revision<K: Resource>(object: &K) -> i64 {
    object.metadata().resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::ConfigMap;

    fn object(uid: &str, revision: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = "x".to_owned();
        object.metadata.uid = uid.to_owned();
        object.metadata.resource_version = revision.to_owned();
        object
    }

    #[tokio::test(start_paused = true)]
    async fn w6_a_run_waits_until_the_cache_shows_the_last_one() {
        type Note = fn(&Written, &Key);
        let created: Note = |written, owner| written.created(owner, &object("u", "9"));
        let changed: Note = |written, owner| written.changed(owner, &object("u", "9"));
        let deleted: Note = |written, owner| written.deleted(owner, &object("u", "9"));
        let (none, old, new, other) = (vec![], vec![object("u", "8")], vec![object("u", "9")], vec![object("v", "10")]);
        let table = [
            (created, [(&none, false), (&old, false), (&new, true), (&other, true)]),
            (changed, [(&none, true), (&old, false), (&new, true), (&other, true)]),
            (deleted, [(&none, true), (&old, false), (&new, false), (&other, true)]),
        ];
        let owner = Key::new("default", "owner");
        for (note, cases) in table {
            for (cached, expected) in cases {
                let (written, cache) = (Written::default(), Cache::of(cached.clone(), vec![]));
                note(&written, &owner);
                assert_eq!(written.is_shown(&owner, &cache), expected, "{written:?} {cached:?}");
                assert!(written.is_shown(&Key::new("default", "another"), &cache));
                tokio::time::advance(GIVE_UP).await;
                assert!(written.is_shown(&owner, &cache), "an event that was lost is given up");
            }
        }
    }
}
