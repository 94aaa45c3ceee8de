//! Follows the readiness of nodes, and takes the pods from those that are given up.

use super::plan::{given_up_at, leaves, lost};
use crate::context::{Context, Start};
use crate::indexes::{NODE, by_node};
use crate::nodelifecycle::plan::is_node_ready;
use crate::origin::{echo, origin};
use crate::written::Written;
use api::core::v1::{Node, Pod};
use api::meta::v1::{DeleteOptions, Preconditions};
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use service_kit::Clock;
use std::sync::Arc;
use std::time::Duration;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes};

struct Evictions {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    pods_api: Api<Pod>,
    timeout: Duration,
    written: Written,
    recorder: Recorder,
    clock: Clock,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers. A node that is not ready for `timeout` is given up.
pub fn register(context: &mut Context, workers: usize, timeout: Duration) -> Start {
    let this = Arc::new(Evictions {
        nodes: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        pods_api: context.api(),
        timeout,
        written: Written::default(),
        recorder: context.recorder("node-controller"),
        clock: context.clock.clone(),
        queue: WorkQueue::new(&context.shutdown),
    });
    let pods = context.informers.of::<Pod>();
    pods.add_index(NODE, by_node);
    pods.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.pod_changed(change, cause)
    });
    context.informers.of::<Node>().add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.node_changed(change, cause)
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |key: &Key, _: &Causes| {
        of.written.is_shown(key, &of.pods).then(|| origin(&of.nodes, key, RunSteps::default()))
    };
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("pod-eviction", Node::INFO.kind, workers), &queue, origin, reconcile)
}

impl Evictions {
    /// A pod came to a node that may have been given up already.
    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        let came = match change {
            Change::Added(_) => true,
            Change::Updated { old, new } => old.spec.node_name != new.spec.node_name,
            Change::Removed(_) => false,
        };
        let key = Key::new("", &*change.object().spec.node_name);
        if came && self.nodes.get(&key).is_some_and(|node| !is_node_ready(&node)) {
            self.queue.add(key, &echo(cause));
        }
    }

    /// Whether any node is ready concerns all that are not.
    fn node_changed(&self, change: &Change<Node>, cause: &Cause) {
        if let Change::Updated { old, new } = change
            && is_node_ready(old) == is_node_ready(new)
        {
            return;
        }
        for node in self.nodes.list().iter().filter(|node| !is_node_ready(node)) {
            self.queue.add(Key::of(&**node), &echo(cause));
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(node) = self.nodes.get(key) else { return Ok(Outcome::Done) };
        let Some(when) = given_up_at(&node, self.timeout) else { return Ok(Outcome::Done) };
        // If no node at all is ready, the trouble is more likely ours.
        if !self.nodes.list().iter().any(|node| is_node_ready(node)) {
            return Ok(Outcome::Done);
        }
        let now = self.clock.now();
        if when > now {
            return Ok(Outcome::After(Duration::try_from(when.duration_since(now)).unwrap_or_default()));
        }
        let pods = self.pods.by_index(NODE, &key.name);
        if pods.iter().any(|pod| leaves(pod)) {
            let message = format!("Deleting all Pods from Node {}.", key.name);
            self.recorder.record(&*node, EventType::Normal, "DeletingAllPods", message);
        }
        for pod in pods {
            match self.evict(key, &pod).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }

    async fn evict(&self, node: &Key, pod: &Pod) -> Result<(), Error> {
        if let Some(status) = lost(pod) {
            let stored = self.pods_api.update_status(&Pod { status, ..pod.clone() }).await?;
            self.written.changed(node, &stored);
        }
        if !leaves(pod) {
            return Ok(());
        }
        let message = format!("Marking for deletion Pod {} from Node {}", pod.metadata.name, node.name);
        self.recorder.record(pod, EventType::Normal, "NodeControllerEviction", message);
        let preconditions = Preconditions { uid: Some(pod.metadata.uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        self.pods_api.within(&pod.metadata.namespace).delete(&pod.metadata.name, options).await.map(drop)
    }
}
