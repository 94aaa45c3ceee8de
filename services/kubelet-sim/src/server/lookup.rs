//! From the pod that is named to what the kubelet and the runtime know of it.

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Pod;
use api::rpc::PodTarget;
use api::{Error, Reason};
use controller::{Cache, Key};

use crate::cri;
use crate::lifecycle::Observed;
use crate::runtime::{self, Runtime, RuntimeService};

/// Where Kubernetes notes on a mirror pod which static pod it stands for: the uid that the runtime knows.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The label of sandboxes that names their pod.
const POD_UID: &str = "io.kubernetes.pod.uid";

/// The nodes of this process and their pods.
pub struct Lookup {
    /// What runs the containers of each, by its name.
    pub nodes: HashMap<String, Runtime>,
    /// The pods that are bound to them, as the apiserver has them.
    pub pods: Cache<Pod>,
}

/// A pod that was found.
pub(super) struct Found {
    pub(super) runtime: Runtime,
    pub(super) pod: Arc<Pod>,
    /// The uid under which the runtime has it.
    uid: String,
}

impl Lookup {
    /// The pod, if it is known and has the uid; `gone` says it in the words of the call.
    pub(super) fn find(&self, target: Option<&PodTarget>, gone: impl Fn(&str) -> String) -> api::Result<Found> {
        let target = target.cloned().unwrap_or_default();
        let Some(runtime) = self.nodes.get(&target.node) else {
            let message = format!("this kubelet does not host the node {:?}", target.node);
            return Err(Error::new(Reason::NotFound, message));
        };
        let key = Key::new(&target.namespace, &target.name);
        let pod = self.pods.get(&key).filter(|pod| pod.metadata.uid == target.uid && pod.spec.node_name == target.node);
        let pod = pod.ok_or_else(|| Error::new(Reason::NotFound, gone(&target.name)))?;
        let uid = pod.metadata.annotations.get(MIRROR).unwrap_or(&pod.metadata.uid).clone();
        Ok(Found { runtime: runtime.clone(), pod, uid })
    }
}

impl Found {
    /// What the runtime has of it now.
    pub(super) async fn observe(&self) -> api::Result<Observed> {
        let listed = list(self.runtime.containers.as_ref(), &self.uid).await;
        listed.map_err(|error| Error::internal(format!("the container runtime does not answer: {error}")))
    }

    /// `name_namespace`, as the kubelet's messages call a pod.
    pub(super) fn full_name(&self) -> String {
        format!("{}_{}", self.pod.metadata.name, self.pod.metadata.namespace)
    }
}

/// The sandboxes of one pod with their containers.
async fn list(runtime: &dyn RuntimeService, uid: &str) -> runtime::Result<Observed> {
    let labels = [(POD_UID.to_owned(), uid.to_owned())].into();
    let filter = cri::PodSandboxFilter { label_selector: labels, ..Default::default() };
    let mut observed = Observed::default();
    for sandbox in runtime.list_pod_sandbox(Some(filter)).await? {
        let answer = match runtime.pod_sandbox_status(&sandbox.id).await {
            Err(error) if error.is_not_found() => continue,
            answer => answer?,
        };
        let mut containers = answer.containers_statuses;
        if containers.is_empty() {
            // Not every runtime answers the containers with their sandbox.
            let filter = cri::ContainerFilter { pod_sandbox_id: sandbox.id.clone(), ..Default::default() };
            for container in runtime.list_containers(Some(filter)).await? {
                match runtime.container_status(&container.id).await {
                    Err(error) if error.is_not_found() => {}
                    status => containers.push(status?),
                }
            }
        }
        observed.take(answer.status.unwrap_or_default(), containers, answer.timestamp);
    }
    Ok(observed)
}
