//! Nodes: registered by their kubelet, status included.

use api::core::v1::Node;
use api::field::ErrorList;
use api::{defaults, validation};

use crate::registry::strategy::Strategy;

/// The rules of Nodes.
pub(crate) struct Nodes;

impl Strategy<Node> for Nodes {
    fn path(&self) -> &'static str {
        // Their first name, which Kubernetes' keys have kept.
        "minions"
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn fields(&self, node: &Node) -> Vec<(&'static str, String)> {
        vec![("spec.unschedulable", node.spec.unschedulable.to_string())]
    }

    fn set_defaults(&self, node: &mut Node) {
        defaults::node(node);
    }

    fn copy_status(&self, from: &Node, to: &mut Node) {
        to.status = from.status.clone();
    }

    fn resets_status(&self) -> bool {
        // A kubelet registers its node with capacity and conditions in one write.
        false
    }

    fn changes_intent(&self, new: &Node, old: &Node) -> bool {
        new.spec != old.spec
    }

    fn validate(&self, node: &Node) -> ErrorList {
        validation::node::create(node)
    }

    fn validate_update(&self, new: &Node, old: &Node) -> ErrorList {
        validation::node::update(new, old)
    }

    fn validate_status_update(&self, new: &Node, old: &Node) -> ErrorList {
        validation::node::status_update(new, old)
    }
}
