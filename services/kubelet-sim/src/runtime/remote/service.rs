//! CRI's `RuntimeService`, call for call.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tonic::Code;
use tracing::info;

use super::connection::{REQUEST, SANDBOX};
use super::{RemoteRuntime, relist};
use crate::cri;
use crate::runtime::{Events, Result, RuntimeService};

/// Annotation of a container: its image as the pod names it. Runtimes remember only the name that they were asked for, which is an id.
const WANTED_IMAGE: &str = "traceplane.dev/image";

#[async_trait]
impl RuntimeService for RemoteRuntime {
    async fn version(&self) -> Result<cri::VersionResponse> {
        let request = cri::VersionRequest { version: "0.1.0".to_owned() };
        self.socket.within(REQUEST, self.containers.clone().version(request)).await
    }

    async fn status(&self) -> Result<cri::StatusResponse> {
        self.socket.within(REQUEST, self.containers.clone().status(cri::StatusRequest { verbose: false })).await
    }

    async fn update_runtime_config(&self, request: cri::UpdateRuntimeConfigRequest) -> Result<()> {
        self.socket.within(REQUEST, self.containers.clone().update_runtime_config(request)).await?;
        Ok(())
    }

    async fn run_pod_sandbox(&self, mut request: cri::RunPodSandboxRequest) -> Result<String> {
        self.name_cgroup(request.config.as_mut()).await?;
        self.make_log_folder(request.config.as_ref(), "")?;
        let made = self.socket.within(SANDBOX, self.containers.clone().run_pod_sandbox(request)).await;
        self.changed_here.notify_one();
        Ok(made?.pod_sandbox_id)
    }

