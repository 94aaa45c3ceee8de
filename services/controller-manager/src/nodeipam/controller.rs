//! Gives each node a range, one patch per node.

use super::ranges::Ranges;
use crate::context::{Context, Start};
use crate::origin::{echo, origin};
use api::cidr::Cidr;
use api::core::v1::Node;
use api::{Error, Resource};
use client::{Api, Patch};
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes};
use tracing::warn;

struct NodeIpam {
    nodes: Cache<Node>,
    nodes_api: Api<Node>,
    ranges: Mutex<Ranges>,
    recorder: Recorder,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers. The ranges are those of a new leader: all free.
pub fn register(context: &mut Context, workers: usize, ranges: Ranges) -> Start {
    let this = Arc::new(NodeIpam {
        nodes: context.informers.of().cache(),
        nodes_api: context.api(),
        ranges: Mutex::new(ranges),
        recorder: context.recorder("cidrAllocator"),
        queue: WorkQueue::new(&context.shutdown),
    });
    context.informers.of::<Node>().add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.node_changed(change, cause)
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |key: &Key, _: &Causes| Some(origin(&of.nodes, key, RunSteps::default()));
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("node-ipam", Node::INFO.kind, workers), &queue, origin, reconcile)
}

impl NodeIpam {
    fn node_changed(&self, change: &Change<Node>, cause: &Cause) {
        let node = change.object();
        let name = &node.metadata.name;
        if let Change::Removed(_) = change {
            for waiting in self.ranges.lock().release(name) {
                self.queue.add(Key::new("", &waiting), &echo(cause));
            }
            return;
        }
        match range_of(node) {
            Some(range) => self.ranges.lock().occupy(name, range),
            None => self.queue.add(Key::of(&**node), &echo(cause)),
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key).filter(|node| range_of(node).is_none()) else { return Ok(Outcome::Done) };
        let allocated = self.ranges.lock().allocate(&key.name);
        let range = match allocated {
            Ok(range) => range.to_string(),
            Err(full) => {
                warn!(node = key.name, %full, "no addresses for the node");
                let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
                self.recorder.record(&*node, EventType::Normal, "CIDRNotAvailable", message);
                // It is tried again when a range becomes free.
                return Ok(Outcome::Done);
            }
        };
        // Of this very node: another one of its name has to ask for itself.
        let patch = json!({
            "metadata": { "uid": node.metadata.uid },
            "spec": { "podCIDR": range, "podCIDRs": [range] },
        });
        match self.nodes_api.patch(&key.name, &Patch::Merge(patch)).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => {
                // Its range stays its own: the patch may have arrived all the same, and the next try asks for the same one. Whoever gave it
                // another one is heard by the watch.
                let message = format!("Node {} status is now: CIDRAssignmentFailed", key.name);
                if !error.is_not_found() && !error.is_conflict() {
                    self.recorder.record(&*node, EventType::Normal, "CIDRAssignmentFailed", message);
                }
                Err(error)
            }
        }
    }
}

fn range_of(node: &Node) -> Option<Cidr> {
    node.spec.pod_cidr.parse().ok()
}
