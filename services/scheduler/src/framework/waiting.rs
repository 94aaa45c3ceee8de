//! Pods that have a node and wait for the permission of Permit plugins.
//!
//! ```text
//! permit: Wait --> waiting --every plugin allowed--> bound
//!                     |------one rejected, its time is over, the pod is gone--> rejected, its promises are taken back
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Rejection, Verdict};

/// The waiting pods by uid. Permit plugins hold it to allow and to reject.
#[derive(Debug, Default)]
pub struct WaitingPods {
    pods: Mutex<HashMap<Arc<str>, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// Who has to allow it still, until when, and how long that was in all.
    pending: Vec<Pending>,
    rejected: Option<Rejection>,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Pending {
    plugin: &'static str,
    until: Instant,
    limit: Duration,
}

impl WaitingPods {
    /// The plugin allows the pod; true if the pod waited for it.
    pub fn allow(&self, uid: &str, plugin: &str) -> bool {
        self.change(uid, |waiting| {
            let before = waiting.pending.len();
            waiting.pending.retain(|pending| pending.plugin != plugin);
            waiting.pending.len() < before
        })
    }

    /// The plugin rejects the pod, whatever others say; true if the pod waited.
    pub fn reject(&self, uid: &str, plugin: &'static str, reason: String) -> bool {
        self.change(uid, |waiting| {
            waiting.rejected = Some(Rejection::unschedulable(reason).by(plugin, "Permit"));
            true
        })
    }

    /// The uids of all pods that wait.
    pub fn uids(&self) -> Vec<Arc<str>> {
        self.pods.lock().keys().cloned().collect()
    }

    pub(super) fn add(&self, uid: &Arc<str>, waits: Vec<(&'static str, Duration)>) {
        if waits.is_empty() {
            return;
        }
        let now = Instant::now();
        let pending = waits.into_iter().map(|(plugin, limit)| Pending { plugin, until: now + limit, limit }).collect();
        let waiting = Waiting { pending, rejected: None, changed: Arc::new(Notify::new()) };
        self.pods.lock().insert(Arc::clone(uid), waiting);
    }

    /// Returns when it is decided about the pod; at once if it does not wait.
    pub(super) async fn decided(&self, uid: &str) -> Verdict {
        loop {
            let (changed, until) = {
                let mut pods = self.pods.lock();
                let Some(waiting) = pods.get_mut(uid) else { return Ok(()) };
                let now = Instant::now();
                let overdue = waiting.pending.iter().find(|pending| pending.until <= now);
                let timed_out = overdue.map(|Pending { plugin, limit, .. }| {
                    let reason = format!("rejected due to timeout after waiting {limit:?} at plugin {plugin}");
                    Rejection::unschedulable(reason).by(plugin, "Permit")
                });
                let rejected = waiting.rejected.take().or(timed_out);
                let next = waiting.pending.iter().map(|pending| pending.until).min();
                match (rejected, next) {
                    (Some(rejection), _) => {
                        pods.remove(uid);
                        return Err(rejection);
                    }
                    (None, None) => {
                        pods.remove(uid);
                        return Ok(());
                    }
                    (None, Some(until)) => (Arc::clone(&waiting.changed), until),
                }
            };
            // An elapsed timeout is found at the top of the loop. A notification before we listen is kept for us.
            let _ = timeout_at(until, changed.notified()).await;
        }
    }

    fn change(&self, uid: &str, change: impl FnOnce(&mut Waiting) -> bool) -> bool {
        self.pods.lock().get_mut(uid).is_some_and(|waiting| {
            let changed = change(waiting);
            waiting.changed.notify_one();
            changed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waiting(plugins: &[(&'static str, Duration)]) -> (Arc<WaitingPods>, Arc<str>) {
        let (pods, uid) = (Arc::new(WaitingPods::default()), Arc::from("u1"));
        pods.add(&uid, plugins.to_vec());
        (pods, uid)
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_nobody_holds_up_goes_on_at_once() {
        let (pods, uid) = waiting(&[]);
        assert_eq!(pods.decided(&uid).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn every_plugin_has_to_allow_it() {
        let (pods, uid) = waiting(&[("Gang", 9 * SECOND), ("Quota", 9 * SECOND)]);
        let decided = tokio::spawn({
            let (pods, uid) = (Arc::clone(&pods), Arc::clone(&uid));
            async move { pods.decided(&uid).await }
        });
        assert!(pods.allow(&uid, "Gang"));
        tokio::task::yield_now().await;
        assert!(!decided.is_finished());
        assert!(pods.allow(&uid, "Quota") && !pods.allow(&uid, "Quota"));
        assert_eq!(decided.await.unwrap(), Ok(()));
        assert!(pods.uids().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_rejection_or_the_first_timeout_decides() {
        let (pods, uid) = waiting(&[("Gang", 9 * SECOND), ("Quota", 3 * SECOND)]);
        let start = Instant::now();
        let rejection = pods.decided(&uid).await.unwrap_err();
        assert_eq!(start.elapsed(), 3 * SECOND);
        assert_eq!(rejection.message(), "rejected due to timeout after waiting 3s at plugin Quota");

        pods.add(&uid, vec![("Gang", 9 * SECOND)]);
        assert!(pods.reject(&uid, "Gang", "the group is too small".to_owned()));
        assert_eq!(pods.decided(&uid).await.unwrap_err().plugin, "Gang");
        assert!(!pods.reject(&uid, "Gang", String::new()), "it waits no more");
    }
}
