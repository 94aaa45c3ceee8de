//! What a controller has written and not yet seen on its watch.
//!
//! A cache is always a little old. A controller that has just created three pods and runs again before their events arrive would create
//! three more. So it notes what it expects, takes each event off, and acts on a key only when nothing is expected any more. What never
//! comes (the event was merged away by a relist) is given up after five minutes, as in Kubernetes' controllers.

use crate::Key;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Expectations by key of the controlling object. Creations are counted; deletions are told apart by uid, because one that was seen twice
/// must not stand for another.
#[derive(Debug, Default)]
pub struct Expectations {
    by_key: Mutex<HashMap<Key, Expected>>,
}

#[derive(Debug)]
struct Expected {
    creations: usize,
    deletions: HashSet<String>,
    since: Instant,
}

impl Expectations {
    /// How long a write may stay unseen before it counts as seen; Kubernetes' number.
    pub const GIVE_UP: Duration = Duration::from_secs(300);

    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes writes that are about to be sent. Call it before sending: the event may be faster than the answer.
    pub fn expect(&self, key: &Key, creations: usize, deletions: impl IntoIterator<Item = String>) {
        let expected = Expected { creations, deletions: deletions.into_iter().collect(), since: Instant::now() };
        self.by_key.lock().insert(key.clone(), expected);
    }

    /// A creation was seen, or was not sent after all, or failed.
    pub fn created(&self, key: &Key) {
        if let Some(expected) = self.by_key.lock().get_mut(key) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    /// A deletion was seen (its start, not the removal), or was not sent after all, or failed.
    pub fn deleted(&self, key: &Key, uid: &str) {
        if let Some(expected) = self.by_key.lock().get_mut(key) {
            expected.deletions.remove(uid);
        }
    }

    /// Whether the cache shows everything that was written for the key.
    pub fn satisfied(&self, key: &Key) -> bool {
        self.by_key
            .lock()
            .get(key)
            .is_none_or(|e| (e.creations == 0 && e.deletions.is_empty()) || e.since.elapsed() >= Self::GIVE_UP)
    }

    /// The controlling object is gone.
    pub fn forget(&self, key: &Key) {
        self.by_key.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_satisfied_when_every_write_was_seen_or_given_up() {
        let (expectations, key) = (Expectations::new(), Key::new("default", "web"));
        assert!(expectations.satisfied(&key));
        expectations.expect(&key, 2, ["u1".to_owned()]);
        expectations.created(&key);
        expectations.deleted(&key, "u2");
        expectations.created(&key);
        assert!(!expectations.satisfied(&key), "the deletion of u1 was not seen");
        expectations.deleted(&key, "u1");
        assert!(expectations.satisfied(&key));
        expectations.expect(&key, 1, []);
        tokio::time::advance(Expectations::GIVE_UP).await;
        assert!(expectations.satisfied(&key), "what never comes is given up");
    }
}
