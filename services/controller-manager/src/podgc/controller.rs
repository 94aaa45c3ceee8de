//! Looks through all pods now and then, and removes those that nobody looks after.

use super::plan::{Observed, Why, missing_nodes, plan};
use crate::context::{Context, Start};
use crate::origin::origin;
use api::core::v1::{Node, Pod, PodCondition};
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::{DISRUPTION_TARGET, is_finished, set_condition};
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Key, Outcome, RunKey, WorkQueue};
use service_kit::{Clock, OnFailure, Shutdown};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Causes;
use telemetry::span::ObjectRef;
use telemetry::span::reconcile::RunSteps;
use tokio::time::Instant;
use tracing::debug;

/// Between two looks; Kubernetes' number.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node must be missing: a kubelet that registers anew is back by then. Kubernetes' number.
const QUARANTINE: Duration = Duration::from_secs(40);
/// Pods that are removed at the same time.
const WORKERS: usize = 4;

/// A pod that goes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Doomed {
    key: Key,
    uid: String,
    why: Why,
}

impl fmt::Display for Doomed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl RunKey for Doomed {
    fn object<'a>(&'a self, kind: &'a str) -> ObjectRef<'a> {
        ObjectRef { kind, namespace: &self.key.namespace, name: &self.key.name, uid: &self.uid }
    }
}

struct PodGc {
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    pods_api: Api<Pod>,
    nodes_api: Api<Node>,
    keep: Option<usize>,
    clock: Clock,
    queue: WorkQueue<Doomed>,
}

/// Adds the controller to the shared informers. `keep` finished pods stay.
pub fn register(context: &mut Context, keep: Option<usize>) -> Start {
    let this = Arc::new(PodGc {
        pods: context.informers.of().cache(),
        nodes: context.informers.of().cache(),
        pods_api: context.api(),
        nodes_api: context.api(),
        keep,
        clock: context.clock.clone(),
        queue: WorkQueue::new(&context.shutdown),
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |doomed: &Doomed, _: &Causes| Some(origin(&of.pods, &doomed.key, RunSteps::default()));
    let (looking, supervisor, shutdown) = (Arc::clone(&this), context.supervisor.clone(), context.shutdown.clone());
    let reconcile = move |doomed: Doomed, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.remove(&doomed).await }
    };
    let workers = context.workers(("pod-garbage-collector", Pod::INFO.kind, WORKERS), &queue, origin, reconcile);
    Box::new(move || {
        let look = async move { looking.look(shutdown).await };
        supervisor.spawn("pod garbage collection", OnFailure::StopService, look);
        workers();
    })
}

impl PodGc {
    async fn look(&self, shutdown: Shutdown) {
        let mut missing_since: HashMap<String, Instant> = HashMap::new();
        while shutdown.run_until_triggered(tokio::time::sleep(PERIOD)).await.is_some() {
            let pods = self.pods.list();
            let nodes = self.nodes.list().into_iter().map(|node| (node.metadata.name.clone(), node)).collect();
            let missing = missing_nodes(&pods, &nodes);
            missing_since.retain(|name, _| missing.contains(name));
            for name in missing {
                missing_since.entry(name).or_insert_with(Instant::now);
            }
            let gone = self.gone(&missing_since).await;
            for (pod, why) in plan(&Observed { pods: &pods, nodes: &nodes, gone: &gone, keep: self.keep }) {
                let doomed = Doomed { key: Key::of(&*pod), uid: pod.metadata.uid.clone(), why };
                self.queue.add_all(doomed, Causes::none());
            }
        }
    }

    /// Nodes that have been missing for long enough, and that the apiserver does not have either.
    async fn gone(&self, missing_since: &HashMap<String, Instant>) -> HashSet<String> {
        let mut gone = HashSet::new();
        for (name, _) in missing_since.iter().filter(|(_, since)| since.elapsed() >= QUARANTINE) {
            match self.nodes_api.get(name).await {
                Err(error) if error.is_not_found() => _ = gone.insert(name.clone()),
                Ok(_) => {}
                Err(error) => debug!(node = name, %error, "cannot ask for the node, asking again later"),
            }
        }
        gone
    }

    async fn remove(&self, doomed: &Doomed) -> Result<Outcome, Error> {
        let Some(pod) = self.pods.get(&doomed.key).filter(|pod| pod.metadata.uid == doomed.uid) else {
            return Ok(Outcome::Done);
        };
        let settled = match self.remove_pod(&pod, doomed.why).await {
            Err(error) if error.is_not_found() => Ok(()),
            result => result,
        };
        settled.map(|()| Outcome::Done)
    }

    async fn remove_pod(&self, pod: &Pod, why: Why) -> Result<(), Error> {
        if !is_finished(pod) {
            // Whoever counts the pod, a Job for one, must see that it did not succeed.
            let mut failed = pod.clone();
            failed.status.phase = "Failed".to_owned();
            if let Some(message) = disruption(why) {
                let condition = PodCondition {
                    r#type: DISRUPTION_TARGET.to_owned(),
                    status: "True".to_owned(),
                    reason: "DeletionByPodGC".to_owned(),
                    message: message.to_owned(),
                    ..PodCondition::default()
                };
                set_condition(&mut failed.status, condition, self.clock.now());
            }
            self.pods_api.update_status(&failed).await?;
        }
        let preconditions = Preconditions { uid: Some(pod.metadata.uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteOptions::default()
        };
        self.pods_api.within(&pod.metadata.namespace).delete(&pod.metadata.name, options).await.map(drop)
    }
}

/// What the pod's condition says, for a pod that did not choose to go.
fn disruption(why: Why) -> Option<&'static str> {
    match why {
        Why::Orphaned => Some("PodGC: node no longer exists"),
        Why::OutOfService => Some("PodGC: node has been shut down and is out of service"),
        Why::Unscheduled | Why::Finished => None,
    }
}
