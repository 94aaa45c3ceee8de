//! What a controller has written and not yet seen on its watch.
//!
//! A cache is always a little old. A controller that has just created three pods and runs again before their events arrive would create
//! three more. So it notes what it expects, takes each event off, and acts on a key only when nothing is expected any more. What never
//! comes (the event was merged away by a relist) is given up after five minutes, as in Kubernetes' controllers.
//!
//! An event may come before the answer to its write, which is why writes are expected before they are sent. A write that failed for certain
//! is taken off by the one who sent it; one that is in doubt (no answer) is better left to its event, or to the five minutes.

use crate::Key;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Expectations by key of the controlling object. Creations are counted; deletions are told apart by uid, because one that was seen twice
/// must not stand for another.
#[derive(Debug, Default)]
pub struct Expectations {
    /// Without an entry nothing is expected, so keys of objects long gone take no room.
    by_key: Mutex<HashMap<Key, Expected>>,
}

#[derive(Debug)]
struct Expected {
    creations: usize,
    deletions: HashSet<String>,
    /// When the newest of them was noted.
    since: Instant,
}

impl Expected {
    fn is_over(&self) -> bool {
        (self.creations == 0 && self.deletions.is_empty()) || self.since.elapsed() >= Expectations::GIVE_UP
    }
}

impl Expectations {
    /// How long a write may stay unseen before it counts as seen; Kubernetes' number.
    pub const GIVE_UP: Duration = Duration::from_secs(300);

    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes writes that are about to be sent. Call it before sending: the event may be faster than the answer. What is expected already
    /// stays expected.
    pub fn expect(&self, key: &Key, creations: usize, deletions: impl IntoIterator<Item = String>) {
        let mut by_key = self.by_key.lock();
        let since = Instant::now();
        let fresh = || Expected { creations: 0, deletions: HashSet::new(), since };
        let expected = by_key.entry(key.clone()).or_insert_with(fresh);
        if expected.is_over() {
            *expected = fresh();
        }
        expected.since = since;
        expected.creations += creations;
        expected.deletions.extend(deletions);
        if expected.is_over() {
            by_key.remove(key);
        }
    }

    /// A creation was seen, or was not sent after all, or failed.
    pub fn created(&self, key: &Key) {
        self.take_off(key, |expected| expected.creations = expected.creations.saturating_sub(1));
    }

    /// A deletion was seen (its start, not the removal), or was not sent after all, or failed.
    pub fn deleted(&self, key: &Key, uid: &str) {
        self.take_off(key, |expected| _ = expected.deletions.remove(uid));
    }

    /// Whether the cache shows everything that was written for the key.
    pub fn satisfied(&self, key: &Key) -> bool {
        self.by_key.lock().get(key).is_none_or(Expected::is_over)
    }

    /// The controlling object is gone.
    pub fn forget(&self, key: &Key) {
        self.by_key.lock().remove(key);
    }

    fn take_off(&self, key: &Key, what: impl FnOnce(&mut Expected)) {
        let mut by_key = self.by_key.lock();
        if let Some(expected) = by_key.get_mut(key) {
            what(expected);
            if expected.is_over() {
                by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (Expectations, Key) {
        (Expectations::new(), Key::new("default", "web"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_satisfied_when_every_write_was_seen_or_given_up() {
        let (expectations, key) = scene();
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

    #[tokio::test(start_paused = true)]
    async fn expectations_that_overlap_add_up() {
        let (expectations, key) = scene();
        expectations.expect(&key, 1, ["u1".to_owned()]);
        expectations.expect(&key, 1, ["u1".to_owned(), "u2".to_owned()]);
        expectations.created(&key);
        expectations.deleted(&key, "u1");
        expectations.deleted(&key, "u1");
        assert!(!expectations.satisfied(&key), "one creation and the deletion of u2 were not seen");
        expectations.created(&key);
        expectations.deleted(&key, "u2");
        assert!(expectations.satisfied(&key));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_is_not_expected_again() {
        let (expectations, key) = scene();
        expectations.expect(&key, 5, []);
        tokio::time::advance(Expectations::GIVE_UP).await;
        expectations.expect(&key, 1, []);
        assert!(!expectations.satisfied(&key));
        expectations.created(&key);
        assert!(expectations.satisfied(&key));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_before_its_answer_and_one_too_many_do_no_harm() {
        let (expectations, key) = scene();
        expectations.expect(&key, 2, []);
        // The event of the first, then that of a pod that somebody else made, then the failure of the second.
        (0..3).for_each(|_| expectations.created(&key));
        assert!(expectations.satisfied(&key));
        expectations.expect(&key, 1, []);
        assert!(!expectations.satisfied(&key), "the one too many is not kept for later");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_what_is_satisfied_or_forgotten() {
        let (expectations, key) = scene();
        expectations.expect(&key, 0, []);
        expectations.expect(&key, 1, []);
        expectations.created(&key);
        expectations.expect(&Key::new("default", "gone"), 1, []);
        expectations.forget(&Key::new("default", "gone"));
        assert!(expectations.by_key.lock().is_empty());
    }
}
