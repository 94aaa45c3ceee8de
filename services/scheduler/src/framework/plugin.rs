//! The extension points, one trait each, in the order in which an attempt passes them.
//!
//! ```text
//! queue:             QueueSort, PreEnqueue
//! scheduling cycle:  PreFilter > Filter (per node) > [PostFilter] > PreScore > Score (per node) > Reserve > Permit
//! binding cycle:     (wait for Permit) > PreBind > Bind > PostBind          on failure from Reserve on: Unreserve
//! ```
//!
//! Up to Permit everything is computation on the snapshot: it is serial and must not wait for anything. The binding cycle runs
//! beside other pods' and may. See <https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/>.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{ClusterEvent, CycleState, ExtensionPoints, Hint, Verdict};
use crate::cache::{NodeInfo, Snapshot};
use crate::diagnosis::Diagnosis;
use crate::pod_info::PodInfo;
use crate::queue::QueuedPod;

/// The best score of a node after [`Score::normalize`]; the worst is 0.
pub const MAX_NODE_SCORE: i64 = 100;

/// A part of the scheduler's policy. It implements the traits of the extension points where it has a say.
pub trait Plugin: Send + Sync + 'static {
    /// Its name in configuration, traces and metrics.
    fn name(&self) -> &'static str;

    /// Adds itself to the extension points that it implements.
    fn extend(self: Arc<Self>, points: &mut ExtensionPoints);

    /// Whether `event` may let `pod` pass, which this plugin has rejected. Asked under the queue's lock: cheap and pure.
    ///
    /// A wrong [`Hint::Queue`] costs an attempt, a wrong [`Hint::Skip`] leaves a pod waiting for minutes: in doubt, `Queue`.
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent) -> Hint {
        let _ = (pod, event);
        Hint::Queue
    }
}

/// Which of two waiting pods is tried first. Exactly one plugin implements it.
pub trait QueueSort: Plugin {
    /// `Less`: `a` is first.
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering;
}

/// Whether a pod may be tried at all. Asked whenever the pod would become active, under the queue's lock: cheap and pure.
pub trait PreEnqueue: Plugin {
    /// A rejected pod is not tried until an event for which this plugin hints [`Hint::Queue`].
    fn pre_enqueue(&self, pod: &PodInfo) -> Verdict;
}

/// What a plugin found out about a pod before it looked at nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreFiltered {
    /// Ask its filter about every node.
    Proceed,
    /// Its filter has nothing to say about this pod.
    Skip,
    /// Only these nodes can do; do not look at others.
    Only(BTreeSet<String>),
}

/// Looks at the pod once, before the nodes.
pub trait PreFilter: Plugin {
    /// Works out what its filter needs. A rejection ends the attempt.
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Verdict<PreFiltered>;
}

/// Rules out nodes that cannot run the pod. Called for hundreds of nodes per pod.
pub trait Filter: Plugin {
    /// Whether the pod can run there.
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict;
}

/// Makes room when no node is feasible, as preemption does. What it starts in the background ends in an event.
pub trait PostFilter: Plugin {
    /// What it did, for the pod's condition (`preemption: ...`); empty if nothing.
    fn post_filter(&self, state: &mut CycleState, pod: &PodInfo, diagnosis: &Diagnosis, snapshot: &Snapshot) -> String;
}

/// Whether a plugin has scores to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreScored {
    /// Ask for its scores.
    Proceed,
    /// All nodes are equal to it.
    Skip,
}

/// Looks at the feasible nodes once, before they are scored.
pub trait PreScore: Plugin {
    /// Works out what its score needs.
    fn pre_score(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        nodes: &[&Arc<NodeInfo>],
        snapshot: &Snapshot,
    ) -> PreScored;
}

/// Ranks feasible nodes.
pub trait Score: Plugin {
    /// The node's score, in whatever unit the plugin likes if it has a [`Score::normalize`].
    fn score(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64;

    /// Brings the scores of all nodes into 0..=[`MAX_NODE_SCORE`].
    fn normalize(&self, scores: &mut [i64]) {
        let _ = scores;
    }
}

/// Keeps books of its own about what is promised to pods that are not bound yet.
pub trait Reserve: Plugin {
    /// Promises. On a rejection every plugin's [`Reserve::unreserve`] is called, this one's included.
    fn reserve(&self, state: &mut CycleState, pod: &PodInfo, node: &str) -> Verdict;

    /// Takes the promise back, in the reverse order of plugins. May be called without a promise, and must not fail.
    fn unreserve(&self, state: &CycleState, pod: &PodInfo, node: &str);
}

/// Whether a pod with a node may be bound now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Granted,
    /// It has to wait until the plugin allows it; after this time it is rejected.
    Wait(Duration),
}

/// Holds up pods that belong together, or need something from outside.
pub trait Permit: Plugin {
    /// Whether to go on now.
    fn permit(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict<Permission>;
}

/// Prepares what must be there before the pod is bound.
#[async_trait]
pub trait PreBind: Plugin {
    /// Returns when it is there.
    async fn pre_bind(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict;
}

/// Whether a plugin took care of the binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// It did: the apiserver has committed it.
    Bound,
    /// It leaves it to the next plugin.
    Skip,
}

/// Tells the apiserver.
#[async_trait]
pub trait Bind: Plugin {
    /// Binds. After a rejection the binding must not exist: the room on the node is given away.
    async fn bind(&self, state: &CycleState, pod: &PodInfo, node: &str) -> Verdict<Binding>;
}

/// Hears of success.
pub trait PostBind: Plugin {
    /// The pod is bound.
    fn post_bind(&self, state: &CycleState, pod: &PodInfo, node: &str);
}
