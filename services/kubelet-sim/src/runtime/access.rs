//! Reaching into a running container: what hooks and probes do.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;

/// The container that is reached, and the address of its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Id given by the runtime.
    pub container_id: String,
    /// Where the pod's network answers.
    pub pod_ip: String,
}

/// What is done there. Ports are numbers here; names were resolved against the container's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Run a command inside; exit code 0 is success.
    Exec(Vec<String>),
    /// GET a URL; status 200 to 399 is success.
    HttpGet {
        /// The full URL, as it appears in failure messages.
        url: String,
        /// Header names and values.
        headers: Vec<(String, String)>,
    },
    /// Open a TCP connection to `host:port`.
    TcpSocket(String),
    /// Ask `grpc.health.v1.Health` at `host:port` about a service.
    Grpc {
        /// Where.
        address: String,
        /// The service asked about; empty is the server as a whole.
        service: String,
    },
}

/// Why the kubelet asks. A real runtime cannot see this; a simulated one lets an image behave differently for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `lifecycle.postStart`.
    PostStart,
    /// `lifecycle.preStop`.
    PreStop,
    /// `startupProbe`.
    Startup,
    /// `livenessProbe`.
    Liveness,
    /// `readinessProbe`.
    Readiness,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0, or an acceptable answer.
    Success,
    /// Success with something to tell: an answer that leads to another host.
    Warning(String),
    /// The handler ran and failed; the text is what a user sees in the event.
    Failure(String),
    /// The command ended with another exit code than 0.
    Exited(Exited),
}

/// How a command ended that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exited {
    /// Not 0.
    pub code: i32,
    /// What it printed, complaints last.
    pub output: String,
    /// Its complaints.
    pub stderr: String,
}

/// Runs handlers against containers.
#[async_trait]
pub trait PodAccess: Send + Sync + 'static {
    /// Runs one handler. After `timeout` the answer is a [`Verdict::Failure`] that says so; an error means that the handler could not
    /// be run at all (the container is gone, the runtime does not answer). Cancel-safe.
    async fn run(
        &self,
        target: &Target,
        handler: &Handler,
        purpose: Purpose,
        timeout: Option<Duration>,
    ) -> Result<Verdict>;

    /// What the node does for a container between its creation and its start: a real kubelet's CPU, memory and topology managers set it
    /// up there. Nothing, unless a simulated runtime is asked to fail (`PreStartHookError`).
    async fn before_start(&self, _container_id: &str) -> Result<()> {
        Ok(())
    }
}
