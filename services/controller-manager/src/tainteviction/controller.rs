//! Follows nodes' taints and their pods, and evicts pods when their time is over.

use super::plan::{Verdict, verdict};
use crate::context::{Context, Start};
use crate::indexes::{NODE, by_node};
use crate::origin::{echo, origin};
use api::core::v1::{Node, Pod, PodCondition, Taint};
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::{DISRUPTION_TARGET, is_true, set_condition};
use api::tolerations::NO_EXECUTE;
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use jiff::Timestamp;
use parking_lot::Mutex;
use service_kit::Clock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes};

struct Evictions {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    pods_api: Api<Pod>,
    /// Pods that have to leave, by when they were found to.
    leaving: Mutex<HashMap<Key, Timestamp>>,
    recorder: Recorder,
    clock: Clock,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let this = Arc::new(Evictions {
        nodes: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        pods_api: context.api(),
        leaving: Mutex::default(),
        recorder: context.recorder("taint-eviction-controller"),
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
    let origin = move |key: &Key, _: &Causes| Some(origin(&of.pods, key, RunSteps::default()));
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("taint-eviction", Pod::INFO.kind, workers), &queue, origin, reconcile)
}

impl Evictions {
    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        let pod = change.object();
        let key = Key::of(&**pod);
        let is_over = match change {
            Change::Removed(_) => true,
            Change::Updated { old, new } => old.metadata.uid != new.metadata.uid,
            Change::Added(_) => false,
        };
        if is_over {
            self.leaving.lock().remove(&key);
        }
        if let Change::Updated { old, new } = change
            && old.spec.node_name == new.spec.node_name
            && old.spec.tolerations == new.spec.tolerations
        {
            return;
        }
        // Nearly all nodes have no such taint: most pods are never looked at.
        if !self.taints(pod).is_empty() {
            self.queue.add(key, &echo(cause));
        }
    }

    fn node_changed(&self, change: &Change<Node>, cause: &Cause) {
        let node = change.object();
        let old = if let Change::Updated { old, .. } = change { no_execute(old) } else { Vec::new() };
        if old == no_execute(node) {
            return;
        }
        for pod in self.pods.by_index(NODE, &node.metadata.name) {
            self.queue.add(Key::of(&*pod), &echo(cause));
        }
    }

    /// The taints of the pod's node that ask it to leave.
    fn taints(&self, pod: &Pod) -> Vec<Taint> {
        let node = self.nodes.get(&Key::new("", &*pod.spec.node_name));
        node.map(|node| no_execute(&node)).unwrap_or_default()
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(Outcome::Done) };
        let now = self.clock.now();
        let known_since = self.leaving.lock().get(key).copied().unwrap_or(now);
        match verdict(&pod, &self.taints(&pod), known_since) {
            Verdict::Stays => {
                if self.leaving.lock().remove(key).is_some() && pod.metadata.deletion_timestamp.is_none() {
                    let message = format!("Cancelling deletion of Pod {key}");
                    self.recorder.record(&*pod, EventType::Normal, EVICTION, message);
                }
                Ok(Outcome::Done)
            }
            Verdict::LeavesAt(when) if when > now => {
                self.leaving.lock().entry(key.clone()).or_insert(now);
                Ok(Outcome::After(Duration::try_from(when.duration_since(now)).unwrap_or_default()))
            }
            Verdict::LeavesAt(_) => {
                self.evict(key, &pod).await?;
                self.leaving.lock().remove(key);
                Ok(Outcome::Done)
            }
        }
    }

    async fn evict(&self, key: &Key, pod: &Pod) -> Result<(), Error> {
        self.recorder.record(pod, EventType::Normal, EVICTION, format!("Marking for deletion Pod {key}"));
        if !is_true(&pod.status, DISRUPTION_TARGET) {
            let mut marked = pod.clone();
            let condition = PodCondition {
                r#type: DISRUPTION_TARGET.to_owned(),
                status: "True".to_owned(),
                reason: "DeletionByTaintManager".to_owned(),
                message: "Taint manager: deleting due to NoExecute taint".to_owned(),
                ..PodCondition::default()
            };
            set_condition(&mut marked.status, condition, self.clock.now());
            match self.pods_api.update_status(&marked).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let preconditions = Preconditions { uid: Some(pod.metadata.uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        match self.pods_api.within(&key.namespace).delete(&key.name, options).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reason of the events.
const EVICTION: &str = "TaintManagerEviction";

fn no_execute(node: &Node) -> Vec<Taint> {
    node.spec.taints.iter().filter(|taint| taint.effect == NO_EXECUTE).cloned().collect()
}
