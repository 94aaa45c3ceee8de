//! The engine as CRI: one line per call, as far as it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::sandbox::wire::{Reply, Request};
use super::{ProcessEngine, SUBSCRIBER_BUFFER, no_such};
use crate::cri;
use crate::runtime::{
    ContainerLogs, Events, ImageService, Lines, LogOptions, Result, RuntimeError, RuntimeService, log_files,
};

/// The scheme of the container ids that users see: `process://...`.
pub(super) const RUNTIME_NAME: &str = "process";

#[async_trait]
impl RuntimeService for ProcessEngine {
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
        let network = if self.network.ready() {
            condition("NetworkReady", true, "", "")
        } else {
            condition("NetworkReady", false, "NetworkPluginNotReady", "the node has no pod address range yet")
        };
        let conditions = vec![condition("RuntimeReady", true, "", ""), network];
        Ok(cri::StatusResponse { status: Some(cri::RuntimeStatus { conditions }), info: BTreeMap::new() })
    }

    async fn update_runtime_config(&self, request: cri::UpdateRuntimeConfigRequest) -> Result<()> {
        let cidr = request.runtime_config.and_then(|config| config.network_config).map(|network| network.pod_cidr);
        self.make(|engine| async move {
            let set = tokio::task::spawn_blocking(move || engine.network.set_range(&cidr.unwrap_or_default())).await;
            set.unwrap_or_else(|why| Err(RuntimeError::unknown(why.to_string())))
        })
        .await
    }

    async fn run_pod_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String> {
        self.make(|engine| engine.make_sandbox(request)).await
    }

    async fn stop_pod_sandbox(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.whole(|engine| async move { engine.stop_sandbox(&id).await }).await
    }

    async fn remove_pod_sandbox(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.whole(|engine| engine.remove_sandbox(id)).await
    }

    async fn pod_sandbox_status(&self, id: &str) -> Result<cri::PodSandboxStatusResponse> {
        let state = self.state.lock();
        let sandbox = state.sandboxes.get(id).ok_or_else(|| no_such("sandbox", id))?;
        Ok(cri::PodSandboxStatusResponse {
            status: Some(sandbox.status()),
            info: BTreeMap::new(),
            containers_statuses: state.containers_of(id).map(|container| container.status()).collect(),
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
        self.make(|engine| engine.make_container(request)).await
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.make(|engine| engine.run_container(id)).await
    }

    async fn stop_container(&self, id: &str, timeout: i64) -> Result<()> {
        let (id, grace) = (id.to_owned(), Duration::from_secs(u64::try_from(timeout).unwrap_or(0)));
        self.whole(|engine| engine.end_container(id, grace)).await
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.whole(|engine| engine.drop_container(id)).await
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
        self.execute(request).await
    }

    async fn list_container_stats(
        &self,
        filter: Option<cri::ContainerStatsFilter>,
    ) -> Result<Vec<cri::ContainerStats>> {
        let filter = filter.unwrap_or_default();
        let running: Vec<cri::Container> = {
            let state = self.state.lock();
            let running = state.containers.values().filter(|container| container.is_running());
            running.map(|container| container.summary()).collect()
        };
        let wanted = |container: &cri::Container| {
            (filter.id.is_empty() || filter.id == container.id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.pod_sandbox_id)
                && selects(&filter.label_selector, &container.labels)
        };
        let running: Vec<cri::Container> = running.into_iter().filter(wanted).collect();
        self.whole(|engine| async move {
            let measured = tokio::task::spawn_blocking(move || {
                running.into_iter().map(|container| engine.measure(container)).collect()
            });
            measured.await.map_err(|why| RuntimeError::unknown(format!("cannot measure containers: {why}")))
        })
        .await
    }

    async fn reopen_container_log(&self, id: &str) -> Result<()> {
        let sandbox = {
            let state = self.state.lock();
            let container = state.containers.get(id).ok_or_else(|| no_such("container", id))?;
            container.record.sandbox.clone()
        };
        match self.ask(&sandbox, &Request::ReopenLog { container: id.to_owned() }).await? {
            Reply::Failed(why) => Err(RuntimeError::unknown(why)),
            _ => Ok(()),
        }
    }

    async fn events(&self) -> Result<Events> {
        let (subscriber, events) = mpsc::channel(SUBSCRIBER_BUFFER);
        self.subscribers.lock().push(subscriber);
        Ok(ReceiverStream::new(events).map(Ok).boxed())
    }
}

#[async_trait]
impl ContainerLogs for ProcessEngine {
    async fn logs(&self, container_id: &str, options: LogOptions) -> Result<Lines> {
        let (log, mut ended) = {
            let state = self.state.lock();
            let container = state.containers.get(container_id).ok_or_else(|| no_such("container", container_id))?;
            (container.record.log.clone(), container.ended.subscribe())
        };
        let log = log.ok_or_else(|| RuntimeError::unknown(format!("container {container_id} has no log file")))?;
        log_files::read(log, options, async move {
            // One that was removed has ended, too.
            let _ = ended.wait_for(|ended| *ended).await;
        })
        .await
    }
}

#[async_trait]
impl ImageService for ProcessEngine {
    async fn list_images(&self) -> Result<Vec<cri::Image>> {
        self.images.list()
    }

    async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>> {
        self.images.status(&image)
    }

    async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String> {
        self.images.pull(request).await
    }

    async fn remove_image(&self, image: cri::ImageSpec) -> Result<()> {
        self.images.remove(&image)
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse> {
        self.images.fs_info()
    }
}

fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

impl ProcessEngine {
    /// What a container uses. One that has ended meanwhile uses nothing, and where there are no control groups nobody knows.
    fn measure(&self, container: cri::Container) -> cri::ContainerStats {
        let timestamp = self.now();
        let spec = self.container_spec(&container.id).ok();
        let usage = spec.as_ref().and_then(|spec| spec.confinement.cgroup(&container.id).usage());
        let written = spec.as_ref().and_then(|spec| spec.root.written().ok());
        let number = |value| Some(cri::UInt64Value { value });
        cri::ContainerStats {
            attributes: Some(cri::ContainerAttributes {
                id: container.id,
                metadata: container.metadata,
                labels: container.labels,
                annotations: container.annotations,
            }),
            cpu: usage.map(|usage| cri::CpuUsage {
                timestamp,
                usage_core_nano_seconds: number(usage.cpu_nanos),
                ..Default::default()
            }),
            memory: usage.map(|usage| cri::MemoryUsage {
                timestamp,
                working_set_bytes: number(usage.memory_working_set),
                usage_bytes: number(usage.memory),
                ..Default::default()
            }),
            writable_layer: written.map(|(bytes, files)| cri::FilesystemUsage {
                timestamp,
                used_bytes: number(bytes),
                inodes_used: number(files),
                ..Default::default()
            }),
        }
    }
}
