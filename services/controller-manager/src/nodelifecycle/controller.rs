//! Follows nodes and their leases, and writes conditions and taints.

use super::plan::{Observed, Patience, Plan, is_doubtful, is_node_ready, plan};
use super::signs::Signs;
use crate::context::{Context, Start};
use crate::indexes::{NODE, by_node};
use crate::origin::{echo, origin};
use crate::written::Written;
use api::coordination::v1::Lease;
use api::core::v1::{Node, Pod, PodCondition};
use api::pod_conditions::{READY, condition, set_condition};
use api::{Error, Resource};
use client::{Api, Patch};
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use serde_json::json;
use service_kit::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes};

struct Nodes {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    nodes_api: Api<Node>,
    pods_api: Api<Pod>,
    signs: Signs,
    patience: Patience,
    /// Whether at least one node was ready when that was last looked at.
    some_are_ready: AtomicBool,
    written: Written,
    /// Pods, by their nodes.
    written_pods: Written,
    recorder: Recorder,
    clock: Clock,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize, patience: Patience) -> Start {
    let this = Arc::new(Nodes {
        nodes: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        nodes_api: context.api(),
        pods_api: context.api(),
        signs: Signs::default(),
        patience,
        some_are_ready: AtomicBool::new(false),
        written: Written::default(),
        written_pods: Written::default(),
        recorder: context.recorder("node-controller"),
        clock: context.clock.clone(),
        queue: WorkQueue::new(&context.shutdown),
    });
    context.informers.of::<Pod>().add_index(NODE, by_node);
    context.informers.of::<Node>().add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.node_changed(change, cause)
    });
    context.informers.of::<Lease>().add_handler({
        let this = Arc::clone(&this);
        move |change: &Change<Lease>, _| {
            if let Change::Added(lease) | Change::Updated { new: lease, .. } = change {
                this.signs.lease(lease, this.clock.instant());
            }
        }
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |key: &Key, _: &Causes| {
        let sees_its_writes = of.written.is_shown(key, &of.nodes) && of.written_pods.is_shown(key, &of.pods);
        sees_its_writes.then(|| origin(&of.nodes, key, RunSteps::default()))
    };
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("node-lifecycle", Node::INFO.kind, workers), &queue, origin, reconcile)
}

impl Nodes {
    fn node_changed(&self, change: &Change<Node>, cause: &Cause) {
        let node = change.object();
        let name = &node.metadata.name;
        let event = |reason: &str, what: String| {
            self.recorder.record(&**node, EventType::Normal, reason, format!("Node {name} event: {what}"));
        };
        match change {
            Change::Removed(_) => {
                self.signs.forget(name);
                event("RemovingNode", format!("Removing Node {name} from Controller"));
            }
            Change::Added(_) => {
                self.signs.node(node, self.clock.instant());
                self.queue.add(Key::of(&**node), &echo(cause));
                event("RegisteredNode", format!("Registered Node {name} in Controller"));
            }
            Change::Updated { old, new } => {
                self.signs.node(new, self.clock.instant());
                if matters(old, new) {
                    self.queue.add(Key::of(&**new), &echo(cause));
                }
            }
        }
        self.follow_readiness(cause);
    }

    /// Whether any node is ready concerns all of them.
    fn follow_readiness(&self, cause: &Cause) {
        let nodes = self.nodes.list();
        let some_are_ready = nodes.iter().any(|node| is_node_ready(node));
        if self.some_are_ready.swap(some_are_ready, Ordering::Relaxed) != some_are_ready {
            for node in nodes {
                self.queue.add(Key::of(&*node), &echo(cause));
            }
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key) else { return Ok(Outcome::Done) };
        let Some(last) = self.signs.last(&key.name) else { return Ok(Outcome::Done) };
        let silent_for = self.clock.instant().saturating_duration_since(last);
        let some_are_ready = self.some_are_ready.load(Ordering::Relaxed);
        let plan = plan(Observed { node: &node, silent_for, some_are_ready }, self.patience, self.clock.now());
        let Plan { conditions, taints, is_lost, doubts_pods, again } = plan;
        let mut newest = (*node).clone();
        if let Some(conditions) = conditions {
            // On the revision that was judged: a status that the kubelet posted meanwhile is a sign of life.
            newest.status.conditions = conditions;
            newest = self.nodes_api.update_status(&newest).await?;
            self.written.changed(key, &newest);
        }
        if is_lost {
            let message = format!("Node {} status is now: NodeNotReady", key.name);
            self.recorder.record(&*node, EventType::Normal, "NodeNotReady", message);
        }
        if let Some(taints) = taints {
            let revision = &newest.metadata.resource_version;
            let patch = json!({ "metadata": { "resourceVersion": revision }, "spec": { "taints": taints } });
            newest = self.nodes_api.patch(&key.name, &Patch::Merge(patch)).await?;
            self.written.changed(key, &newest);
        }
        if doubts_pods {
            self.doubt_pods(&newest).await?;
        }
        Ok(again.map_or(Outcome::Done, Outcome::After))
    }

    /// Pods of a node that is not ready are not ready either, whatever they last said: Services must not send traffic there.
    async fn doubt_pods(&self, node: &Node) -> Result<(), Error> {
        for pod in self.pods.by_index(NODE, &node.metadata.name) {
            if !is_doubtful(&pod, node) {
                continue;
            }
            let mut doubted = (*pod).clone();
            let ready = condition(&pod.status, READY).cloned().unwrap_or_default();
            let not_ready = PodCondition { status: "False".to_owned(), ..ready };
            set_condition(&mut doubted.status, not_ready, self.clock.now());
            match self.pods_api.update_status(&doubted).await {
                Ok(stored) => {
                    self.written_pods.changed(&Key::of(node), &stored);
                    self.recorder.record(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready");
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether anything but a heartbeat changed.
fn matters(old: &Node, new: &Node) -> bool {
    let conditions = |node: &Node| -> Vec<(String, String)> {
        node.status.conditions.iter().map(|c| (c.r#type.clone(), c.status.clone())).collect()
    };
    old.metadata.uid != new.metadata.uid || old.spec != new.spec || conditions(old) != conditions(new)
}
