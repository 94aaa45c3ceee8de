//! The order in which nodes are looked at: zones in turn, so that stopping early does not leave out a zone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::core::v1::Node;

/// Labels that say where a node is. See <https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone>.
const PLACE: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Region and zone; empty if a node does not say.
type Zone = [String; 2];

/// The names of all nodes by zone.
#[derive(Debug, Default)]
pub(super) struct NodeTree {
    zones: BTreeMap<Zone, Vec<Arc<str>>>,
    zone_of: HashMap<Arc<str>, Zone>,
}

impl NodeTree {
    /// Adds a node, or moves it to its present zone; true if the order changed.
    pub(super) fn put(&mut self, name: &Arc<str>, node: &Node) -> bool {
        let zone = PLACE.map(|label| node.metadata.labels.get(label).cloned().unwrap_or_default());
        if self.zone_of.get(name) == Some(&zone) {
            return false;
        }
        self.remove(name);
        self.zones.entry(zone.clone()).or_default().push(Arc::clone(name));
        self.zone_of.insert(Arc::clone(name), zone);
        true
    }

    /// Removes a node; true if it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(zone) = self.zone_of.remove(name) else { return false };
        let nodes = self.zones.get_mut(&zone).expect("zones and zone_of are changed together");
        nodes.retain(|known| &**known != name);
        if nodes.is_empty() {
            self.zones.remove(&zone);
        }
        true
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.zone_of.len()
    }

    /// The first node of every zone, then the second of every zone that has one, and so on.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Arc<str>> {
        let longest = self.zones.values().map(Vec::len).max().unwrap_or(0);
        (0..longest).flat_map(|index| self.zones.values().filter_map(move |nodes| nodes.get(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    #[test]
    fn zones_take_turns() {
        let mut tree = NodeTree::default();
        for (name, zone) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"), ("c2", "c")] {
            let node = node(name).label("topology.kubernetes.io/zone", zone).object;
            assert!(tree.put(&Arc::from(name), &node) && !tree.put(&Arc::from(name), &node));
        }
        let order = |tree: &NodeTree| tree.in_order().map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(order(&tree), "a1 b1 c1 a2 c2 a3");
        assert!(tree.remove("b1") && !tree.remove("b1"));
        assert!(tree.put(&Arc::from("a1"), &node("a1").label("topology.kubernetes.io/zone", "b").object), "it moved");
        assert_eq!((order(&tree).as_str(), tree.len()), ("a2 a1 c1 a3 c2", 5));
    }
}
