//! Nodes: all of the capacity can be allocated.

use super::resource_list;
use crate::core::v1::Node;

/// Sets the defaults of a Node.
pub fn node(node: &mut Node) {
    let status = &mut node.status;
    resource_list(&mut status.capacity);
    resource_list(&mut status.allocatable);
    if status.allocatable.is_empty() {
        status.allocatable.clone_from(&status.capacity);
    }
}
