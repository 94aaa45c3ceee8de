//! Workers, their queue and their spans.

use parking_lot::Mutex;
use service_kit::{Shutdown, Supervisor};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use telemetry::span::TraceMode;
use telemetry::span::reconcile::RunSteps;
use telemetry::testing::Recorder;
use telemetry::{Cause, Causes, TraceContext};
use testkit::scripted::traceparent;
use tokio::time::{Instant, sleep};
use traceplane_controller::{Controller, Key, Outcome, WorkQueue, run};

const SECOND: Duration = Duration::from_secs(1);

struct Scene {
    queue: WorkQueue<Key>,
    supervisor: Supervisor,
    shutdown: Shutdown,
}

impl Scene {
    fn new() -> Scene {
        let shutdown = Shutdown::new();
        Scene { queue: WorkQueue::new(&shutdown), supervisor: Supervisor::new(&shutdown), shutdown }
    }

    fn run<F>(&self, workers: usize, reconcile: impl Fn(Key) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Outcome, String>> + Send + 'static,
    {
        let steps = RunSteps::default();
        let controller = Controller { name: "test", kind: "Pod", steps, mode: TraceMode::Continue, workers };
        let reconcile = move |key: Key, _: Causes| reconcile(key);
        let (queue, supervisor, shutdown) = (self.queue.clone(), &self.supervisor, &self.shutdown);
        run(controller, queue, |_| TraceContext::NONE, reconcile, supervisor, shutdown);
    }

    fn add(&self, name: &str) {
        self.queue.add(Key::new("default", name), &cause(1));
    }
}

fn cause(revision: i64) -> Cause {
    Cause::received(TraceContext::parse(&traceparent(revision), ""), revision, None)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_panics_has_failed_and_takes_neither_its_key_nor_the_others_away() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let scene = Scene::new();
    let runs: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&runs);
    scene.run(1, move |key| {
        log.lock().push(key.name.clone());
        // Both before the future exists and within it.
        let tries = log.lock().iter().filter(|name| **name == key.name).count();
        assert!(key.name != "bad" || tries != 1, "one");
        async move {
            assert!(key.name != "bad" || tries != 2, "two");
            Ok(Outcome::Done)
        }
    });
    scene.add("bad");
    scene.add("good");
    sleep(SECOND).await;
    assert_eq!(*runs.lock(), ["bad", "good", "bad", "bad"], "until it succeeds, and no longer");
    assert!(!scene.shutdown.is_triggered(), "the service goes on");
    let bad: Vec<_> = recorder.named("sync test").into_iter().map(|span| span.error).collect();
    assert_eq!(bad, [Some("one".to_owned()), None, Some("two".to_owned()), None], "{recorder}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_runs_end_and_begins_no_other() {
    let scene = Scene::new();
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&ended));
    scene.run(2, move |_| {
        begins.fetch_add(1, SeqCst);
        let ends = Arc::clone(&ends);
        async move {
            sleep(3 * SECOND).await;
            ends.fetch_add(1, SeqCst);
            Ok(Outcome::After(SECOND))
        }
    });
    ["a", "b", "c"].iter().for_each(|name| scene.add(name));
    sleep(SECOND).await;
    let start = Instant::now();
    scene.shutdown.trigger();
    scene.supervisor.wait(5 * SECOND).await.unwrap();
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!((begun.load(SeqCst), ended.load(SeqCst)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn different_keys_run_together_and_one_key_never_twice() {
    let scene = Scene::new();
    let running: Arc<Mutex<Vec<String>>> = Arc::default();
    let (together, twice) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (runs, most, overlaps) = (Arc::clone(&running), Arc::clone(&together), Arc::clone(&twice));
    scene.run(3, move |key| {
        let (runs, most, overlaps) = (Arc::clone(&runs), Arc::clone(&most), Arc::clone(&overlaps));
        async move {
            overlaps.fetch_add(usize::from(runs.lock().contains(&key.name)), SeqCst);
            runs.lock().push(key.name.clone());
            most.fetch_max(runs.lock().len(), SeqCst);
            sleep(SECOND).await;
            runs.lock().retain(|name| *name != key.name);
            Ok(Outcome::Done)
        }
    });
    for _ in 0..20 {
        ["a", "b", "c", "d"].iter().for_each(|name| scene.add(name));
        sleep(SECOND / 3).await;
    }
    assert_eq!((together.load(SeqCst), twice.load(SeqCst)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_may_ask_for_another_later_and_a_failed_one_backs_off() {
    let scene = Scene::new();
    let times: Arc<Mutex<Vec<u128>>> = Arc::default();
    let (log, start) = (Arc::clone(&times), Instant::now());
    scene.run(1, move |_| {
        log.lock().push(start.elapsed().as_millis());
        let run = log.lock().len();
        async move {
            match run {
                1 => Ok(Outcome::After(10 * SECOND)),
                2 | 3 => Err("not yet".to_owned()),
                _ => Ok(Outcome::Done),
            }
        }
    });
    scene.add("a");
    sleep(60 * SECOND).await;
    assert_eq!(*times.lock(), [0, 10_000, 10_005, 10_015]);
}
