//! What the scheduler believes of nodes and of the pods on them.
//!
//! It is ahead of the watch: a pod that has been given a node counts there from that moment, so that the next pod does not get
//! the same room. Such a pod is *assumed* until the watch shows its binding.
//!
//! ```text
//!            assume                 confirmed by the watch
//!  (unknown) ------> Assumed ---------------------------> Known --removed--> (unknown)
//!                    |  bound: a deadline is set
//!                    |--forget: the binding failed-----> (unknown)
//!                    `--expired: bound, yet never seen-> (unknown)
//! ```
//!
//! Invariant: a pod counts on at most one node, and on that from its assumption to its removal without a gap, even if the watch
//! says that it is on another one than assumed. Pods are told apart by uid. Nothing here decides or calls anybody.

mod node_info;
mod node_tree;
mod resources;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Node;
use tokio::time::Instant;

pub use node_info::NodeInfo;
use node_tree::NodeTree;
pub use resources::Resources;
pub use snapshot::Snapshot;

use crate::pod_info::PodInfo;

/// How long the watch may take to show a binding that the apiserver has committed. Longer than any outage that watches survive:
/// room that is given away too early is given away twice.
pub const ASSUMED_FOR: Duration = Duration::from_secs(15 * 60);

/// Nodes, and pods that count on them.
#[derive(Debug)]
pub struct Cache {
    nodes: HashMap<Arc<str>, Arc<NodeInfo>>,
    tree: NodeTree,
    pods: HashMap<Arc<str>, Placed>,
    /// On how many nodes each image is.
    images: Arc<HashMap<String, usize>>,
    generation: u64,
    /// The nodes by the generation of their last change.
    changes: BTreeMap<u64, Arc<str>>,
    /// Grows when the list of nodes changes.
    layout: u64,
}

#[derive(Debug)]
struct Placed {
    pod: Arc<PodInfo>,
    node: Arc<str>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// We have chosen its node. With a deadline from when the apiserver has committed the binding.
    Assumed { until: Option<Instant> },
    /// The watch has shown it on its node.
    Known,
}

