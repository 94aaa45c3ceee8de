//! What a work queue knows. It neither waits nor reads a clock.
//!
//! ```text
//! add ---------------> waiting, in order -- take --> running -- done --> (nothing)
//!         due  ^            ^                  |
//! add_at ------+-- delayed  |  added meanwhile +-- failed --> delayed, with its causes
//!                           +------------------+-- postpone --> postponed, until it is added
//! ```

use super::Item;
use service_kit::{Backoff, KeyedBackoff};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;
use telemetry::Causes;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct State<T> {
    /// Keys to hand out, in order. Each is in `waiting` and none in `running`.
    order: VecDeque<T>,
    /// Everything known of the keys that need a run, whether in `order` or held back because they are running.
    waiting: HashMap<T, Waiting>,
    running: HashSet<T>,
    /// The keys of `due` by their times.
    delayed: BTreeSet<(Instant, T)>,
    due: HashMap<T, Due>,
    /// Keys whose runs were postponed: what waits for them to be added again.
    postponed: HashMap<T, Waiting>,
    backoff: KeyedBackoff<T>,
}

#[derive(Debug)]
struct Waiting {
    causes: Causes,
    since: jiff::Timestamp,
    attempt: u32,
}

/// A delayed key. A retry keeps the causes of the run that failed.
#[derive(Debug)]
struct Due {
    at: Instant,
    causes: Causes,
    attempt: u32,
    /// Somebody asked for a run at this time, failed runs or not.
    is_timer: bool,
}

impl<T: Clone + Eq + Hash + Ord> State<T> {
    pub(super) fn new(backoff: Backoff) -> Self {
        State {
            order: VecDeque::new(),
            waiting: HashMap::new(),
            running: HashSet::new(),
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            postponed: HashMap::new(),
            backoff: KeyedBackoff::new(backoff),
        }
    }

    /// How many keys can be handed out.
    pub(super) fn ready(&self) -> usize {
        self.order.len()
    }

    /// Notes that a key needs a run; true if there is a key more to hand out.
    pub(super) fn add(&mut self, key: T, causes: Causes) -> bool {
        self.insert(key, causes, 1)
    }

    /// Notes that a key needs a run at that time; true if nothing is due sooner.
    pub(super) fn add_at(&mut self, key: T, at: Instant) -> bool {
        self.delay(key, Due { at, causes: Causes::none(), attempt: 1, is_timer: true })
    }

    /// A key to run, or when one is due.
    pub(super) fn take(&mut self, now: Instant) -> Result<Item<T>, Option<Instant>> {
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.delayed.pop_first() else { break };
            if let Some(Due { causes, attempt, .. }) = self.due.remove(&key) {
                self.insert(key, causes, attempt);
            }
        }
        let Some(key) = self.order.pop_front() else {
            return Err(self.delayed.first().map(|(at, _)| *at));
        };
        let Waiting { causes, since, attempt } = self.waiting.remove(&key).expect("every key in order is waiting");
        self.running.insert(key.clone());
        Ok(Item { key, causes, enqueued_at: since, attempt })
    }

    /// The run ended well; true if there is a key more to hand out.
    pub(super) fn done(&mut self, key: &T) -> bool {
        self.backoff.forget(key);
        self.finish(key)
    }

    /// The run failed. Returns how long its key waits now, and whether nothing is due sooner.
    pub(super) fn failed(&mut self, item: Item<T>, now: Instant) -> (Duration, bool) {
        let Item { key, causes, attempt, .. } = item;
        let delay = self.backoff.next_delay(&key);
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.causes.merge_all(causes);
            self.finish(&key);
            return (Duration::ZERO, false);
        }
        self.finish(&key);
        let retry = Due { at: now + delay, causes, attempt: attempt.saturating_add(1), is_timer: false };
        (delay, self.delay(key, retry))
    }

    /// There was no run. Returns whether the key can be handed out again, and whether nothing is due sooner than its time.
    pub(super) fn postpone(&mut self, item: Item<T>, at: Option<Instant>) -> (bool, bool) {
        let Item { key, causes, enqueued_at, attempt } = item;
        let postponed = Waiting { causes, since: enqueued_at, attempt };
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.absorb(postponed);
            return (self.finish(&key), false);
        }
        self.finish(&key);
        self.postponed.insert(key.clone(), postponed);
        (false, at.is_some_and(|at| self.add_at(key, at)))
    }

    fn finish(&mut self, key: &T) -> bool {
        let ran = self.running.remove(key);
        debug_assert!(ran, "an item is given back once");
        let again = ran && self.waiting.contains_key(key);
        if again {
            self.order.push_back(key.clone());
        }
        again
    }

    fn insert(&mut self, key: T, causes: Causes, attempt: u32) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.causes.merge_all(causes);
            // New events make it a new run; only an undisturbed retry counts as one.
            waiting.attempt = waiting.attempt.min(attempt);
            return false;
        }
        let mut waiting = Waiting { causes, since: jiff::Timestamp::now(), attempt };
        if let Some(postponed) = self.postponed.remove(&key) {
            waiting.absorb(postponed);
        }
        // What a failed run was about is done by this run, not by the retry that is due later.
        if let Some(due) = self.due.get_mut(&key) {
            waiting.causes.merge_all(std::mem::take(&mut due.causes));
            if !due.is_timer {
                self.delayed.remove(&(due.at, key.clone()));
                self.due.remove(&key);
            }
        }
        self.waiting.insert(key.clone(), waiting);
        let is_ready = !self.running.contains(&key);
        if is_ready {
            self.order.push_back(key);
        }
        is_ready
    }

    /// Of two delays of a key the shorter one counts. True if nothing is due sooner.
    fn delay(&mut self, key: T, new: Due) -> bool {
        let at = match self.due.get_mut(&key) {
            None => {
                let at = new.at;
                self.due.insert(key.clone(), new);
                at
            }
            Some(due) => {
                due.causes.merge_all(new.causes);
                due.attempt = due.attempt.max(new.attempt);
                due.is_timer |= new.is_timer;
                if new.at >= due.at {
                    return false;
                }
                self.delayed.remove(&(due.at, key.clone()));
                due.at = new.at;
                new.at
            }
        };
        self.delayed.insert((at, key.clone()));
        self.delayed.first().is_some_and(|(_, first)| *first == key)
    }
}

impl Waiting {
    /// Takes over an earlier turn that did not run: the key has waited since then.
    fn absorb(&mut self, earlier: Waiting) {
        self.causes.merge_all(earlier.causes);
        self.since = self.since.min(earlier.since);
    }
}
