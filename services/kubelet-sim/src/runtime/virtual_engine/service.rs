//! The engine as CRI: one line per call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::containers::no_such;
use super::{SUBSCRIBER_BUFFER, VirtualEngine};
use crate::cri;
use crate::runtime::{
    Connection, ContainerLogs, Events, ImageService, Lines, LogOptions, PodStreams, Result, RuntimeError,
    RuntimeService, Session, Terminal,
};

/// The scheme of the container ids that users see: `virtual://...`.
pub(super) const RUNTIME_NAME: &str = "virtual";

/// Where images and what containers write would be.
pub(super) const STORAGE: &str = "/var/lib/virtual";

#[async_trait]
impl RuntimeService for VirtualEngine {
    async fn version(&self) -> Result<cri::VersionResponse> {
        Ok(cri::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: RUNTIME_NAME.to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime_api_version: "v1".to_owned(),
        })
    }

    async fn status(&self) -> Result<cri::StatusResponse> {
        let condition = |r#type: &str, status, reason: &str, message: &str| cri::RuntimeCondition {
            r#type: r#type.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let network = if !self.catalogue.runtime.network_is_ready(self.age()) {
            let message = "Network plugin returns error: cni plugin not initialized";
            condition("NetworkReady", false, "NetworkPluginNotReady", message)
        } else if self.state.lock().addresses.ready() {
            condition("NetworkReady", true, "", "")
        } else {
            condition("NetworkReady", false, "NetworkPluginNotReady", "the node has no pod address range yet")
        };
        let runtime = match self.is_up() {
            Ok(()) => condition("RuntimeReady", true, "", ""),
            Err(_) => condition("RuntimeReady", false, "DockerDaemonNotReady", "docker: daemon is not ready"),
        };
        let conditions = vec![runtime, network];
        Ok(cri::StatusResponse { status: Some(cri::RuntimeStatus { conditions }), info: BTreeMap::new() })
    }

    async fn update_runtime_config(&self, request: cri::UpdateRuntimeConfigRequest) -> Result<()> {
        let cidr = request
            .runtime_config
            .and_then(|config| config.network_config)
            .map(|network| network.pod_cidr)
            .unwrap_or_default();
        let wrong = |message| RuntimeError { code: tonic::Code::InvalidArgument, message };
        // A second range would be IPv6, which the pod network here does not have.
        self.state.lock().addresses.set_range(cidr.split(',').next().unwrap_or_default()).map_err(wrong)
    }

    async fn run_pod_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String> {
        self.is_up()?;
        self.make_sandbox(request).await
    }

    async fn stop_pod_sandbox(&self, id: &str) -> Result<()> {
        self.stop_sandbox(id);
        Ok(())
    }

    async fn remove_pod_sandbox(&self, id: &str) -> Result<()> {
        self.remove_sandbox(id);
        Ok(())
    }

    async fn pod_sandbox_status(&self, id: &str) -> Result<cri::PodSandboxStatusResponse> {
        let state = self.state.lock();
        let sandbox = state.sandboxes.get(id).ok_or_else(|| no_such("sandbox", id))?;
        Ok(cri::PodSandboxStatusResponse {
            status: Some(sandbox.status()),
            info: BTreeMap::new(),
            containers_statuses: sandbox
                .containers
                .iter()
                .filter_map(|id| state.containers.get(id))
                .map(|c| c.status())
                .collect(),
            timestamp: self.stamp(),
        })
    }

    async fn list_pod_sandbox(&self, filter: Option<cri::PodSandboxFilter>) -> Result<Vec<cri::PodSandbox>> {
        let filter = filter.unwrap_or_default();
        let wanted = |sandbox: &cri::PodSandbox| {
            (filter.id.is_empty() || filter.id == sandbox.id)
                && filter.state.as_ref().is_none_or(|state| state.state == sandbox.state)
                && selects(&filter.label_selector, &sandbox.labels)
        };
        Ok(self.state.lock().sandboxes.values().map(|sandbox| sandbox.summary()).filter(wanted).collect())
    }

    async fn create_container(&self, request: cri::CreateContainerRequest) -> Result<String> {
        self.is_up()?;
        self.make_container(request).await
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        self.is_up()?;
        self.run_container(id).await
    }

    async fn stop_container(&self, id: &str, timeout: i64) -> Result<()> {
        self.end_container(id, Duration::from_secs(u64::try_from(timeout).unwrap_or(0))).await;
        Ok(())
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        self.drop_container(id);
        Ok(())
    }

    async fn list_containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>> {
        let filter = filter.unwrap_or_default();
        let wanted = |container: &cri::Container| {
            (filter.id.is_empty() || filter.id == container.id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.pod_sandbox_id)
                && filter.state.as_ref().is_none_or(|state| state.state == container.state)
                && selects(&filter.label_selector, &container.labels)
        };
        Ok(self.state.lock().containers.values().map(|container| container.summary()).filter(wanted).collect())
    }

    async fn container_status(&self, id: &str) -> Result<cri::ContainerStatus> {
        let state = self.state.lock();
        state.containers.get(id).map(|container| container.status()).ok_or_else(|| no_such("container", id))
    }

    async fn exec_sync(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        self.is_up()?;
        self.execute(request).await
    }

    async fn list_container_stats(
        &self,
        filter: Option<cri::ContainerStatsFilter>,
    ) -> Result<Vec<cri::ContainerStats>> {
        Ok(self.stats(&filter.unwrap_or_default()))
    }

    async fn reopen_container_log(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn events(&self) -> Result<Events> {
        let (subscriber, events) = mpsc::channel(SUBSCRIBER_BUFFER);
        self.subscribers.lock().push(subscriber);
        Ok(ReceiverStream::new(events).map(Ok).boxed())
    }
}

#[async_trait]
impl PodStreams for VirtualEngine {
    async fn exec(&self, container_id: &str, command: Vec<String>, terminal: Terminal) -> Result<Session> {
        self.open_exec(container_id, &command, terminal)
    }

    async fn attach(&self, container_id: &str, terminal: Terminal) -> Result<Session> {
        self.open_attach(container_id, terminal)
    }

    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Box<dyn Connection>> {
        self.connect(sandbox_id, port)
    }
}

#[async_trait]
impl ContainerLogs for VirtualEngine {
    async fn logs(&self, container_id: &str, options: LogOptions) -> Result<Lines> {
        self.log(container_id, options)
    }
}

#[async_trait]
impl ImageService for VirtualEngine {
    async fn list_images(&self) -> Result<Vec<cri::Image>> {
        Ok(self.state.lock().images.values().map(|image| image.as_ref().clone()).collect())
    }

    async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>> {
        Ok(self.find_image(&image)?.map(Arc::unwrap_or_clone))
    }

    async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String> {
        self.is_up()?;
        self.bring_image(request).await
    }

    async fn remove_image(&self, image: cri::ImageSpec) -> Result<()> {
        self.drop_image(&image);
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse> {
        let used = self.state.lock().images.values().map(|image| image.size).sum();
        let usage = cri::FilesystemUsage {
            timestamp: self.now(),
            fs_id: Some(cri::FilesystemIdentifier { mountpoint: STORAGE.to_owned() }),
            used_bytes: Some(cri::UInt64Value { value: used }),
            inodes_used: None,
        };
        Ok(cri::ImageFsInfoResponse { image_filesystems: vec![usage], container_filesystems: Vec::new() })
    }
}

/// Whether labels are as a selector asks for.
pub(super) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
