//! A real runtime, behind a CRI socket: containerd, CRI-O, or anything else that speaks `runtime.v1`.
//!
//! ```text
//!  kubelet ── RemoteRuntime ──gRPC, unix socket──────────> runtime     sandboxes, containers, images, commands
//!                  │    └───WebSocket, its own port──────> runtime     exec, attach, port-forward
//!                  ├────────HTTP, TCP, gRPC, pod network─> containers  probes and hooks over the network
//!                  └────────reads───────────────────────> log files    which the runtime writes under the kubelet's folder
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `connection` | the socket: deadlines of calls, and messages for what can be wrong with it |
//! | `service`, `images` | CRI, call for call |
//! | `relist` | events of runtimes that tell none: the difference of two lists |
//! | `streams`, `channels` | exec, attach and port-forward on the runtime's streaming server |
//! | `access` | hooks and probes |
//! | `logs` | what containers printed |
//! | `cgroups` | what the control groups of pods are called |
//! | `leftovers` | what a runtime leaves to the kubelet: folders of logs, control groups of pods |
//!
//! The runtime may come later than the kubelet, go, and come back: a call fails while it is away, and whoever called asks again. Nothing
//! is kept here that a restart of either side would lose.

mod access;
mod cgroups;
mod channels;
mod connection;
mod images;
mod leftovers;
mod logs;
mod relist;
mod service;
mod streams;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, OnceCell, watch};
use tonic::transport::Channel;

use crate::cri::image_service_client::ImageServiceClient;
use crate::cri::runtime_service_client::RuntimeServiceClient;
pub use cgroups::CgroupDriver;
use connection::Socket;

/// The largest answer that is taken, in bytes: a list of many containers is long. Kubernetes takes as much.
const LARGEST_ANSWER: usize = 16 << 20;

/// A runtime behind a socket. Calls share one connection, which is made when it is needed and made again when it broke.
#[derive(Clone, Debug)]
pub struct RemoteRuntime {
    socket: Socket,
    containers: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    /// The kubelet's folder for the logs of pods.
    logs: PathBuf,
    /// The driver of a runtime that does not say which it has, and the one that counts, once that is known.
    cgroups_assumed: CgroupDriver,
    cgroups_used: Arc<OnceCell<CgroupDriver>>,
    /// Something was changed from here: a look at the lists is worth it now.
    changed_here: Arc<Notify>,
    /// Counts what the runtime has told; whoever waits for a container looks again then.
    told: Arc<watch::Sender<u64>>,
}

impl RemoteRuntime {
    /// A runtime at `unix:///run/containerd/containerd.sock`; `logs` is where the kubelet keeps the logs of pods. Nothing is connected yet.
    ///
    /// # Errors
    /// The endpoint can never be one; the message names the flag and says what it should be.
    pub fn at(endpoint: &str, logs: PathBuf) -> Result<Self, String> {
        let (socket, channel) = Socket::at(endpoint)?;
        Ok(Self::over(channel, socket, logs))
    }

    /// The same with a driver of control groups for a runtime that does not say which it has.
    #[must_use]
    pub fn with_cgroups(self, driver: CgroupDriver) -> Self {
        Self { cgroups_assumed: driver, ..self }
    }

    fn over(channel: Channel, socket: Socket, logs: PathBuf) -> Self {
        Self {
            socket,
            containers: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER),
            images: ImageServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER),
            logs,
            cgroups_assumed: CgroupDriver::default(),
            cgroups_used: Arc::default(),
            changed_here: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Speaks CRI over an open channel.
    #[cfg(test)]
    pub(super) fn on(channel: Channel) -> Self {
        Self::over(channel, Socket::named("unix:///test.sock"), PathBuf::new())
    }
}
