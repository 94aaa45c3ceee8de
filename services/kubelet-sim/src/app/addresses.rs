//! Where a node's pods get their addresses from: the range that the controller-manager has assigned to the node's object.
//!
//! A node with pods from files remembers it, because they start again also where nobody can be asked.

use std::path::Path;
use std::time::Duration;

use api::cidr::Cidr;
use api::core::v1::Node;
use tokio::time::timeout;
use tracing::warn;

use crate::pod::NodeContext;

/// How long a node waits for addresses before it says so.
const SOON: Duration = Duration::from_secs(10);
/// What is remembered, in the kubelet's folder.
const FILE: &str = "pod-cidr";

/// The addresses that the node's object names.
pub(super) fn range_of(node: &Node) -> Option<Cidr> {
    node.spec.pod_cidr.parse().ok()
}

/// Waits until somebody has assigned addresses to the node, and has its status worked out again: that gives them to the runtime.
pub(super) async fn assigned(context: &NodeContext) {
    if timeout(SOON, wait(context)).await.is_err() {
        let hint = "does the controller-manager run, with --allocate-node-cidrs? Or give --pod-cidr";
        warn!(node = context.name, hint, "the node has no addresses for its pods yet");
        wait(context).await;
    }
    context.changed.notify_one();
}

/// Writes down for a start without the apiserver which addresses the node has, as soon as it has some.
pub(super) async fn remember(context: &NodeContext, root: &Path) {
    let Some(range) = wait(context).await else { return };
    let written = async {
        tokio::fs::create_dir_all(root).await?;
        tokio::fs::write(root.join(FILE), range.to_string()).await
    };
    if let Err(error) = written.await {
        warn!(node = context.name, %error, "the addresses of the node's pods are not remembered");
    }
}

/// The addresses that the node had before.
pub(super) fn remembered(root: &Path) -> Option<Cidr> {
    std::fs::read_to_string(root.join(FILE)).ok()?.parse().ok()
}

async fn wait(context: &NodeContext) -> Option<Cidr> {
    let mut node = context.node.subscribe();
    // The context has the sender, so there is an answer.
    node.wait_for(|node| range_of(node).is_some()).await.ok().and_then(|node| range_of(&node))
}
