//! The promises of the queue, one by one.

use super::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

const HOUR: Duration = Duration::from_secs(3600);

fn queue() -> WorkQueue<&'static str> {
    WorkQueue::new(&Shutdown::new())
}

fn cause(revision: i64) -> Cause {
    let parent = format!("00-{revision:032x}-{revision:016x}-01");
    Cause { revision, ..Cause::from_context(telemetry::TraceContext::parse(&parent, "")) }
}

impl WorkQueue<&'static str> {
    async fn is_idle_for(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next()).await.is_err()
    }
}

async fn is_idle(queue: &WorkQueue<&'static str>) -> bool {
    queue.is_idle_for(Duration::from_millis(1)).await
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
    assert!(tokio::time::timeout(Duration::from_secs(60), queue.next()).await.is_err(), "the longer delays are void");
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
async fn an_event_before_a_retry_takes_the_retrys_place_and_causes() {
    let queue = queue();
    queue.add("a", &cause(1));
    queue.failed(queue.next().await.unwrap());
    queue.add("a", &cause(2));
    let item = queue.next().await.unwrap();
    assert_eq!((item.causes.total(), item.attempt), (2, 1));
    queue.done(&item);
    assert!(queue.is_idle_for(HOUR).await, "the retry has nothing left to do");
}

#[tokio::test(start_paused = true)]
async fn an_event_before_a_timer_leaves_the_timer_alone() {
    let queue = queue();
    queue.add_after("a", HOUR);
    queue.add("a", &cause(1));
    queue.done(&queue.next().await.unwrap());
    assert!(queue.is_idle_for(HOUR / 2).await);
    assert_eq!(queue.next().await.unwrap().causes.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_during_a_run_that_fails_has_the_key_run_at_once_with_all_causes() {
    let queue = queue();
    queue.add("a", &cause(1));
    let item = queue.next().await.unwrap();
    queue.add("a", &cause(2));
    assert_eq!(queue.failed(item), Duration::ZERO);
    let start = Instant::now();
    let item = queue.next().await.unwrap();
    assert_eq!((item.causes.total(), item.attempt, start.elapsed()), (2, 1, Duration::ZERO));
    assert_eq!(queue.failed(item), Duration::from_millis(10), "both failures count");
}

#[tokio::test(start_paused = true)]
async fn keys_come_in_the_order_of_their_adding_and_a_busy_one_starves_nobody() {
    let queue = queue();
    for key in ["a", "b", "c"] {
        queue.add_all(key, Causes::none());
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        let item = queue.next().await.unwrap();
        // Each run of "a" causes an event of "a".
        if item.key == "a" {
            queue.add_all("a", Causes::none());
        }
        order.push(item.key);
        queue.done(&item);
        queue.add_all("b", Causes::none());
    }
    assert_eq!(order, ["a", "b", "c", "a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn delays_take_no_memory_per_call_and_none_is_too_long() {
    let queue = queue();
    for seconds in (1..1000).chain((1..1000).rev()) {
        queue.add_after("a", Duration::from_secs(seconds));
    }
    queue.add_after("never", Duration::MAX);
    assert!(format!("{queue:?}").len() < 2000, "{queue:?}");
    let start = Instant::now();
    assert_eq!(queue.next().await.unwrap().key, "a");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

/// The worker that knows of a delay goes away; another one, that has waited longer, must see to it.
#[tokio::test(start_paused = true)]
async fn a_delay_is_kept_whichever_worker_is_busy_or_gone() {
    let queue = queue();
    let worker = |queue: &WorkQueue<&'static str>| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.next().await.unwrap().key })
    };
    let (first, second) = (worker(&queue), worker(&queue));
    tokio::task::yield_now().await;
    queue.add_after("a", Duration::from_secs(10));
    tokio::task::yield_now().await;
    first.abort();
    let start = Instant::now();
    assert_eq!(second.await.unwrap(), "a");
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_due_together_occupy_all_workers() {
    let queue = queue();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await.unwrap().key })
        })
        .collect();
    for key in ["a", "b", "c"] {
        queue.add_after(key, Duration::from_secs(1));
    }
    let mut taken = Vec::new();
    for worker in workers {
        taken.push(tokio::time::timeout(HOUR, worker).await.unwrap().unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, ["a", "b", "c"]);
}

/// Workers that come and go on several threads, events, failures and timers: every event is followed by a run that began after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_lost_and_no_two_runs_of_a_key_overlap() {
    const KEYS: usize = 8;
    let shutdown = Shutdown::new();
    let queue: WorkQueue<usize> = WorkQueue::new(&shutdown);
    let world: Arc<[World; KEYS]> = Arc::default();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, world) = (queue.clone(), Arc::clone(&world));
            tokio::spawn(async move {
                loop {
                    // Often gives up waiting, as a select would.
                    let patience = Duration::from_micros(rand::random_range(0..300));
                    let Ok(next) = tokio::time::timeout(patience, queue.next()).await else { continue };
                    let Some(item) = next else { return };
                    let key = &world[item.key];
                    assert_eq!(key.running.fetch_add(1, SeqCst), 0, "two runs of {} overlap", item.key);
                    let seen = key.events.load(SeqCst);
                    tokio::time::sleep(Duration::from_micros(rand::random_range(0..200))).await;
                    key.seen.fetch_max(seen, SeqCst);
                    key.running.fetch_sub(1, SeqCst);
                    match rand::random_range(0..4) {
                        0 => _ = queue.failed(item),
                        1 => queue.postpone(item, Duration::from_millis(5)),
                        _ => queue.done(&item),
                    }
                }
            })
        })
        .collect();
    for round in 0..2000 {
        let key = rand::random_range(0..KEYS);
        world[key].events.fetch_add(1, SeqCst);
        match round % 3 {
            0 => queue.add_after(key, Duration::from_micros(rand::random_range(0..2000))),
            _ => queue.add_all(key, Causes::none()),
        }
        if round % 16 == 0 {
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..500))).await;
        }
    }
    let all_seen = async {
        while world.iter().any(|key| key.seen.load(SeqCst) < key.events.load(SeqCst)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_seen).await.expect("every event is followed by a run");
    shutdown.trigger();
    for worker in workers {
        worker.await.unwrap();
    }
}

/// What is known of a key outside of the queue.
#[derive(Default)]
struct World {
    events: AtomicU64,
    /// How many events the newest finished run had before it.
    seen: AtomicU64,
    running: AtomicU64,
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
