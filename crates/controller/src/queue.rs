//! The work queue: keys that need a run, each once, with everything that caused it.
//!
//! Guarantees: a key is in the queue once, however often it is added. It is never handed out while a run of it is going on; if it is added
//! meanwhile, it is handed out again afterwards. Keys come in the order in which they were first added. The queue is bounded by the number of
//! different keys, and the causes of a key by [`Causes`]. After shutdown [`WorkQueue::next`] returns `None` and nothing more is taken in.
//!
//! A delayed key waits apart and joins the queue when its time comes; of two delays the shorter one counts.

use parking_lot::Mutex;
use service_kit::{Backoff, KeyedBackoff, Shutdown};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use telemetry::{Cause, Causes};
use tokio::sync::Notify;
use tokio::time::Instant;

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
    /// Woken for each key that can be handed out, and for each new earliest delay.
    wake: Notify,
    shutdown: Shutdown,
}

#[derive(Debug)]
struct State<T> {
    /// Keys to hand out, in order. Each is in `waiting`.
    order: VecDeque<T>,
    /// Everything known of the keys that need a run, whether in `order` or held back because they are running.
    waiting: HashMap<T, Waiting>,
    running: HashSet<T>,
    delayed: BinaryHeap<Reverse<Delayed<T>>>,
    /// What is known of each delayed key; an entry of the heap with another time is out of date.
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

impl Waiting {
    /// Takes over an earlier turn that did not run: the key has waited since then.
    fn absorb(&mut self, earlier: Waiting) {
        self.causes.merge_all(earlier.causes);
        self.since = self.since.min(earlier.since);
    }
}

/// A delayed key. A retry keeps the causes of the run that failed.
#[derive(Debug)]
struct Due {
    at: Instant,
    causes: Causes,
    attempt: u32,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Delayed<T> {
    at: Instant,
    key: T,
}

/// A key to run. Give it back with [`WorkQueue::done`], whatever comes of the run.
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
        let state = State {
            order: VecDeque::new(),
            waiting: HashMap::new(),
            running: HashSet::new(),
            delayed: BinaryHeap::new(),
            due: HashMap::new(),
            postponed: HashMap::new(),
            backoff: KeyedBackoff::new(Backoff::new(RETRY_FIRST, RETRY_CAP)),
        };
        WorkQueue {
            shared: Arc::new(Shared { state: Mutex::new(state), wake: Notify::new(), shutdown: shutdown.clone() }),
        }
    }

    /// Adds a key because of an event.
    pub fn add(&self, key: T, cause: &Cause) {
        self.add_all(key, Causes::from(cause.clone()));
    }

    /// Adds a key with several causes, or none.
    pub fn add_all(&self, key: T, causes: Causes) {
        self.enqueue(key, causes, 1);
    }

