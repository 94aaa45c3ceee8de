//! A pod that waits for a node, with all that made it wait.

use std::sync::Arc;

use jiff::Timestamp;
use telemetry::{Causes, TraceContext};
use tokio::time::Instant;

use crate::pod_info::PodInfo;

/// A pod that has no node yet, and the story of its attempts. It goes round between the queue and the algorithm until it has
/// a node or is gone.
#[derive(Debug, Clone)]
pub struct QueuedPod {
    /// The newest version of the pod.
    pub info: Arc<PodInfo>,
    /// Every write that concerned its scheduling: its creation, changes of its spec. All attempts continue these.
    pub causes: Causes,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When it last began to wait for its turn, by the wall clock.
    pub enqueued_at: Timestamp,
    /// When it was added to the queue first.
    pub first_queued: Instant,
    /// When it was put where it is now; equal priorities go by it.
    pub queued: Instant,
    /// What brought it back after its last attempt.
    pub woken_by: Option<Wake>,
    /// The plugins that rejected it in its last attempt.
    pub(super) rejectors: Vec<&'static str>,
    /// How often no node was feasible; the back-off grows with it.
    pub(super) rejections: u32,
    /// How often something went wrong since it last did not.
    pub(super) errors: u32,
    /// When it may be tried again.
    pub(super) ready_at: Instant,
    /// Whether causes were added that no attempt has continued.
    pub(super) has_new_cause: bool,
}

/// An event that may have made room for a waiting pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// What happened: `NodeAdd`, `AssignedPodDelete` ...
    pub event: &'static str,
    /// The write behind it. The attempt links to it: the pod's own journey goes on from the pod's own causes.
    pub context: TraceContext,
}

impl QueuedPod {
    /// A pod that begins to wait now.
    pub fn new(info: Arc<PodInfo>) -> Self {
        let now = Instant::now();
        Self {
            info,
            causes: Causes::none(),
            attempts: 0,
            enqueued_at: Timestamp::now(),
            first_queued: now,
            queued: now,
            woken_by: None,
            rejectors: Vec::new(),
            rejections: 0,
            errors: 0,
            ready_at: now,
            has_new_cause: false,
        }
    }

    /// Whether this attempt is the first that continues its newest cause: then the watch that delivered it belongs to it.
    pub fn continues_new_cause(&self) -> bool {
        self.has_new_cause
    }

    /// Takes a newer version of the pod, and why it came.
    pub(super) fn renew(&mut self, info: Arc<PodInfo>, causes: Causes) {
        self.info = info;
        self.has_new_cause |= !causes.is_empty();
        self.causes.merge_all(causes);
    }

    /// Begins to wait for its turn.
    pub(super) fn wait_from(&mut self, now: Instant, woken_by: Option<Wake>) {
        self.queued = now;
        self.enqueued_at = Timestamp::now();
        self.woken_by = woken_by;
    }
}