    async fn stop_pod_sandbox(&self, id: &str) -> Result<()> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let stopped = self.socket.within(SANDBOX, self.containers.clone().stop_pod_sandbox(request)).await;
        self.changed_here.notify_one();
        stopped.map(drop)
    }

    async fn remove_pod_sandbox(&self, id: &str) -> Result<()> {
        let left = self.left_by(id).await?;
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let removed = self.socket.within(SANDBOX, self.containers.clone().remove_pod_sandbox(request)).await;
        self.changed_here.notify_one();
        removed?;
        self.clear(left).await
    }

    async fn pod_sandbox_status(&self, id: &str) -> Result<cri::PodSandboxStatusResponse> {
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let mut answer = self.socket.within(REQUEST, self.containers.clone().pod_sandbox_status(request)).await?;
        answer.containers_statuses.iter_mut().for_each(name_image);
        Ok(answer)
    }

    async fn list_pod_sandbox(&self, filter: Option<cri::PodSandboxFilter>) -> Result<Vec<cri::PodSandbox>> {
        let request = cri::ListPodSandboxRequest { filter };
        Ok(self.socket.within(REQUEST, self.containers.clone().list_pod_sandbox(request)).await?.items)
    }

    async fn create_container(&self, mut request: cri::CreateContainerRequest) -> Result<String> {
        self.name_cgroup(request.sandbox_config.as_mut()).await?;
        if let Some(config) = &mut request.config {
            self.make_log_folder(request.sandbox_config.as_ref(), &config.log_path)?;
            if let Some(image) = &config.image {
                config.annotations.insert(WANTED_IMAGE.to_owned(), image.user_specified_image.clone());
            }
        }
        let mut client = self.containers.clone();
        // A container's configuration is large.
        let made = self.socket.within(REQUEST, Box::pin(client.create_container(request))).await;
        self.changed_here.notify_one();
        Ok(made?.container_id)
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let request = cri::StartContainerRequest { container_id: id.to_owned() };
        let started = self.socket.within(REQUEST, self.containers.clone().start_container(request)).await;
        self.changed_here.notify_one();
        started.map(drop)
    }

    async fn stop_container(&self, id: &str, timeout: i64) -> Result<()> {
        // The container may take its whole grace period; only then does the runtime's own time begin.
        let limit = REQUEST.saturating_add(Duration::from_secs(u64::try_from(timeout).unwrap_or(0)));
        let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout };
        let stopped = self.socket.within(limit, self.containers.clone().stop_container(request)).await;
        self.changed_here.notify_one();
        stopped.map(drop)
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        let log = self.log_of(id).await;
        let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
        let removed = self.socket.within(REQUEST, self.containers.clone().remove_container(request)).await;
        self.changed_here.notify_one();
        removed?;
        self.remove_log(log).await;
        Ok(())
    }

    async fn list_containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>> {
        let request = cri::ListContainersRequest { filter };
        Ok(self.socket.within(REQUEST, self.containers.clone().list_containers(request)).await?.containers)
    }

    async fn container_status(&self, id: &str) -> Result<cri::ContainerStatus> {
        let request = cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let answer = self.socket.within(REQUEST, self.containers.clone().container_status(request)).await?;
        let mut status = answer.status.unwrap_or_default();
        name_image(&mut status);
        Ok(status)
    }

    async fn list_container_stats(
        &self,
        filter: Option<cri::ContainerStatsFilter>,
    ) -> Result<Vec<cri::ContainerStats>> {
        let request = cri::ListContainerStatsRequest { filter };
        Ok(self.socket.within(REQUEST, self.containers.clone().list_container_stats(request)).await?.stats)
    }

    async fn exec_sync(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        let mut client = self.containers.clone();
        match u64::try_from(request.timeout) {
            // The runtime keeps the time; ours is for a runtime that does not.
            Ok(seconds) if seconds > 0 => {
                let limit = REQUEST.saturating_add(Duration::from_secs(seconds));
                self.socket.within(limit, client.exec_sync(request)).await
            }
            _ => self.socket.taken(client.exec_sync(request).await),
        }
    }

    async fn reopen_container_log(&self, id: &str) -> Result<()> {
        let request = cri::ReopenContainerLogRequest { container_id: id.to_owned() };
        self.socket.within(REQUEST, self.containers.clone().reopen_container_log(request)).await?;
        Ok(())
    }

    async fn events(&self) -> Result<Events> {
        let mut client = self.containers.clone();
        let told = client.get_container_events(cri::GetEventsRequest {});
        let events = match self.socket.within(REQUEST, told).await {
            Ok(events) => {
                let socket = self.socket.clone();
                let told = move |event: std::result::Result<cri::ContainerEventResponse, tonic::Status>| {
                    let mut event = event.map_err(|status| socket.explained(status))?;
                    event.containers_statuses.iter_mut().for_each(name_image);
                    Ok(event)
                };
                events.map(told).boxed()
            }
            Err(error) if error.code == Code::Unimplemented && !error.message.contains("disabled_plugins") => {
                info!("the runtime tells no events (containerd does from 1.7 on): its lists are compared every second");
                relist::events(self.clone()).await?
            }
            Err(error) => return Err(error),
        };
        let told = self.told.clone();
        let count = move || told.send_modify(|count| *count += 1);
        count();
        Ok(events.inspect(move |_| count()).boxed())
    }
}

impl RemoteRuntime {
    /// Waits until a container has ended, and answers how; `None` when the runtime does not know it any more.
    pub(super) async fn ended(&self, id: &str) -> Option<i32> {
        let mut told = self.told.subscribe();
        loop {
            told.borrow_and_update();
            match self.container_status(id).await {
                Err(error) if error.is_not_found() => return None,
                Ok(status) if status.state() == cri::ContainerState::ContainerExited => return Some(status.exit_code),
                Ok(status) if status.state() == cri::ContainerState::ContainerUnknown => return None,
                // It lives, or the runtime is away: its next word says more.
                Ok(_) | Err(_) => {}
            }
            if told.changed().await.is_err() {
                return None;
            }
        }
    }
}

/// Says which image the pod had asked for.
fn name_image(status: &mut cri::ContainerStatus) {
    if let (Some(image), Some(wanted)) = (&mut status.image, status.annotations.get(WANTED_IMAGE)) {
        image.user_specified_image.clone_from(wanted);
    }
}
