//! Any runtime, offered as a CRI server: what `crictl` or another kubelet can call.

use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::{Runtime, RuntimeError};
use crate::cri;
use crate::cri::image_service_server::{ImageService, ImageServiceServer};
use crate::cri::runtime_service_server::{RuntimeService, RuntimeServiceServer};

/// The two services of a runtime, to be added to a tonic server.
pub fn services(runtime: Runtime) -> (RuntimeServiceServer<Served>, ImageServiceServer<Served>) {
    let served = Served { runtime, tells_events: true };
    (RuntimeServiceServer::new(served.clone()), ImageServiceServer::new(served))
}

/// The same, as runtimes were before CRI had events, and the kubelet could ask how they are configured.
#[cfg(test)]
pub(super) fn services_without_events(runtime: Runtime) -> (RuntimeServiceServer<Served>, ImageServiceServer<Served>) {
    let served = Served { runtime, tells_events: false };
    (RuntimeServiceServer::new(served.clone()), ImageServiceServer::new(served))
}

/// A runtime behind gRPC.
#[derive(Clone)]
pub struct Served {
    runtime: Runtime,
    tells_events: bool,
}

#[tonic::async_trait]
impl RuntimeService for Served {
    async fn version(&self, _: Request<cri::VersionRequest>) -> Result<Response<cri::VersionResponse>, Status> {
        Ok(Response::new(self.runtime.containers.version().await?))
    }

    async fn status(&self, _: Request<cri::StatusRequest>) -> Result<Response<cri::StatusResponse>, Status> {
        Ok(Response::new(self.runtime.containers.status().await?))
    }

