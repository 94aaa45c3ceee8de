//! Pod workers: the acting side of [`crate::lifecycle`].
//!
//! Each pod has one [`worker`], a task that sleeps until something happens to its pod: a new version from the apiserver, an event from the
//! runtime, the end of something it began, a probe, or a time. It then asks the state machine for the next step, begins the actions, and
//! writes the status if it changed. Workers share nothing but their [`NodeContext`].
//!
//! [`Workers`] is the node's side: it gives every pod its worker and passes on what concerns it.

mod apiserver;
mod config;
mod effect;
mod env;
mod execute;
mod handler;
mod journey;
mod launch;
mod listing;
mod probing;
mod reporting;
mod volumes;
mod worker;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{ConfigMap, Node, Pod, Secret};
use api::pod_resources::{Resources, requests};
use async_trait::async_trait;
use controller::EventType;
use parking_lot::{Mutex, RwLock};
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::{Backoff, Clock};
use telemetry::span::TraceMode;
use tokio::time::sleep;
use tracing::warn;

use crate::lifecycle::Ended;
use crate::lifecycle::NodeFacts;
use crate::lifecycle::admission::{Allocation, NODE_AFFINITY, admit};
use crate::runtime::Runtime;

pub use apiserver::ApiServer;
pub use workers::{PodChange, Workers};

/// How often reading the node is tried again before a pod is judged by what is known of it.
const READ_NODE_TRIES: u32 = 8;

/// What pod workers need of the apiserver.
#[async_trait]
pub trait PodApi: Send + Sync + 'static {
    /// Writes the status of a pod, on top of the version that the pod says it is.
    async fn write_status(&self, pod: &Pod) -> Result<Pod, api::Error>;
    /// The newest version of a pod.
    async fn get(&self, namespace: &str, name: &str) -> Result<Pod, api::Error>;
    /// Deletes this very pod (its uid) with grace 0.
    async fn delete(&self, pod: &Pod) -> Result<(), api::Error>;
    /// A config map that a pod refers to.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, api::Error>;
    /// A secret that a pod refers to.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, api::Error>;
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
    /// What the state machine knows of the node.
    pub facts: NodeFacts,
    /// Wall time.
    pub clock: Clock,
    /// How runs relate to their causes.
    pub trace_mode: TraceMode,
    /// The node object, as admission needs it.
    pub node: RwLock<Arc<Node>>,
    /// How many pods have a worker, in the whole process.
    pub running_pods: Gauge,
    /// What the pods asked for that were admitted and may still use the node, by uid.
    pub admitted: Mutex<HashMap<String, Resources>>,
}

impl NodeContext {
    /// Takes a pod on this node, or says why not. A pod that was taken before stays taken.
    ///
    /// The node is not watched, and the scheduler may have seen labels that were set a moment ago. A refusal is final, so none is
    /// spoken because of labels before the node has been read again.
    async fn admit(&self, pod: &Pod) -> Result<(), Ended> {
        match self.admit_to_known(pod) {
            Err(ended) if ended.reason == NODE_AFFINITY => {
                self.read_node().await;
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
                Ok(node) => return *self.node.write() = Arc::new(node),
                Err(error) if error.is_not_found() || backoff.failures() == READ_NODE_TRIES => {
                    return warn!(node = self.name, %error, "the node cannot be read again");
                }
                Err(_) => sleep(backoff.next_delay()).await,
            }
        }
    }

    fn admit_to_known(&self, pod: &Pod) -> Result<(), Ended> {
        let node = Arc::clone(&self.node.read());
        let mut admitted = self.admitted.lock();
        if !admitted.contains_key(&pod.metadata.uid) {
            let mut allocation = Allocation::of(&node);
            for asked in admitted.values() {
                allocation.take(asked);
            }
            admit(pod, &node, &allocation)?;
            admitted.insert(pod.metadata.uid.clone(), requests(&pod.spec));
        }
        Ok(())
    }

    /// Takes a pod that an earlier process had taken: what runs already is not refused.
    fn readmit(&self, pod: &Pod) {
        self.admitted.lock().insert(pod.metadata.uid.clone(), requests(&pod.spec));
    }

    /// Frees what a pod had been given.
    fn release(&self, uid: &str) {
        self.admitted.lock().remove(uid);
    }
}
