//! The pod workers' view of the real apiserver.

use std::sync::Arc;

use api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use api::meta::v1::{DeleteOptions, Preconditions};
use async_trait::async_trait;
use client::{Api, Client};
use controller::{EventType, Recorder};
use service_kit::{Shutdown, Supervisor};

use super::{Followed, PodApi, Reference, Sources};
use crate::static_pods::{StaticPods, is_static};

/// One node's connection to the apiserver.
pub struct ApiServer {
    pods: Api<Pod>,
    config_maps: Api<ConfigMap>,
    secrets: Api<Secret>,
    nodes: Api<Node>,
    sources: Sources,
    /// Where pods from files report and end; `None`: the node has none.
    static_pods: Option<Arc<StaticPods>>,
    recorder: Recorder,
}

impl ApiServer {
    /// Through a client, with what the process follows already, and with events recorded as this node's.
    pub fn new(client: &Client, sources: Sources, static_pods: Option<Arc<StaticPods>>, recorder: Recorder) -> Self {
        Self {
            pods: Api::all(client.clone()),
            config_maps: Api::all(client.clone()).untraced(),
            secrets: Api::all(client.clone()).untraced(),
            nodes: Api::all(client.clone()).untraced(),
            sources,
            static_pods,
            recorder,
        }
    }

    /// A pod from a file is not the apiserver's: it has a mirror there, and only that.
    fn of_file(&self, pod: &Pod) -> Option<&StaticPods> {
        self.static_pods.as_deref().filter(|_| is_static(pod))
    }

    /// Starts the event writer of a kubelet process.
    pub fn recorder(client: &Client, supervisor: &Supervisor, shutdown: &Shutdown) -> Recorder {
        Recorder::start(Api::<Event>::all(client.clone()), "kubelet", "", supervisor, shutdown)
    }
}

#[async_trait]
impl PodApi for ApiServer {
    async fn write_status(&self, pod: &Pod, restarts: bool) -> Result<Pod, api::Error> {
        if let Some(static_pods) = self.of_file(pod) {
            static_pods.report(pod);
            return Ok(pod.clone());
        }
        // A whole pod in a future is large, and there is one such future per worker.
        let pods = self.pods.within(&pod.metadata.namespace).in_restart(restarts);
        Box::pin(pods.update_status(pod)).await
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Pod, api::Error> {
        self.pods.within(namespace).get(name).await
    }

    async fn delete(&self, pod: &Pod) -> Result<(), api::Error> {
        if let Some(static_pods) = self.of_file(pod) {
            static_pods.ended(pod);
            return Ok(());
        }
        let preconditions = Preconditions { uid: Some(pod.metadata.uid.clone()), resource_version: None };
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteOptions::default()
        };
        self.pods.within(&pod.metadata.namespace).delete(&pod.metadata.name, options).await.map(drop)
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, api::Error> {
        self.config_maps.within(namespace).get(name).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, api::Error> {
        self.secrets.within(namespace).get(name).await
    }

    fn follow(&self, reference: &Reference) -> Followed {
        self.sources.follow(reference)
    }

    fn services(&self, namespace: &str) -> Option<Vec<Arc<Service>>> {
        self.sources.services(namespace)
    }

    async fn node(&self, name: &str) -> Result<Node, api::Error> {
        self.nodes.get(name).await
    }

    fn event(&self, pod: &Pod, field: &str, kind: EventType, reason: &str, message: String) {
        self.recorder.record_at(pod, field, kind, reason, message);
    }
}
