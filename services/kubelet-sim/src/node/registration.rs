//! Making the node known: its object, made or taken up again.

use std::collections::BTreeMap;

use api::cidr::Cidr;
use api::core::v1::{Node, NodeStatus, Taint};
use api::meta::v1::GetOptions;
use client::Api;

use super::machine::architecture;

/// What distinguishes one node from another.
#[derive(Clone, Debug)]
pub struct NodeSpecifics {
    /// Its name.
    pub name: String,
    /// Labels besides the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Taints that it starts with. Whoever removes one later wins.
    pub taints: Vec<Taint>,
    /// Its pods' addresses, if the operator has chosen them and nobody has given it others.
    pub pod_cidr: Option<Cidr>,
}

/// Creates the node's object, or takes up the one that is there: its labels are brought up to date, its taints and its pod
/// addresses are left as they are. `status` is reported in the same breath, so that a new node is ready at once.
pub async fn register(nodes: &Api<Node>, specifics: &NodeSpecifics, status: &NodeStatus) -> Result<Node, api::Error> {
    let node = match nodes.create(&new_node(specifics, status)).await {
        Ok(node) => node,
        Err(error) if error.is_already_exists() => take_up(nodes, specifics).await?,
        Err(error) => return Err(error),
    };
    // Creation may have left the status out, and an old object has an old one.
    report(nodes, node, status).await
}

/// The node's object as this kubelet would make it.
pub fn new_node(specifics: &NodeSpecifics, status: &NodeStatus) -> Node {
    let mut node = Node::default();
    node.metadata.name.clone_from(&specifics.name);
    node.metadata.labels = labels(specifics);
    let attach = "volumes.kubernetes.io/controller-managed-attach-detach";
    node.metadata.annotations.insert(attach.to_owned(), "true".to_owned());
    node.spec.taints.clone_from(&specifics.taints);
    set_range(&mut node, specifics);
    node.status = status.clone();
    node
}

async fn take_up(nodes: &Api<Node>, specifics: &NodeSpecifics) -> Result<Node, api::Error> {
    loop {
        let mut node = nodes.get_with(&specifics.name, GetOptions::default()).await?;
        let before = node.clone();
        node.metadata.labels.extend(labels(specifics));
        set_range(&mut node, specifics);
        if node == before {
            return Ok(node);
        }
        match nodes.update(&node).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
}

fn set_range(node: &mut Node, specifics: &NodeSpecifics) {
    if let (Some(range), true) = (specifics.pod_cidr, node.spec.pod_cidr.is_empty()) {
        node.spec.pod_cidr = range.to_string();
        node.spec.pod_cidrs = vec![range.to_string()];
    }
}

/// Writes a node's status; a conflict is tried again on the newest version.
pub(super) async fn report(nodes: &Api<Node>, mut node: Node, status: &NodeStatus) -> Result<Node, api::Error> {
    loop {
        if node.status == *status {
            return Ok(node);
        }
        node.status = status.clone();
        match nodes.update_status(&node).await {
            Err(error) if error.is_conflict() => node = nodes.get(&node.metadata.name).await?,
            other => return other,
        }
    }
}

/// The usual labels, then the operator's.
fn labels(specifics: &NodeSpecifics) -> BTreeMap<String, String> {
    let usual = [
        ("kubernetes.io/hostname", specifics.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", architecture()),
    ];
    let usual = usual.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    usual.chain(specifics.labels.clone()).collect()
}