    async fn update_runtime_config(
        &self,
        request: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Result<Response<cri::UpdateRuntimeConfigResponse>, Status> {
        self.runtime.containers.update_runtime_config(request.into_inner()).await?;
        Ok(Response::new(cri::UpdateRuntimeConfigResponse {}))
    }

    async fn runtime_config(
        &self,
        _: Request<cri::RuntimeConfigRequest>,
    ) -> Result<Response<cri::RuntimeConfigResponse>, Status> {
        if !self.tells_events {
            return Err(Status::unimplemented("unknown method RuntimeConfig for service runtime.v1.RuntimeService"));
        }
        let linux = cri::LinuxRuntimeConfiguration { cgroup_driver: cri::CgroupDriver::Cgroupfs.into() };
        Ok(Response::new(cri::RuntimeConfigResponse { linux: Some(linux) }))
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<cri::RunPodSandboxRequest>,
    ) -> Result<Response<cri::RunPodSandboxResponse>, Status> {
        Ok(Response::new(cri::RunPodSandboxResponse {
            pod_sandbox_id: self.runtime.containers.run_pod_sandbox(request.into_inner()).await?,
        }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<cri::StopPodSandboxRequest>,
    ) -> Result<Response<cri::StopPodSandboxResponse>, Status> {
        self.runtime.containers.stop_pod_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(cri::StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<cri::RemovePodSandboxRequest>,
    ) -> Result<Response<cri::RemovePodSandboxResponse>, Status> {
        self.runtime.containers.remove_pod_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(cri::RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Result<Response<cri::PodSandboxStatusResponse>, Status> {
        Ok(Response::new(self.runtime.containers.pod_sandbox_status(&request.into_inner().pod_sandbox_id).await?))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Result<Response<cri::ListPodSandboxResponse>, Status> {
        Ok(Response::new(cri::ListPodSandboxResponse {
            items: self.runtime.containers.list_pod_sandbox(request.into_inner().filter).await?,
        }))
    }

    async fn create_container(
        &self,
        request: Request<cri::CreateContainerRequest>,
    ) -> Result<Response<cri::CreateContainerResponse>, Status> {
        Ok(Response::new(cri::CreateContainerResponse {
            container_id: self.runtime.containers.create_container(request.into_inner()).await?,
        }))
    }

    async fn start_container(
        &self,
        request: Request<cri::StartContainerRequest>,
    ) -> Result<Response<cri::StartContainerResponse>, Status> {
        self.runtime.containers.start_container(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::StartContainerResponse {}))
    }

    async fn stop_container(
        &self,
        request: Request<cri::StopContainerRequest>,
    ) -> Result<Response<cri::StopContainerResponse>, Status> {
        let request = request.into_inner();
        self.runtime.containers.stop_container(&request.container_id, request.timeout).await?;
        Ok(Response::new(cri::StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<cri::RemoveContainerRequest>,
    ) -> Result<Response<cri::RemoveContainerResponse>, Status> {
        self.runtime.containers.remove_container(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Result<Response<cri::ListContainersResponse>, Status> {
        Ok(Response::new(cri::ListContainersResponse {
            containers: self.runtime.containers.list_containers(request.into_inner().filter).await?,
        }))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Result<Response<cri::ContainerStatusResponse>, Status> {
        Ok(Response::new(cri::ContainerStatusResponse {
            status: Some(self.runtime.containers.container_status(&request.into_inner().container_id).await?),
            info: Default::default(),
        }))
    }

    async fn exec_sync(
        &self,
        request: Request<cri::ExecSyncRequest>,
    ) -> Result<Response<cri::ExecSyncResponse>, Status> {
        Ok(Response::new(self.runtime.containers.exec_sync(request.into_inner()).await?))
    }

    async fn list_container_stats(
        &self,
        request: Request<cri::ListContainerStatsRequest>,
    ) -> Result<Response<cri::ListContainerStatsResponse>, Status> {
        let stats = self.runtime.containers.list_container_stats(request.into_inner().filter).await?;
        Ok(Response::new(cri::ListContainerStatsResponse { stats }))
    }

    // Streams would need a server of their own, whose address these answer; whoever is in this process uses the seam itself.
    async fn exec(&self, _: Request<cri::ExecRequest>) -> Result<Response<cri::ExecResponse>, Status> {
        Err(RuntimeError::unimplemented("streaming server").into())
    }

    async fn attach(&self, _: Request<cri::AttachRequest>) -> Result<Response<cri::AttachResponse>, Status> {
        Err(RuntimeError::unimplemented("streaming server").into())
    }

    async fn port_forward(
        &self,
        _: Request<cri::PortForwardRequest>,
    ) -> Result<Response<cri::PortForwardResponse>, Status> {
        Err(RuntimeError::unimplemented("streaming server").into())
    }

    async fn reopen_container_log(
        &self,
        request: Request<cri::ReopenContainerLogRequest>,
    ) -> Result<Response<cri::ReopenContainerLogResponse>, Status> {
        self.runtime.containers.reopen_container_log(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::ReopenContainerLogResponse {}))
    }

    type GetContainerEventsStream = BoxStream<'static, Result<cri::ContainerEventResponse, Status>>;

    async fn get_container_events(
        &self,
        _: Request<cri::GetEventsRequest>,
    ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
        if !self.tells_events {
            return Err(Status::unimplemented(
                "unknown method GetContainerEvents for service runtime.v1.RuntimeService",
            ));
        }
        let events = self.runtime.containers.events().await?;
        Ok(Response::new(events.map(|event| event.map_err(Status::from)).boxed()))
    }
}

#[tonic::async_trait]
impl ImageService for Served {
    async fn list_images(
        &self,
        _: Request<cri::ListImagesRequest>,
    ) -> Result<Response<cri::ListImagesResponse>, Status> {
        Ok(Response::new(cri::ListImagesResponse { images: self.runtime.images.list_images().await? }))
    }

    async fn image_status(
        &self,
        request: Request<cri::ImageStatusRequest>,
    ) -> Result<Response<cri::ImageStatusResponse>, Status> {
        Ok(Response::new(cri::ImageStatusResponse {
            image: self.runtime.images.image_status(request.into_inner().image.unwrap_or_default()).await?,
            info: Default::default(),
        }))
    }

    async fn pull_image(
        &self,
        request: Request<cri::PullImageRequest>,
    ) -> Result<Response<cri::PullImageResponse>, Status> {
        Ok(Response::new(cri::PullImageResponse {
            image_ref: self.runtime.images.pull_image(request.into_inner()).await?,
        }))
    }

    async fn remove_image(
        &self,
        request: Request<cri::RemoveImageRequest>,
    ) -> Result<Response<cri::RemoveImageResponse>, Status> {
        self.runtime.images.remove_image(request.into_inner().image.unwrap_or_default()).await?;
        Ok(Response::new(cri::RemoveImageResponse {}))
    }

    async fn image_fs_info(
        &self,
        _: Request<cri::ImageFsInfoRequest>,
    ) -> Result<Response<cri::ImageFsInfoResponse>, Status> {
        Ok(Response::new(self.runtime.images.image_fs_info().await?))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper_util::rt::TokioIo;
    use service_kit::Clock;
    use tonic::transport::{Endpoint, Server};

    use super::*;
    use crate::runtime::catalogue::Catalogue;
    use crate::runtime::remote::RemoteRuntime;
    use crate::runtime::virtual_engine::VirtualEngine;
    use crate::runtime::{self, RuntimeService as _};

    /// A client of the engine, over gRPC on a connection in memory.
    async fn remote(engine: Arc<VirtualEngine>) -> RemoteRuntime {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (containers, images) = services(Runtime::of(engine));
        let incoming = futures::stream::iter([Ok::<_, std::io::Error>(server)]);
        tokio::spawn(Server::builder().add_service(containers).add_service(images).serve_with_incoming(incoming));
        let mut client = Some(client);
        let connector = tower::service_fn(move |_| {
            let client = client.take().map(TokioIo::new);
            async move { client.ok_or_else(|| std::io::Error::other("there is one connection")) }
        });
        RemoteRuntime::on(Endpoint::from_static("http://runtime").connect_with_connector(connector).await.unwrap())
    }

    #[tokio::test]
    async fn a_runtime_behind_grpc_is_the_same_runtime() {
        let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), Clock::system(), None);
        let remote = remote(engine).await;
        assert_eq!(remote.version().await.unwrap().runtime_name, "virtual");
        let network_config = Some(cri::NetworkConfig { pod_cidr: "10.244.0.0/24".to_owned() });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        remote.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();

        let mut events = remote.events().await.unwrap();
        let metadata = cri::PodSandboxMetadata { name: "web".into(), uid: "u1".into(), ..Default::default() };
        let config = cri::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        let sandbox = remote.run_pod_sandbox(request).await.unwrap();
        let event = events.next().await.unwrap().unwrap();
        assert_eq!(
            (&event.container_id, event.container_event_type()),
            (&sandbox, cri::ContainerEventType::ContainerStartedEvent)
        );

        let missing = remote.container_status("nobody").await.unwrap_err();
        assert!(missing.is_not_found(), "errors keep their code: {missing}");
        let image = cri::ImageSpec { image: "nginx".to_owned(), ..Default::default() };
        assert_eq!(runtime::ImageService::image_status(&remote, image).await.unwrap(), None);
        remote.remove_pod_sandbox(&sandbox).await.unwrap();
        assert!(remote.list_pod_sandbox(None).await.unwrap().is_empty());
    }
}
