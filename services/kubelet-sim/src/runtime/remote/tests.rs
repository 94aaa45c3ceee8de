//! Against a CRI server in this process that tells no events, goes away and comes back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use service_kit::Clock;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Code;
use tonic::transport::Server;

use super::{CgroupDriver, RemoteRuntime};
use crate::cri;
use crate::cri::ContainerEventType as Kind;
use crate::cri::image_service_server::ImageServiceServer;
use crate::cri::runtime_service_server::RuntimeServiceServer;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::serve::{self, Served};
use crate::runtime::virtual_engine::VirtualEngine;
use crate::runtime::{Events, Runtime, RuntimeService};

/// Nothing here takes long; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

async fn engine() -> Arc<VirtualEngine> {
    let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), Clock::system(), None);
    let network_config = Some(cri::NetworkConfig { pod_cidr: "10.244.0.0/24".to_owned() });
    let runtime_config = Some(cri::RuntimeConfig { network_config });
    engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
    engine
}

/// A runtime process that can be ended.
struct Process {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Process {
    /// One that tells no events.
    fn serving(socket: &Path, engine: &Arc<VirtualEngine>) -> Self {
        Self::of(socket, serve::services_without_events(Runtime::of(Arc::clone(engine))))
    }

    fn of(socket: &Path, (containers, images): (RuntimeServiceServer<Served>, ImageServiceServer<Served>)) -> Self {
        let _ = std::fs::remove_file(socket);
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder().add_service(containers).add_service(images);
        let task = tokio::spawn(async move {
            server.serve_with_incoming_shutdown(incoming, async { drop(stopped.await) }).await.unwrap();
        });
        Self { stop, task }
    }

    /// Returns when all its connections are closed.
    async fn end(self) {
        let _ = self.stop.send(());
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn sandbox(uid: &str) -> cri::RunPodSandboxRequest {
    let metadata = cri::PodSandboxMetadata { name: "web".into(), uid: uid.into(), ..Default::default() };
    let config = cri::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
    cri::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() }
}

fn container(sandbox: &str, name: &str) -> cri::CreateContainerRequest {
    let image = |image: &str| cri::ImageSpec { image: image.to_owned(), ..Default::default() };
    let config = cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(cri::ImageSpec { user_specified_image: "nginx:1".to_owned(), ..image("nginx") }),
        ..Default::default()
    };
    cri::CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(config),
        sandbox_config: sandbox_config(),
    }
}

fn sandbox_config() -> Option<cri::PodSandboxConfig> {
    sandbox("u1").config
}

async fn next(events: &mut Events) -> cri::ContainerEventResponse {
    timeout(PATIENCE, events.next()).await.expect("an event comes").expect("the stream goes on").unwrap()
}

#[tokio::test]
async fn a_runtime_without_events_is_listed_and_what_changed_is_told_with_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine) = (folder.path().join("s"), engine().await);
    let _process = Process::serving(&socket, &engine);
    let runtime = RemoteRuntime::at(&format!("unix://{}", socket.display()), folder.path().into()).unwrap();
    let mut events = runtime.events().await.unwrap();

    let id = runtime.run_pod_sandbox(sandbox("u1")).await.unwrap();
    let event = next(&mut events).await;
    assert_eq!((event.container_id.as_str(), event.container_event_type()), (id.as_str(), Kind::ContainerStartedEvent));
    let status = event.pod_sandbox_status.unwrap();
    assert_eq!((status.metadata.unwrap().uid.as_str(), status.network.unwrap().ip.is_empty()), ("u1", false));

    let pull = cri::PullImageRequest {
        image: Some(cri::ImageSpec { image: "nginx".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    crate::runtime::ImageService::pull_image(&runtime, pull).await.unwrap();
    let made = runtime.create_container(container(&id, "web")).await.unwrap();
    runtime.start_container(&made).await.unwrap();
    loop {
        let event = next(&mut events).await;
        if event.container_event_type() == Kind::ContainerStartedEvent {
            let container = &event.containers_statuses[0];
            assert_eq!(
                (container.id.as_str(), container.state()),
                (made.as_str(), cri::ContainerState::ContainerRunning)
            );
            assert_eq!(container.image.as_ref().unwrap().user_specified_image, "nginx:1", "as the pod named it");
            break;
        }
    }

    // Behind the kubelet's back: only the next look shows it.
    engine.remove_pod_sandbox(&id).await.unwrap();
    loop {
        let event = next(&mut events).await;
        let sandbox = event.pod_sandbox_status.clone().expect("whose it was is still known");
        assert_eq!(sandbox.metadata.unwrap().uid, "u1");
        if (event.container_id.as_str(), event.container_event_type()) == (id.as_str(), Kind::ContainerDeletedEvent) {
            break;
        }
    }
}

/// D11.
#[tokio::test]
async fn a_runtime_that_went_away_is_connected_again_and_its_events_end_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, engine) = (folder.path().join("s"), engine().await);
    let process = Process::serving(&socket, &engine);
    let runtime = RemoteRuntime::at(&format!("unix://{}", socket.display()), folder.path().into()).unwrap();
    let mut events = runtime.events().await.unwrap();
    process.end().await;
    let broken = timeout(PATIENCE, events.next()).await.unwrap().expect("the end is told");
    assert_eq!(broken.unwrap_err().code, Code::Unavailable);
    assert!(events.next().await.is_none(), "who heard that lists and subscribes again");
    assert_eq!(runtime.status().await.unwrap_err().code, Code::Unavailable);

    let _process = Process::serving(&socket, &engine);
    assert_eq!(runtime.version().await.unwrap().runtime_name, "virtual");
    let _events = runtime.events().await.unwrap();
}

#[tokio::test]
async fn who_makes_control_groups_is_the_runtimes_word_or_else_the_operators() {
    let (folder, engine) = (tempfile::tempdir().unwrap(), engine().await);
    let (silent, telling) = (folder.path().join("silent"), folder.path().join("telling"));
    let _silent = Process::serving(&silent, &engine);
    let _telling = Process::of(&telling, serve::services(Runtime::of(engine)));
    for (socket, parent) in [(silent, "/kubepods.slice/kubepods-podu1.slice"), (telling, "/kubepods/podu1")] {
        let runtime = RemoteRuntime::at(&format!("unix://{}", socket.display()), folder.path().into()).unwrap();
        let runtime = runtime.with_cgroups(CgroupDriver::Systemd);
        let linux = cri::LinuxPodSandboxConfig { cgroup_parent: "/kubepods/podu1".to_owned(), ..Default::default() };
        let mut pod = cri::PodSandboxConfig { linux: Some(linux), ..Default::default() };
        runtime.name_cgroup(Some(&mut pod)).await.unwrap();
        assert_eq!(pod.linux.unwrap().cgroup_parent, parent);
    }
}
