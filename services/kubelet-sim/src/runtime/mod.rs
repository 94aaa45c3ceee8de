//! The runtime seam: all that the kubelet knows of what runs containers.
//!
//! Five traits, so that a pod worker cannot tell a simulated runtime from a real one:
//! - [`RuntimeService`] and [`ImageService`] are the two services of the Container Runtime Interface, call for call;
//! - [`PodAccess`] is how hooks and probes reach into a running container: a command through the runtime, or a connection over
//!   the pod's network;
//! - [`PodStreams`] and [`ContainerLogs`] are what users reach: exec, attach, port-forward, and what was printed.
//!
//! [`remote`] speaks them to a CRI socket over gRPC, [`serve`] offers any runtime on one, and [`virtual_engine`] is the runtime in
//! the box: no process runs, an image catalogue says how containers behave. [`reach`] is the part of pod access that goes over a
//! real pod network, whatever the runtime.
//!
//! The seam decides nothing about pods: no restarts, no back-off, no grace period beyond the timeout of a single stop.

mod access;
mod addresses;
pub mod behaviour;
pub mod catalogue;
mod error;
pub mod image_name;
pub mod log_files;
mod logs;
pub mod process_engine;
pub mod reach;
pub mod remote;
pub mod serve;
mod streams;
pub mod virtual_engine;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::cri;

pub use access::{Exited, Handler, PodAccess, Purpose, Target, Verdict};
pub use error::{PULL_FAILURES, RuntimeError};
pub use logs::{ContainerLogs, Lines, LogLine, LogOptions, LogStream};
pub use streams::{Connection, Input, Output, PodStreams, SESSION_BUFFER, Session, Terminal};

/// Label of a container, and annotation of the image that is pulled for one, with the container's name. Kubernetes labels its
/// containers with it, too.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// What a runtime call answers.
pub type Result<T> = std::result::Result<T, RuntimeError>;

/// Changes of containers and sandboxes as they happen. Ends, or yields an error, when changes may have been missed: the receiver
/// then lists and subscribes again.
pub type Events = BoxStream<'static, Result<cri::ContainerEventResponse>>;

/// CRI's `RuntimeService`. Every call is cancel-safe: a dropped call has happened or not, never by halves.
#[async_trait]
pub trait RuntimeService: Send + Sync + 'static {
    /// Names the runtime.
    async fn version(&self) -> Result<cri::VersionResponse>;
    /// Whether runtime and network are ready.
    async fn status(&self) -> Result<cri::StatusResponse>;
    /// Tells the runtime the node's pod address range.
    async fn update_runtime_config(&self, request: cri::UpdateRuntimeConfigRequest) -> Result<()>;
    /// Creates a sandbox with its network and answers its id.
    async fn run_pod_sandbox(&self, request: cri::RunPodSandboxRequest) -> Result<String>;
    /// Kills what runs in a sandbox and gives back its network. Idempotent.
    async fn stop_pod_sandbox(&self, id: &str) -> Result<()>;
    /// Removes a sandbox with its containers. Idempotent.
    async fn remove_pod_sandbox(&self, id: &str) -> Result<()>;
    /// The state of one sandbox, with its containers where the runtime answers them.
    async fn pod_sandbox_status(&self, id: &str) -> Result<cri::PodSandboxStatusResponse>;
    /// All sandboxes that match.
    async fn list_pod_sandbox(&self, filter: Option<cri::PodSandboxFilter>) -> Result<Vec<cri::PodSandbox>>;
    /// Creates a container in a ready sandbox and answers its id.
    async fn create_container(&self, request: cri::CreateContainerRequest) -> Result<String>;
    /// Starts a created container.
    async fn start_container(&self, id: &str) -> Result<()>;
    /// Sends the stop signal, kills after `timeout` seconds, returns when the container has exited. Idempotent.
    async fn stop_container(&self, id: &str, timeout: i64) -> Result<()>;
    /// Removes a container, killing it if need be. Idempotent.
    async fn remove_container(&self, id: &str) -> Result<()>;
    /// All containers that match.
    async fn list_containers(&self, filter: Option<cri::ContainerFilter>) -> Result<Vec<cri::Container>>;
    /// The state of one container.
    async fn container_status(&self, id: &str) -> Result<cri::ContainerStatus>;
    /// What containers that match use now.
    async fn list_container_stats(&self, filter: Option<cri::ContainerStatsFilter>)
    -> Result<Vec<cri::ContainerStats>>;
    /// Runs a command in a container, at most `timeout` seconds (0: no limit).
    async fn exec_sync(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse>;
    /// The container's log file was renamed: the runtime begins a new one. Runtimes without log files have nothing to do.
    async fn reopen_container_log(&self, id: &str) -> Result<()>;
    /// Subscribes to changes from now on.
    async fn events(&self) -> Result<Events>;
}

/// CRI's `ImageService`.
#[async_trait]
pub trait ImageService: Send + Sync + 'static {
    /// The images on the node.
    async fn list_images(&self) -> Result<Vec<cri::Image>>;
    /// One image, if it is on the node.
    async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>>;
    /// Brings an image to the node and answers its reference.
    async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String>;
    /// Removes an image. Idempotent.
    async fn remove_image(&self, image: cri::ImageSpec) -> Result<()>;
    /// What the images take up.
    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse>;
}

/// One node's runtime, behind its seams. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    /// Sandboxes and containers.
    pub containers: Arc<dyn RuntimeService>,
    /// Images.
    pub images: Arc<dyn ImageService>,
    /// Hooks and probes.
    pub access: Arc<dyn PodAccess>,
    /// Exec, attach, port-forward.
    pub streams: Arc<dyn PodStreams>,
    /// What containers have printed.
    pub logs: Arc<dyn ContainerLogs>,
}

impl Runtime {
    /// A runtime that is all of it at once.
    pub fn of<R: RuntimeService + ImageService + PodAccess + PodStreams + ContainerLogs>(runtime: Arc<R>) -> Self {
        Self {
            containers: runtime.clone(),
            images: runtime.clone(),
            access: runtime.clone(),
            streams: runtime.clone(),
            logs: runtime,
        }
    }
}
