//! The work queue: keys that need a run, each once, with everything that caused it.
//!
//! Guarantees: a key is in the queue once, however often it is added. It is never handed out while a run of it is going on; if it is added
//! meanwhile, it is handed out again afterwards. Keys come in the order in which they were first added, those that were added during their
//! run in the order in which their runs end. The queue is bounded by the number of different keys, and the causes of a key by [`Causes`].
//! After shutdown [`WorkQueue::next`] returns `None` and nothing more is taken in: what is left is found again by the next process.
//!
//! A delayed key waits apart and joins the queue when its time comes; of two delays the shorter one counts. A key that is added before its
//! retry is due has its retry with that.

mod state;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use service_kit::{Backoff, Shutdown};
use state::State;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use telemetry::{Cause, Causes};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// client-go's default for retries: 5 ms, doubling, at most 1000 s.
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_CAP: Duration = Duration::from_secs(1000);

/// A queue of keys. Clones share it.
#[derive(Debug)]
pub struct WorkQueue<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// One is woken for each key that can be handed out, and all of them for a new earliest delay: each keeps the time of it, so that it
    /// does not matter which of them is busy or has gone away when it is due.
    wake: Notify,
    shutdown: Shutdown,
}

/// A key to run. Give it back with [`WorkQueue::done`], [`WorkQueue::failed`] or [`WorkQueue::postpone`], whatever comes of the run: until
/// then the key is not handed out again.
#[derive(Debug)]
pub struct Item<T> {
    /// What to run.
    pub key: T,
    /// What made the run necessary.
    pub causes: Causes,
    /// When the key was added.
    pub enqueued_at: jiff::Timestamp,
    /// Which try this is, from 1.
    pub attempt: u32,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        WorkQueue { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Clone + Eq + Hash + Ord> WorkQueue<T> {
    /// An empty queue that ends with `shutdown`.
    pub fn new(shutdown: &Shutdown) -> Self {
        let state = Mutex::new(State::new(Backoff::new(RETRY_FIRST, RETRY_CAP)));
        WorkQueue { shared: Arc::new(Shared { state, wake: Notify::new(), shutdown: shutdown.clone() }) }
    }

    /// Adds a key because of an event.
    pub fn add(&self, key: T, cause: &Cause) {
        self.add_all(key, Causes::from(cause.clone()));
    }

    /// Adds a key with several causes, or none.
    pub fn add_all(&self, key: T, causes: Causes) {
        if self.shared.shutdown.is_triggered() {
            return;
        }
        if self.shared.state.lock().add(key, causes) {
            self.shared.wake.notify_one();
        }
    }

    /// Adds a key after a delay, without a cause: a timer is none.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add_all(key, Causes::none());
        }
        if self.shared.shutdown.is_triggered() {
            return;
        }
        // A delay beyond all time is none that anybody waits for.
        let Some(at) = Instant::now().checked_add(delay) else { return };
        if self.shared.state.lock().add_at(key, at) {
            self.shared.wake.notify_waiters();
        }
    }

    /// The next key, when there is one. `None` after shutdown. Cancel-safe.
    pub async fn next(&self) -> Option<Item<T>> {
        loop {
            if self.shared.shutdown.is_triggered() {
                return None;
            }
            // Made before the look, so that nothing that is added between the look and the wait is missed.
            let woken = self.shared.wake.notified();
            let next_due = match self.take() {
                Ok(item) => return Some(item),
                Err(next_due) => next_due,
            };
            let due = async {
                match next_due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = due => {}
                () = self.shared.shutdown.triggered() => {}
            }
        }
    }

    /// Ends the run of an item in good order.
    pub fn done(&self, item: &Item<T>) {
        if self.shared.state.lock().done(&item.key) {
            self.shared.wake.notify_one();
        }
    }

    /// Ends the run of an item that failed: it runs again, with the same causes, after a back-off, which is returned. It has none if the
    /// key was added during the run: what has changed may be what was missing.
    pub fn failed(&self, item: Item<T>) -> Duration {
        let mut state = self.shared.state.lock();
        let (delay, is_first) = state.failed(item, Instant::now());
        drop(state);
        if delay.is_zero() {
            self.shared.wake.notify_one();
        } else if is_first {
            self.shared.wake.notify_waiters();
        }
        delay
    }

    /// Ends an item's turn without a run: the next one, when the key is added again or after `at_most`, has its causes too.
    pub fn postpone(&self, item: Item<T>, at_most: Duration) {
        let mut state = self.shared.state.lock();
        let (is_ready, is_first) = state.postpone(item, Instant::now().checked_add(at_most));
        drop(state);
        if is_ready {
            self.shared.wake.notify_one();
        } else if is_first {
            self.shared.wake.notify_waiters();
        }
    }

    /// How many keys wait, without the delayed and the running ones.
    pub fn len(&self) -> usize {
        self.shared.state.lock().ready()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A key to run, or when to look again.
    fn take(&self) -> Result<Item<T>, Option<Instant>> {
        let mut state = self.shared.state.lock();
        let taken = state.take(Instant::now());
        // Keys that became due together wake one worker; it wakes the next.
        if taken.is_ok() && state.ready() > 0 {
            self.shared.wake.notify_one();
        }
        taken
    }
}
