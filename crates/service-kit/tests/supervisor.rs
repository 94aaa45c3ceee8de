//! The promises of the supervisor: failures act by their policy, panics are failures, ends are waited for and bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use traceplane_service_kit::supervisor::SupervisorError;
use traceplane_service_kit::{Backoff, OnFailure, Shutdown, Supervisor};

const SECOND: Duration = Duration::from_secs(1);

fn supervisor() -> (Shutdown, Supervisor) {
    let shutdown = Shutdown::new();
    let supervisor = Supervisor::new(&shutdown);
    (shutdown, supervisor)
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_the_service_and_names_the_task() {
    let (shutdown, supervisor) = supervisor();
    let seen = shutdown.clone();
    supervisor.spawn("worker", OnFailure::StopService, async move { seen.triggered().await });
    supervisor.spawn("informer", OnFailure::StopService, async { Err("the watch ended") });
    let error = supervisor.wait(SECOND).await.unwrap_err();
    assert!(matches!(&error, SupervisorError::Failed { task, .. } if task == "informer"), "{error:?}");
    assert!(supervisor.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let (_, supervisor) = supervisor();
    supervisor.spawn("worker", OnFailure::StopService, async {
        assert_eq!(1, 2, "sums");
    });
    let error = supervisor.wait(SECOND).await.unwrap_err();
    assert!(
        matches!(&error, SupervisorError::Panicked { task, message } if task == "worker" && message.contains("sums")),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_ignored_failure_leaves_the_service_running() {
    let (shutdown, supervisor) = supervisor();
    supervisor.spawn("metrics", OnFailure::Ignore, async { Err("lost") });
    sleep(SECOND).await;
    assert!(!shutdown.is_triggered() && supervisor.running().is_empty());
    shutdown.trigger();
    supervisor.wait(SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_is_no_failure() {
    let (shutdown, supervisor) = supervisor();
    supervisor.spawn("once", OnFailure::StopService, async { Ok::<(), &str>(()) });
    sleep(SECOND).await;
    assert!(!shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn a_restarting_task_waits_longer_each_time_until_it_has_worked() {
    let (shutdown, supervisor) = supervisor();
    let start = Instant::now();
    let (starts, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let mut runs = 0;
    supervisor.spawn_restarting("watch", Backoff::new(SECOND, 4 * SECOND), move || {
        runs += 1;
        starts.send(start.elapsed().as_secs()).unwrap();
        async move {
            match runs {
                2 => panic!("a panic restarts too"),
                // Longer than the cap: the back-off starts over.
                5 => sleep(10 * SECOND).await,
                7 => return Ok(()),
                _ => {}
            }
            Err("broken")
        }
    });
    let mut times = Vec::new();
    while let Some(time) = seen.recv().await {
        times.push(time);
    }
    // Delays 1, 2, 4, 4 (cap); then 10 s of work and 1, 2 again; the seventh run ends well.
    assert_eq!(times, [0, 1, 3, 7, 11, 22, 24]);
    assert!(!shutdown.is_triggered());
}

#[tokio::test(start_paused = true)]
async fn a_restarting_task_is_not_restarted_while_stopping() {
    let (shutdown, supervisor) = supervisor();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    supervisor.spawn_restarting("watch", Backoff::new(60 * SECOND, 60 * SECOND), move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Err("broken") }
    });
    sleep(SECOND).await;
    shutdown.trigger();
    supervisor.wait(SECOND).await.expect("the wait for the restart is cut short");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_do_not_stop_are_named_and_aborted() {
    let (shutdown, supervisor) = supervisor();
    let dropped = Shutdown::new();
    let guard = dropped.trigger_on_drop();
    supervisor.spawn("stuck", OnFailure::StopService, async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let stop = shutdown.clone();
    supervisor.spawn("prompt", OnFailure::StopService, async move { stop.triggered().await });
    shutdown.trigger();
    let start = Instant::now();
    let error = supervisor.wait(5 * SECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "stuck did not stop within 5s");
    assert_eq!(start.elapsed(), 5 * SECOND);
    dropped.triggered().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_while_stopping_does_not_count_but_a_panic_does() {
    for (panics, ends_well) in [(false, true), (true, false)] {
        let (shutdown, supervisor) = supervisor();
        let stop = shutdown.clone();
        supervisor.spawn("stream", OnFailure::StopService, async move {
            stop.triggered().await;
            assert!(!panics);
            Err("connection closed")
        });
        shutdown.trigger();
        assert_eq!(supervisor.wait(SECOND).await.is_ok(), ends_well);
    }
}
