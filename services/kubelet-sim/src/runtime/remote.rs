//! A runtime behind a CRI socket: the three seams over gRPC.
//!
//! Pod access goes through the runtime for commands. Connections to the pod's network are not made here yet, so probes and hooks over the
//! network are refused with an error that says so.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

use super::{Events, Handler, ImageService, PodAccess, Purpose, Result, RuntimeError, RuntimeService, Target, Verdict};
use crate::cri;
use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;

/// A connection to a runtime. Calls share it.
#[derive(Clone, Debug)]
pub struct RemoteRuntime {
    containers: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl RemoteRuntime {
    /// Speaks CRI over an open channel.
    pub fn new(channel: Channel) -> Self {
        Self { containers: RuntimeServiceClient::new(channel.clone()), images: ImageServiceClient::new(channel) }
    }

    /// Connects to a unix socket, `unix:///run/containerd/containerd.sock`.
    pub async fn connect(endpoint: &str) -> std::result::Result<Self, tonic::transport::Error> {
        Ok(Self::new(tonic::transport::Endpoint::from_shared(endpoint.to_owned())?.connect().await?))
    }
}

#[async_trait]
impl RuntimeService for RemoteRuntime {
    async fn version(&self) -> Result<cri::VersionResponse> {
        Ok(self.containers.clone().version(cri::VersionRequest { version: "0.1.0".to_owned() }).await?.into_inner())
    }

    async fn status(&self) -> Result<cri::StatusResponse> {
        Ok(self.containers.clone().status(cri::StatusRequest { verbose: false }).await?.into_inner())
    }

    async fn update_runtime_config(&self, request: cri::UpdateRuntimeConfigRequest) -> Result<()> {
        self.containers.clone().update_runtime_config(request).await?;
        Ok(())
    }

    async fn run_pod_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String> {
        Ok(self.containers.clone().run_pod_sandbox(request).await?.into_inner().pod_sandbox_id)
    }

    async fn stop_pod_sandbox(&self, id: &str) -> Result<()> {
        self.containers.clone().stop_pod_sandbox(cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() }).await?;
        Ok(())
    }

    async fn remove_pod_sandbox(&self, id: &str) -> Result<()> {
        self.containers
            .clone()
            .remove_pod_sandbox(cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() })
            .await?;
        Ok(())
    }

    async fn pod_sandbox_status(&self, id: &str) -> Result<cri::PodSandboxStatusResponse> {
        Ok(self
            .containers
            .clone()
            .pod_sandbox_status(cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false })
            .await?
            .into_inner())
    }

    async fn list_pod_sandbox(&self, filter: Option<cri::PodSandboxFilter>) -> Result<Vec<cri::PodSandbox>> {
        Ok(self.containers.clone().list_pod_sandbox(cri::ListPodSandboxRequest { filter }).await?.into_inner().items)
    }

    async fn create_container(&self, request: cri::CreateContainerRequest) -> Result<String> {
        Ok(self.containers.clone().create_container(request).await?.into_inner().container_id)
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        self.containers.clone().start_container(cri::StartContainerRequest { container_id: id.to_owned() }).await?;
        Ok(())
    }

    async fn stop_container(&self, id: &str, timeout: i64) -> Result<()> {
        self.containers
            .clone()
            .stop_container(cri::StopContainerRequest { container_id: id.to_owned(), timeout })
            .await?;
        Ok(())
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        self.containers.clone().remove_container(cri::RemoveContainerRequest { container_id: id.to_owned() }).await?;
        Ok(())
    }

    async fn list_containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>> {
        Ok(self
            .containers
            .clone()
            .list_containers(cri::ListContainersRequest { filter })
            .await?
            .into_inner()
            .containers)
    }

    async fn container_status(&self, id: &str) -> Result<cri::ContainerStatus> {
        Ok(self
            .containers
            .clone()
            .container_status(cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false })
            .await?
            .into_inner()
            .status
            .unwrap_or_default())
    }

    async fn exec_sync(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        Ok(self.containers.clone().exec_sync(request).await?.into_inner())
    }

    async fn events(&self) -> Result<Events> {
        let events = self.containers.clone().get_container_events(cri::GetEventsRequest {}).await?.into_inner();
        Ok(events.map(|event| event.map_err(RuntimeError::from)).boxed())
    }
}

#[async_trait]
impl ImageService for RemoteRuntime {
    async fn list_images(&self) -> Result<Vec<cri::Image>> {
        Ok(self.images.clone().list_images(cri::ListImagesRequest { filter: None }).await?.into_inner().images)
    }

    async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>> {
        Ok(self
            .images
            .clone()
            .image_status(cri::ImageStatusRequest { image: Some(image), verbose: false })
            .await?
            .into_inner()
            .image)
    }

    async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String> {
        Ok(self.images.clone().pull_image(request).await?.into_inner().image_ref)
    }

    async fn remove_image(&self, image: cri::ImageSpec) -> Result<()> {
        self.images.clone().remove_image(cri::RemoveImageRequest { image: Some(image) }).await?;
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse> {
        Ok(self.images.clone().image_fs_info(cri::ImageFsInfoRequest {}).await?.into_inner())
    }
}

#[async_trait]
impl PodAccess for RemoteRuntime {
    async fn run(
        &self,
        target: &Target,
        handler: &Handler,
        _purpose: Purpose,
        timeout: Option<Duration>,
    ) -> Result<Verdict> {
        let Handler::Exec(cmd) = handler else {
            let message = "probes and hooks over the pod network need a kubelet on that network".to_owned();
            return Err(RuntimeError { code: Code::Unimplemented, message });
        };
        let timeout = timeout.map_or(0, |limit| i64::try_from(limit.as_secs().max(1)).unwrap_or(i64::MAX));
        let request = cri::ExecSyncRequest { container_id: target.container_id.clone(), cmd: cmd.clone(), timeout };
        match self.exec_sync(request).await {
            Ok(answer) if answer.exit_code == 0 => Ok(Verdict::Success),
            Ok(answer) => {
                let output = [answer.stdout, answer.stderr].concat();
                Ok(Verdict::Failure(String::from_utf8_lossy(&output).into_owned()))
            }
            Err(late) if late.code == Code::DeadlineExceeded => {
                Ok(Verdict::Failure(format!("command timed out: {:?} timed out after {timeout}s", cmd.join(" "))))
            }
            Err(error) => Err(error),
        }
    }
}