/// What the watch told by a pod with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Our own decision, come back.
    Confirmed,
    /// A pod that was not here.
    New,
    /// Another state of a pod that is.
    Changed,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Cache {
    /// Nothing known.
    pub fn new() -> Self {
        Self {
            nodes: HashMap::new(),
            tree: NodeTree::default(),
            pods: HashMap::new(),
            images: Arc::default(),
            generation: 0,
            changes: BTreeMap::new(),
            layout: 1,
        }
    }

    /// Counts a pod on the node that was chosen for it; false, and nothing changes, if it counts somewhere already.
    #[must_use]
    pub fn assume(&mut self, pod: &Arc<PodInfo>, node: &Arc<str>) -> bool {
        if self.pods.contains_key(&pod.uid) {
            return false;
        }
        self.place(pod, node, State::Assumed { until: None });
        true
    }

    /// The apiserver has committed the binding of an assumed pod; the watch has to show it before `until`.
    pub fn bound(&mut self, uid: &str, until: Instant) {
        if let Some(Placed { state: state @ State::Assumed { .. }, .. }) = self.pods.get_mut(uid) {
            *state = State::Assumed { until: Some(until) };
        }
    }

    /// Takes an assumption back. A pod that the watch has shown stays.
    pub fn forget(&mut self, uid: &str) {
        if self.is_assumed(uid) {
            self.remove_pod(uid);
        }
    }

    /// Takes back the assumptions whose time is over; returns the pods.
    pub fn expire(&mut self, now: Instant) -> Vec<Arc<PodInfo>> {
        let overdue = |placed: &&Placed| matches!(placed.state, State::Assumed { until: Some(until) } if until <= now);
        let expired: Vec<_> = self.pods.values().filter(overdue).map(|placed| Arc::clone(&placed.pod)).collect();
        for pod in &expired {
            self.remove_pod(&pod.uid);
        }
        expired
    }

    /// Whether a pod is assumed and the watch has not shown it yet.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|placed| placed.state != State::Known)
    }

    /// The watch shows a pod with a node.
    pub fn put_pod(&mut self, pod: &Arc<PodInfo>) -> Seen {
        let old = self.displace(&pod.uid);
        let node = match &old {
            Some(old) if *old.node == *pod.pod.spec.node_name => Arc::clone(&old.node),
            _ => Arc::from(pod.pod.spec.node_name.as_str()),
        };
        self.place(pod, &node, State::Known);
        match old {
            None => Seen::New,
            Some(Placed { state: State::Known, .. }) => Seen::Changed,
            Some(_) => Seen::Confirmed,
        }
    }

    /// A pod is gone; true if it counted somewhere.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let removed = self.displace(uid);
        if let Some(Placed { node, .. }) = &removed
            && self.nodes[node].node().is_none()
            && self.nodes[node].pods().is_empty()
        {
            self.drop_node(node);
        }
        removed.is_some()
    }

    /// The watch shows a node.
    pub fn put_node(&mut self, node: Arc<Node>) {
        let name: Arc<str> = Arc::from(node.metadata.name.as_str());
        if self.tree.put(&name, &node) {
            self.layout += 1;
        }
        let before = self.images_of(&name);
        self.change(&name, |info| info.set_node(Some(node)));
        self.count_images(before, self.images_of(&name));
    }

    /// A node is gone. Its pods stay until the watch removes them.
    pub fn remove_node(&mut self, name: &str) {
        let Some((name, info)) = self.nodes.get_key_value(name) else { return };
        let (name, has_pods) = (Arc::clone(name), !info.pods().is_empty());
        let before = self.images_of(&name);
        self.count_images(before, Arc::default());
        if self.tree.remove(&name) {
            self.layout += 1;
        }
        if has_pods {
            self.change(&name, |info| info.set_node(None));
        } else {
            self.drop_node(&name);
        }
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.tree.len()
    }

    /// How many pods count somewhere, and how many of them are only assumed.
    pub fn pod_counts(&self) -> (usize, usize) {
        let assumed = self.pods.values().filter(|placed| placed.state != State::Known).count();
        (self.pods.len(), assumed)
    }

    fn changed_since(&self, generation: u64) -> impl Iterator<Item = &Arc<str>> {
        self.changes.range(generation + 1..).map(|(_, name)| name)
    }

    fn place(&mut self, pod: &Arc<PodInfo>, node: &Arc<str>, state: State) {
        self.change(node, |info| info.add_pod(Arc::clone(pod)));
        self.pods.insert(Arc::clone(&pod.uid), Placed { pod: Arc::clone(pod), node: Arc::clone(node), state });
    }

    fn displace(&mut self, uid: &str) -> Option<Placed> {
        let placed = self.pods.remove(uid)?;
        self.change(&placed.node, |info| info.remove_pod(uid));
        Some(placed)
    }

    /// Changes the cache's own state of a node. If a snapshot shares it, that is a copy from here on.
    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut NodeInfo)) {
        let info = self.nodes.entry(Arc::clone(name)).or_insert_with_key(|name| Arc::new(NodeInfo::named(name)));
        let info = Arc::make_mut(info);
        change(info);
        self.generation += 1;
        self.changes.remove(&info.generation);
        info.generation = self.generation;
        self.changes.insert(self.generation, Arc::clone(info.name()));
    }

    fn drop_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.remove(name) {
            self.changes.remove(&info.generation);
        }
    }

    fn images_of(&self, node: &str) -> Arc<HashMap<String, i64>> {
        self.nodes.get(node).map(|info| info.shared_images()).unwrap_or_default()
    }

    fn count_images(&mut self, before: Arc<HashMap<String, i64>>, after: Arc<HashMap<String, i64>>) {
        if Arc::ptr_eq(&before, &after) {
            return;
        }
        let counts = Arc::make_mut(&mut self.images);
        for image in after.keys() {
            *counts.entry(image.clone()).or_insert(0) += 1;
        }
        for image in before.keys() {
            if let Some(count) = counts.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(image);
                }
            }
        }
    }
}