    /// Adds a key after a delay, without a cause: a timer is none.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add_all(key, Causes::none());
        }
        self.delay(&mut self.shared.state.lock(), key, delay, Causes::none(), 1);
        self.shared.wake.notify_one();
    }

    /// The next key, when there is one. `None` after shutdown. Cancel-safe.
    pub async fn next(&self) -> Option<Item<T>> {
        loop {
            if self.shared.shutdown.is_triggered() {
                return None;
            }
            let wait_until = match self.take() {
                Ok(item) => return Some(item),
                Err(wait_until) => wait_until,
            };
            let timer = async {
                match wait_until {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = timer => {}
                () = self.shared.shutdown.triggered() => {}
            }
        }
    }

    /// Ends the run of an item in good order.
    pub fn done(&self, item: &Item<T>) {
        let mut state = self.shared.state.lock();
        state.backoff.forget(&item.key);
        self.finish(state, &item.key);
    }

    /// Ends the run of an item that failed: it runs again after a back-off, with the same causes.
    pub fn failed(&self, item: Item<T>) -> Duration {
        let mut state = self.shared.state.lock();
        let delay = state.backoff.next_delay(&item.key);
        self.delay(&mut state, item.key.clone(), delay, item.causes, item.attempt + 1);
        self.finish(state, &item.key);
        self.shared.wake.notify_one();
        delay
    }

    /// Ends an item's turn without a run: the next one, when the key is added again or after `at_most`, has its causes too.
    pub fn postpone(&self, item: Item<T>, at_most: Duration) {
        let mut state = self.shared.state.lock();
        let Item { key, causes, enqueued_at, attempt } = item;
        let postponed = Waiting { causes, since: enqueued_at, attempt };
        match state.waiting.get_mut(&key) {
            Some(waiting) => waiting.absorb(postponed),
            None => {
                state.postponed.insert(key.clone(), postponed);
                self.delay(&mut state, key.clone(), at_most, Causes::none(), 1);
                self.shared.wake.notify_one();
            }
        }
        self.finish(state, &key);
    }

    /// How many keys wait, without the delayed and the running ones.
    pub fn len(&self) -> usize {
        self.shared.state.lock().order.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enqueue(&self, key: T, causes: Causes, attempt: u32) {
        if self.shared.shutdown.is_triggered() {
            return;
        }
        let mut state = self.shared.state.lock();
        if state.insert(key, causes, attempt) {
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    fn delay(&self, state: &mut State<T>, key: T, delay: Duration, causes: Causes, attempt: u32) {
        let at = Instant::now() + delay;
        let is_new = !state.due.contains_key(&key);
        let due = state.due.entry(key.clone()).or_insert_with(|| Due { at, causes: Causes::none(), attempt });
        due.causes.merge_all(causes);
        due.attempt = due.attempt.max(attempt);
        // An entry that is due earlier, or at the same time, is in the heap already.
        if at < due.at || is_new {
            due.at = at;
            state.delayed.push(Reverse(Delayed { at, key }));
        }
    }

    /// A key to run, or when to look again.
    fn take(&self) -> Result<Item<T>, Option<Instant>> {
        let mut guard = self.shared.state.lock();
        let state = &mut *guard;
        let now = Instant::now();
        while let Some(Reverse(next)) = state.delayed.peek() {
            let current = state.due.get(&next.key).is_some_and(|due| due.at == next.at);
            if current && next.at > now {
                break;
            }
            let Some(Reverse(Delayed { key, .. })) = state.delayed.pop() else { break };
            if let (true, Some(due)) = (current, state.due.remove(&key)) {
                state.insert(key, due.causes, due.attempt);
            }
        }
        let Some(key) = state.order.pop_front() else {
            return Err(state.delayed.peek().map(|Reverse(next)| next.at));
        };
        let waiting = state.waiting.remove(&key).expect("every key in order is waiting");
        state.running.insert(key.clone());
        let more = !state.order.is_empty();
        drop(guard);
        if more {
            self.shared.wake.notify_one();
        }
        Ok(Item { key, causes: waiting.causes, enqueued_at: waiting.since, attempt: waiting.attempt })
    }

    fn finish(&self, mut state: parking_lot::MutexGuard<'_, State<T>>, key: &T) {
        state.running.remove(key);
        if state.waiting.contains_key(key) {
            state.order.push_back(key.clone());
            drop(state);
            self.shared.wake.notify_one();
        }
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    /// Notes that a key needs a run; true if it can be handed out now.
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
        }
        self.waiting.insert(key.clone(), waiting);
        let idle = !self.running.contains(&key);
        if idle {
            self.order.push_back(key);
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> WorkQueue<&'static str> {
        WorkQueue::new(&Shutdown::new())
    }

    fn cause(revision: i64) -> Cause {
        let parent = format!("00-{revision:032x}-{revision:016x}-01");
        Cause { revision, ..Cause::from_context(telemetry::TraceContext::parse(&parent, "")) }
    }

    async fn is_idle(queue: &WorkQueue<&'static str>) -> bool {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_handed_out_once() {
        let queue = queue();
        queue.add_all("a", Causes::none());
        queue.add_all("b", Causes::none());
        queue.add_all("a", Causes::none());
        assert_eq!(queue.next().await.unwrap().key, "a");
        assert_eq!(queue.next().await.unwrap().key, "b");
        assert!(is_idle(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_during_its_run_is_handed_out_after_it() {
        let queue = queue();
        queue.add_all("a", Causes::none());
        let item = queue.next().await.unwrap();
        queue.add_all("a", Causes::none());
        assert!(is_idle(&queue).await, "two runs of one key would overlap");
        queue.done(&item);
        assert_eq!(queue.next().await.unwrap().key, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_delays_the_shorter_counts() {
        let queue = queue();
        queue.add_after("a", Duration::from_secs(10));
        queue.add_after("a", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(5));
        let start = Instant::now();
        let item = queue.next().await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        queue.done(&item);
        assert!(
            tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err(),
            "the longer delays are void"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_count_attempts() {
        let queue = queue();
        queue.add_all("a", Causes::none());
        let mut delays = Vec::new();
        for attempt in 1..=4 {
            let item = queue.next().await.unwrap();
            assert_eq!(item.attempt, attempt);
            delays.push(queue.failed(item).as_millis());
        }
        assert_eq!(delays, [5, 10, 20, 40]);
        let item = queue.next().await.unwrap();
        queue.done(&item);
        queue.add_all("a", Causes::none());
        let item = queue.next().await.unwrap();
        assert_eq!((item.attempt, queue.failed(item).as_millis()), (1, 5), "success forgets the failures");
    }

    #[tokio::test(start_paused = true)]
    async fn a_postponed_key_waits_for_the_next_event_and_keeps_its_causes() {
        let queue = queue();
        queue.add("a", &cause(1));
        let first = queue.next().await.unwrap();
        let since = first.enqueued_at;
        queue.postpone(first, Duration::from_secs(300));
        assert!(is_idle(&queue).await, "nothing has changed yet");
        queue.add("a", &cause(2));
        let second = queue.next().await.unwrap();
        assert_eq!((second.causes.total(), second.enqueued_at), (2, since));
        queue.add("a", &cause(3));
        queue.postpone(second, Duration::from_secs(300));
        let third = queue.next().await.expect("an event came before it was postponed");
        assert_eq!(third.causes.total(), 3);
        queue.postpone(third, Duration::from_secs(300));
        let start = Instant::now();
        assert_eq!(queue.next().await.unwrap().causes.total(), 3, "an event that was lost is given up");
        assert!(start.elapsed() <= Duration::from_secs(300));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_before_a_retry_takes_the_retrys_causes() {
        let queue = queue();
        queue.add("a", &cause(1));
        let item = queue.next().await.unwrap();
        queue.failed(item);
        queue.add("a", &cause(2));
        let item = queue.next().await.unwrap();
        assert_eq!((item.causes.total(), item.attempt), (2, 1));
        queue.done(&item);
        assert_eq!(queue.next().await.unwrap().causes.total(), 0, "the retry has nothing left to explain");
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_the_queue() {
        let shutdown = Shutdown::new();
        let queue: WorkQueue<&str> = WorkQueue::new(&shutdown);
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.is_none() }
        });
        shutdown.trigger();
        assert!(waiting.await.unwrap());
        queue.add_all("a", Causes::none());
        assert!(queue.next().await.is_none());
    }
}
