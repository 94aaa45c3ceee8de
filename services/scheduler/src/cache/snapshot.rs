//! All nodes at one moment, for one attempt to look at without a lock.
//!
//! Taking it again costs as much as changed since: a state of a node is shared by pointer, and the cache knows which nodes
//! changed after a generation. Only when nodes come, go or move to another zone is the list made anew.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Cache, NodeInfo};

/// The nodes that exist, in the order in which they are looked at. Each has its object.
#[derive(Debug, Default)]
pub struct Snapshot {
    nodes: Vec<Arc<NodeInfo>>,
    index: HashMap<Arc<str>, usize>,
    images: Arc<HashMap<String, usize>>,
    /// Every change up to this one is in.
    generation: u64,
    /// The list's version in the cache; 0 is that of no list.
    layout: u64,
}

impl Snapshot {
    /// Of no nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings it up to date.
    pub fn update(&mut self, cache: &Cache) {
        if self.layout == cache.layout {
            for name in cache.changed_since(self.generation) {
                if let Some(&index) = self.index.get(name) {
                    self.nodes[index] = Arc::clone(&cache.nodes[name]);
                }
            }
        } else {
            self.nodes.clear();
            self.nodes.extend(cache.tree.in_order().map(|name| Arc::clone(&cache.nodes[name])));
            self.index.clear();
            self.index.extend(self.nodes.iter().enumerate().map(|(index, node)| (Arc::clone(node.name()), index)));
        }
        self.images = Arc::clone(&cache.images);
        self.generation = cache.generation;
        self.layout = cache.layout;
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Arc<NodeInfo>] {
        &self.nodes
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeInfo>> {
        self.index.get(name).map(|&index| &self.nodes[index])
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or(0)
    }
}
