//! From watch events to the cache and the queue.
//!
//! | the watch shows | cache | queue |
//! |---|---|---|
//! | a pod without a node | | added, changed or removed |
//! | a pod with a node | put, which confirms an assumption | removed; may help others |
//! | a node | put or removed | may help |
//!
//! The order within one event is: cache first, then queue. So an attempt that an event wakes sees what the event brought. The
//! same is the order of their locks.

use std::sync::Arc;

use api::core::v1::{Node, Pod};
use controller::Change;
use parking_lot::Mutex;
use telemetry::span::{ObjectRef, TraceMode, delivered};
use telemetry::{Cause, Step, TRACEPARENT_ANNOTATION, TraceContext};
use tracing::debug;

use crate::cache::{Cache, NodeInfo, Seen};
use crate::framework::{ClusterEvent, NodeChanges, WaitingPods};
use crate::pod_info::PodInfo;
use crate::queue::SchedulingQueue;

/// The plugin in whose name a pod that is gone is rejected.
const GONE: &str = "PodRemoved";

/// Keeps cache and queue as new as the watches. Runs in every replica, so that a standby is ready to lead.
#[derive(Clone)]
pub struct Events {
    /// Pods that name another scheduler are not ours.
    pub scheduler_name: Arc<str>,
    /// What is believed of nodes.
    pub cache: Arc<Mutex<Cache>>,
    /// Who waits.
    pub queue: Arc<SchedulingQueue>,
    /// Who has a node and waits for permission.
    pub waiting: Arc<WaitingPods>,
    /// Whether causes are continued.
    pub mode: TraceMode,
}

impl Events {
    /// A change of a pod.
    pub fn pod(&self, change: &Change<Pod>, cause: &Cause) {
        match change {
            Change::Added(pod) => self.pod_is(pod, None, cause),
            // A name came back on another pod, and the watch had no time to show both events.
            Change::Updated { old, new } if old.metadata.uid != new.metadata.uid => {
                self.pod_gone(old, cause);
                self.pod_is(new, None, cause);
            }
            Change::Updated { old, new } => self.pod_is(new, Some(old), cause),
            Change::Removed(pod) => self.pod_gone(pod, cause),
        }
    }

    /// A change of a node.
    pub fn node(&self, change: &Change<Node>, cause: &Cause) {
        let info = |node: &Arc<Node>| Arc::new(NodeInfo::of(Arc::clone(node)));
        match change {
            Change::Added(node) => {
                self.cache.lock().put_node(Arc::clone(node));
                self.queue.happened(&ClusterEvent::NodeAdded(info(node)), cause);
            }
            Change::Updated { old, new } => {
                self.cache.lock().put_node(Arc::clone(new));
                let (old, new) = (info(old), info(new));
                let changes = NodeChanges::between(&old, &new);
                if changes.any() {
                    self.queue.happened(&ClusterEvent::NodeUpdated { old, new, changes }, cause);
                }
            }
            Change::Removed(node) => self.cache.lock().remove_node(&node.metadata.name),
        }
    }

    fn pod_is(&self, pod: &Arc<Pod>, old: Option<&Arc<Pod>>, cause: &Cause) {
        let info = PodInfo::of(Arc::clone(pod));
        if pod.spec.node_name.is_empty() {
            if self.is_ours(pod) {
                self.unassigned(info, old.is_some(), cause);
            }
        } else {
            self.assigned(&info, old, cause);
        }
    }

    fn unassigned(&self, info: Arc<PodInfo>, known: bool, cause: &Cause) {
        let cause = cause_of(&info.pod, cause);
        // Held until the queue knows, so that the pod cannot be assumed, bound and done between the question and the answer.
        let cache = self.cache.lock();
        if cache.is_assumed(&info.uid) {
            // Its binding is under way or done, and the watch is behind.
            self.queue.update_in_flight(info, &cause);
        } else if known {
            self.queue.update(info, &cause);
        } else {
            self.queue.add(info, &cause);
        }
    }

    fn assigned(&self, info: &Arc<PodInfo>, old: Option<&Arc<Pod>>, cause: &Cause) {
        let seen = self.cache.lock().put_pod(info);
        self.queue.remove(&info.uid);
        match (seen, old) {
            (Seen::Confirmed, _) => {
                debug!(pod = %info, node = info.pod.spec.node_name, "the binding is confirmed");
                if self.mode == TraceMode::Continue {
                    let object = ObjectRef::pod(info.namespace(), info.name(), &info.uid);
                    delivered(cause, &object, Some(Step::PodCreate4b));
                }
                self.queue.happened(&ClusterEvent::AssignedPodAdded(Arc::clone(info)), cause);
            }
            (Seen::Changed, Some(old)) => {
                let old = PodInfo::of(Arc::clone(old));
                if info.differs_for_scheduling(&old) {
                    self.queue.happened(&ClusterEvent::AssignedPodUpdated { old, new: Arc::clone(info) }, cause);
                }
            }
            _ => self.queue.happened(&ClusterEvent::AssignedPodAdded(Arc::clone(info)), cause),
        }
    }

    fn pod_gone(&self, pod: &Arc<Pod>, cause: &Cause) {
        let info = PodInfo::of(Arc::clone(pod));
        let counted = self.cache.lock().remove_pod(&info.uid);
        self.queue.remove(&info.uid);
        self.waiting.reject(&info.uid, GONE, "the pod is gone".to_owned());
        if counted {
            self.queue.happened(&ClusterEvent::AssignedPodRemoved(info), cause);
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        *pod.spec.scheduler_name == *self.scheduler_name
    }
}

/// The write behind the event or, if that was not traced, the context that the object carries (KEP-5915).
fn cause_of(pod: &Pod, cause: &Cause) -> Cause {
    match pod.metadata.annotations.get(TRACEPARENT_ANNOTATION) {
        Some(parent) if !cause.context.is_valid() => Cause::from_context(TraceContext::parse(parent, "")),
        _ => cause.clone(),
    }
}
