//! Indexes of the shared caches that several controllers use, so that they agree on names and values.

use api::Resource;
use api::core::v1::Pod;

/// Name of the index that [`by_namespace`] makes.
pub const NAMESPACE: &str = "namespace";
/// Name of the index that [`by_node`] makes.
pub const NODE: &str = "node";

/// The namespace of an object: selectors look through one.
pub fn by_namespace<K: Resource>(object: &K) -> Vec<String> {
    vec![object.metadata().namespace.clone()]
}

/// The node of a pod; empty for one that has none.
pub fn by_node(pod: &Pod) -> Vec<String> {
    vec![pod.spec.node_name.clone()]
}
