//! Pod workers: the acting side of [`crate::lifecycle`].
//!
//! Each pod has one [`worker`], a task that sleeps until something happens to its pod: a new version from the apiserver, an event from the
//! runtime, the end of something it began, a probe, or a time. It then asks the state machine for the next step, begins the actions, and
//! writes the status if it changed. Workers share nothing but their [`NodeContext`].
//!
//! [`Workers`] is the node's side: it gives every pod its worker and passes on what concerns it.

mod apiserver;
mod config;
mod downward;
mod effect;
mod env;
mod execute;
mod handler;
mod journey;
mod launch;
mod listing;
mod names;
mod paced;
mod probing;
mod reporting;
mod sources;
mod volumes;
mod worker;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{ConfigMap, Node, Pod, Secret, Service};
use api::host_ports::{HostPort, host_ports};
use api::pod_resources::{Resources, requests};
use async_trait::async_trait;
use controller::{EventType, Key};
use parking_lot::Mutex;
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::{Backoff, Clock};
use telemetry::span::TraceMode;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::warn;

use crate::lifecycle::NodeFacts;
use crate::lifecycle::admission::{Allocation, Health, NODE_AFFINITY, Pressure, Rejection, admit};
use crate::runtime::Runtime;

pub use apiserver::ApiServer;
pub use names::{NodeDns, Resolver};
pub use sources::{Content, Followed, Known, Reference, SourceKind, Sources};
pub use volumes::{PodFiles, Users, Volumes};
pub use workers::{PodChange, Workers};

/// How often reading the node is tried again before a pod is judged by what is known of it.
const READ_NODE_TRIES: u32 = 8;

/// What pod workers need of the apiserver.
#[async_trait]
pub trait PodApi: Send + Sync + 'static {
    /// Writes the status of a pod, on top of the version that the pod says it is. `restarts`: because a container is restarted.
    async fn write_status(&self, pod: &Pod, restarts: bool) -> Result<Pod, api::Error>;
    /// The newest version of a pod.
    async fn get(&self, namespace: &str, name: &str) -> Result<Pod, api::Error>;
    /// Deletes this very pod (its uid) with grace 0.
    async fn delete(&self, pod: &Pod) -> Result<(), api::Error>;
    /// A config map that a pod refers to.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, api::Error>;
    /// A secret that a pod refers to.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, api::Error>;
    /// Follows a config map or secret that a pod's volume is made from.
    fn follow(&self, reference: &Reference) -> Followed;
    /// The services of a namespace, and `default/kubernetes`; `None` until they have been read once.
    fn services(&self, namespace: &str) -> Option<Vec<Arc<Service>>>;
    /// The newest version of the node itself.
    async fn node(&self, name: &str) -> Result<Node, api::Error>;
    /// Tells the user something about a pod, or about the part of it that `field` names. Never blocks.
    fn event(&self, pod: &Pod, field: &str, kind: EventType, reason: &str, message: String);
}

/// What the pods of one node share.
pub struct NodeContext {
    /// The node's name.
    pub name: String,
    /// What runs containers.
    pub runtime: Runtime,
    /// The apiserver.
    pub api: Arc<dyn PodApi>,
    /// Absolute; logs and volumes of pods lie under it.
    pub root_dir: PathBuf,
    /// The files of pods.
    pub volumes: Volumes,
    /// How pods look up names.
    pub dns: NodeDns,
    /// What the state machine knows of the node.
    pub facts: NodeFacts,
    /// The time of the pods' containers; the world's, unless it is simulated.
    pub clock: Clock,
    /// How runs relate to their causes.
    pub trace_mode: TraceMode,
    /// The node's object, as the watch or an answer told it last.
    pub node: watch::Sender<Arc<Node>>,
    /// How many pods have a worker, in the whole process.
    pub running_pods: Gauge,
    /// The pods that were admitted and may still use the node, by uid.
    pub admitted: Mutex<HashMap<String, Admitted>>,
    /// How the node is.
    pub health: Mutex<Health>,
    /// Something has changed that the node's status tells.
    pub changed: Notify,
}

/// A pod that uses the node.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its namespace and name.
    pub key: Key,
    /// What it asked for.
    pub requests: Resources,
    /// The node's ports that it has.
    pub ports: Vec<HostPort>,
}

impl Admitted {
    fn of(pod: &Pod) -> Self {
        Self { key: Key::of(pod), requests: requests(&pod.spec), ports: host_ports(&pod.spec) }
    }
}

impl NodeContext {
    /// How much memory the node has, in bytes.
    fn memory_capacity(&self) -> i64 {
        self.node.borrow().status.capacity.get("memory").map_or(0, |memory| memory.amount_or_zero().value())
    }

    /// Takes note of a version of the node's object.
    pub fn learn(&self, node: Arc<Node>) {
        let revision = |node: &Node| node.metadata.resource_version.parse::<u64>().unwrap_or(0);
        self.node.send_if_modified(|known| {
            let news = node.metadata.uid != known.metadata.uid || revision(&node) >= revision(known);
            if news {
                *known = node;
            }
            news
        });
    }

    /// What the node is short of from now on.
    pub fn set_pressures(&self, pressures: BTreeSet<Pressure>) {
        self.set_health(|health| health.pressures = pressures);
    }

    /// The node is about to end.
    pub fn shut_down(&self) {
        self.set_health(|health| health.shutting_down = true);
    }

    fn set_health(&self, set: impl FnOnce(&mut Health)) {
        let mut health = self.health.lock();
        let before = health.clone();
        set(&mut health);
        if *health != before {
            self.changed.notify_one();
        }
    }

    /// Takes a pod on this node, or says why not. A pod that was taken before stays taken.
    ///
    /// The scheduler may have seen labels that were set a moment ago, which our watch has not told yet. A refusal is final, so none is
    /// spoken because of labels before the node has been read again.
    async fn admit(&self, pod: &Pod) -> Result<(), Rejection> {
        match self.admit_to_known(pod) {
            Err(rejection) if rejection.reason == NODE_AFFINITY => {
                // Boxed, because it is rare, and every worker has room for what it may wait for.
                Box::pin(self.read_node()).await;
                self.admit_to_known(pod)
            }
            decided => decided,
        }
    }

    /// Reads the node's object again; what is known stays if the apiserver does not answer for long.
    async fn read_node(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.api.node(&self.name).await {
                Ok(node) => return self.learn(Arc::new(node)),
                Err(error) if error.is_not_found() || backoff.failures() == READ_NODE_TRIES => {
                    return warn!(node = self.name, %error, "the node cannot be read again");
                }
                Err(_) => sleep(backoff.next_delay()).await,
            }
        }
    }

    fn admit_to_known(&self, pod: &Pod) -> Result<(), Rejection> {
        let node = Arc::clone(&self.node.borrow());
        let mut admitted = self.admitted.lock();
        if !admitted.contains_key(&pod.metadata.uid) {
            let mut allocation = Allocation::of(&node);
            for other in admitted.values() {
                allocation.take(&other.requests, &other.ports);
            }
            let health = self.health.lock().clone();
            admit(pod, &node, &health, &allocation)?;
            admitted.insert(pod.metadata.uid.clone(), Admitted::of(pod));
        }
        Ok(())
    }

    /// Takes a pod that an earlier process had taken: what runs already is not refused.
    fn readmit(&self, pod: &Pod) {
        self.admitted.lock().insert(pod.metadata.uid.clone(), Admitted::of(pod));
    }

    /// Frees what a pod had been given.
    fn release(&self, uid: &str) {
        self.admitted.lock().remove(uid);
    }
}
