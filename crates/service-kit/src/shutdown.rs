//! The signal to stop, and the knowledge of who still has to.
//!
//! A [`Shutdown`] is a cheap handle that every part of a service holds. It goes one way: once triggered it stays triggered.
//! Work that must be finished before the process ends is tracked by it; the end of that work can be awaited.
//!
//! Order is made by composition, not by priorities: a part that has to outlive another gets its own [`Shutdown`] and is
//! triggered by whoever waited for the first one. This module neither listens to signals (`run` does) nor bounds waits.

use std::future::Future;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A handle on the one-way signal to stop. Clones share the signal and the tracked work.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    signal: CancellationToken,
    work: TaskTracker,
}

impl Shutdown {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns once the signal was given; at once if that is past. Cancel-safe.
    pub async fn triggered(&self) {
        self.signal.cancelled().await;
    }

    /// Whether the signal was given.
    pub fn is_triggered(&self) -> bool {
        self.signal.is_cancelled()
    }

    /// Gives the signal, to this handle, its clones and its children. Giving it again does nothing.
    pub fn trigger(&self) {
        self.signal.cancel();
    }

    /// A handle that stops with this one and can also be stopped alone. Work tracked by the child is tracked by the parent
    /// too, so nobody forgets to wait for it.
    pub fn child(&self) -> Self {
        Self { signal: self.signal.child_token(), work: self.work.clone() }
    }

    /// Runs a future until it ends or the signal is given, whichever is first; `None` means that it was dropped unfinished.
    pub async fn run_until_triggered<F: Future>(&self, future: F) -> Option<F::Output> {
        self.signal.run_until_cancelled(future).await
    }

    /// Gives the signal when the returned guard is dropped, also by a panic.
    pub fn trigger_on_drop(&self) -> DropGuard {
        self.signal.clone().drop_guard()
    }

    /// Counts a future as work that must end before the process does.
    pub fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.work.track_future(future)
    }

    /// Returns once the signal was given and all tracked work has ended. Unbounded: callers bound it.
    pub async fn finished(&self) {
        self.triggered().await;
        self.work.close();
        self.work.wait().await;
    }

    /// The signal alone, for code that speaks in [`CancellationToken`]s.
    pub fn token(&self) -> CancellationToken {
        self.signal.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn clones_and_children_see_the_signal_of_their_parent() {
        let parent = Shutdown::new();
        let (clone, child) = (parent.clone(), parent.child());
        assert!(!clone.is_triggered() && !child.is_triggered());
        parent.trigger();
        clone.triggered().await;
        child.triggered().await;
    }

    #[tokio::test]
    async fn a_child_stops_alone() {
        let parent = Shutdown::new();
        let child = parent.child();
        child.trigger();
        assert!(child.is_triggered());
        assert!(!parent.is_triggered());
    }

    #[tokio::test(start_paused = true)]
    async fn finished_waits_for_work_tracked_by_a_child() {
        let shutdown = Shutdown::new();
        tokio::spawn(shutdown.child().track(sleep(Duration::from_secs(3))));
        assert!(timeout(Duration::from_secs(60), shutdown.finished()).await.is_err(), "no signal, so not finished");

        let shutdown = Shutdown::new();
        tokio::spawn(shutdown.child().track(sleep(Duration::from_secs(3))));
        shutdown.trigger();
        assert!(timeout(Duration::from_secs(2), shutdown.finished()).await.is_err(), "the work still runs");
        timeout(Duration::from_secs(2), shutdown.finished()).await.expect("the work has ended");
    }

    #[tokio::test]
    async fn one_part_can_be_stopped_after_another() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let (front, back) = (Shutdown::new(), Shutdown::new());
        for (name, part) in [("back", &back), ("front", &front)] {
            let (order, signal) = (order.clone(), part.clone());
            tokio::spawn(part.track(async move {
                signal.triggered().await;
                order.lock().push(name);
            }));
        }
        front.trigger();
        front.finished().await;
        back.trigger();
        back.finished().await;
        assert_eq!(*order.lock(), ["front", "back"]);
    }

    #[tokio::test]
    async fn a_future_is_dropped_when_the_signal_comes_first() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.run_until_triggered(async { 7 }).await, Some(7));
        shutdown.trigger();
        assert_eq!(shutdown.run_until_triggered(std::future::pending::<u8>()).await, None);
    }

    #[tokio::test]
    async fn a_dropped_guard_gives_the_signal() {
        let shutdown = Shutdown::new();
        drop(shutdown.trigger_on_drop());
        assert!(shutdown.is_triggered());
    }
}
