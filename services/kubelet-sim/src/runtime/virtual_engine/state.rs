//! What the virtual engine knows of its sandboxes and containers, and how CRI sees it.
//!
//! Pure data and transitions; locks, timers, events and the journal are the engine's.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::inside::Change;
use super::insides::Inside;
use super::packed::Packed;
use crate::cri;
use crate::runtime::addresses::Addresses;
use crate::runtime::behaviour::Behaviour;

/// Everything on one node's engine.
#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: HashMap<String, Sandbox>,
    pub(super) containers: HashMap<String, Container>,
    /// By canonical name.
    pub(super) images: HashMap<String, Arc<cri::Image>>,
    /// Pulls under way and when they will be done: whoever asks for the same image joins.
    pub(super) pulls: HashMap<String, Instant>,
    pub(super) addresses: Addresses,
}

/// A pod's shared environment.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) id: String,
    pub(super) config: Packed<cri::PodSandboxConfig>,
    pub(super) runtime_handler: String,
    pub(super) ready: bool,
    pub(super) created_at: i64,
    /// None for a pod in the node's own network, and once the sandbox is stopped.
    pub(super) address: Option<Ipv4Addr>,
    /// In the order of their creation.
    pub(super) containers: Vec<String>,
}

/// One attempt at running a container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) sandbox: String,
    pub(super) config: Packed<cri::ContainerConfig>,
    pub(super) behaviour: Arc<Behaviour>,
    pub(super) image: Arc<cri::Image>,
    pub(super) created_at: i64,
    /// More than this ends it, in bytes. Stands in `config`, too; here for whoever asks every few seconds.
    pub(super) memory_limit: Option<u64>,
    /// The pod's, as its processes see it.
    pub(super) hostname: Arc<str>,
    /// What others have done to its files since it started.
    pub(super) changes: Vec<Change>,
    /// Its files and its process, from the first time that somebody looks.
    pub(super) inside: Option<Box<Inside>>,
    pub(super) life: Life,
}

/// ```text
/// Created --start--> Running --exit, TERM, KILL--> Exited
///    '-------------------stop---------------------->'
/// ```
#[derive(Debug)]
pub(super) enum Life {
    /// Made, never started.
    Created,
    /// Running, with the exit that will come first of those known so far.
    Running { started_at: i64, exit: Option<Exit>, waiting: Vec<oneshot::Sender<()>> },
    /// Over.
    Exited { started_at: i64, exit: Exit },
}

/// How and when a container ends. Times are wall time in nanoseconds, so that they survive a restart of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) at: i64,
    pub(super) code: i32,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn new(at: i64, code: i32) -> Self {
        let reason = if code == 0 { "Completed" } else { "Error" };
        Self { at, code, reason: reason.to_owned(), message: String::new() }
    }

    /// After SIGKILL.
    pub(super) fn killed(at: i64) -> Self {
        Self::new(at, 137)
    }
}

impl Container {
    /// The exit that the stop signal brings, if the process heeds it.
    pub(super) fn exit_on_term(&self, now: i64) -> Option<Exit> {
        // A shell or a tool has no handler, and the kernel does not apply a signal's default action to the first process of a pid
        // namespace: hence the well-known 30 s that deleting a `sleep` takes.
        let heeds = self.program().is_none();
        let after = self.behaviour.term_time.unwrap_or(if heeds { Some(Duration::from_millis(10)) } else { None })?;
        Some(Exit::new(now.saturating_add(nanos(after)), self.behaviour.term_exit_code))
    }

    /// Moves a running container's exit forward to `exit` if that comes sooner. Answers when it will exit now.
    pub(super) fn exit_no_later_than(&mut self, exit: Option<Exit>) -> Option<i64> {
        let Life::Running { exit: planned, .. } = &mut self.life else { return None };
        if let Some(exit) = exit
            && planned.as_ref().is_none_or(|planned| exit.at < planned.at)
        {
            *planned = Some(exit);
        }
        planned.as_ref().map(|exit| exit.at)
    }

    /// Since when the process runs.
    pub(super) fn running_since(&self) -> Option<i64> {
        match self.life {
            Life::Running { started_at, .. } => Some(started_at),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> cri::ContainerState {
        match self.life {
            Life::Created => cri::ContainerState::ContainerCreated,
            Life::Running { .. } => cri::ContainerState::ContainerRunning,
            Life::Exited { .. } => cri::ContainerState::ContainerExited,
        }
    }

    fn digest(&self) -> String {
        self.image.repo_digests.first().cloned().unwrap_or_default()
    }

    fn image_spec(&self, asked: Option<cri::ImageSpec>) -> cri::ImageSpec {
        let mut spec = asked.unwrap_or_default();
        if let Some(name) = self.image.repo_tags.first() {
            spec.image.clone_from(name);
        }
        spec
    }

    /// As `ListContainers` answers it.
    pub(super) fn summary(&self) -> cri::Container {
        let config = self.config.open();
        cri::Container {
            id: self.id.clone(),
            pod_sandbox_id: self.sandbox.clone(),
            metadata: config.metadata,
            image: Some(self.image_spec(config.image)),
            image_ref: self.digest(),
            state: self.state().into(),
            created_at: self.created_at,
            labels: config.labels,
            annotations: config.annotations,
            image_id: self.image.id.clone(),
        }
    }

    /// As `ContainerStatus` and events answer it.
    pub(super) fn status(&self) -> cri::ContainerStatus {
        let config = self.config.open();
        let mut status = cri::ContainerStatus {
            id: self.id.clone(),
            state: self.state().into(),
            created_at: self.created_at,
            image_ref: self.digest(),
            image_id: self.image.id.clone(),
            user: Some(self.user(&config)),
            stop_signal: self.stop_signal(&config).into(),
            metadata: config.metadata,
            image: Some(self.image_spec(config.image)),
            labels: config.labels,
            annotations: config.annotations,
            mounts: config.mounts,
            log_path: config.log_path,
            ..Default::default()
        };
        match &self.life {
            Life::Created => {}
            Life::Running { started_at, .. } => status.started_at = *started_at,
            Life::Exited { started_at, exit } => {
                status.started_at = *started_at;
                status.finished_at = exit.at;
                status.exit_code = exit.code;
                status.reason.clone_from(&exit.reason);
                status.message.clone_from(&exit.message);
            }
        }
        status
    }

    /// The pod's choice, or else the image's.
    fn stop_signal(&self, config: &cri::ContainerConfig) -> cri::Signal {
        match config.stop_signal() {
            cri::Signal::RuntimeDefault => self.behaviour.stop_signal,
            chosen => chosen,
        }
    }

    pub(super) fn user_id(&self, config: &cri::ContainerConfig) -> i64 {
        security(config).and_then(|s| s.run_as_user.as_ref()).map_or(self.behaviour.user, |user| user.value)
    }

    fn user(&self, config: &cri::ContainerConfig) -> cri::ContainerUser {
        let security = security(config);
        let uid = self.user_id(config);
        let gid = security.and_then(|s| s.run_as_group.as_ref()).map_or(self.behaviour.user, |group| group.value);
        let mut supplemental_groups = security.map(|s| s.supplemental_groups.clone()).unwrap_or_default();
        supplemental_groups.insert(0, gid);
        supplemental_groups.dedup();
        cri::ContainerUser { linux: Some(cri::LinuxContainerUser { uid, gid, supplemental_groups }) }
    }
}

fn security(config: &cri::ContainerConfig) -> Option<&cri::LinuxContainerSecurityContext> {
    config.linux.as_ref()?.security_context.as_ref()
}

impl Sandbox {
    fn state(&self) -> cri::PodSandboxState {
        if self.ready { cri::PodSandboxState::SandboxReady } else { cri::PodSandboxState::SandboxNotready }
    }

    /// As `ListPodSandbox` answers it.
    pub(super) fn summary(&self) -> cri::PodSandbox {
        let config = self.config.open();
        cri::PodSandbox {
            id: self.id.clone(),
            metadata: config.metadata,
            state: self.state().into(),
            created_at: self.created_at,
            labels: config.labels,
            annotations: config.annotations,
            runtime_handler: self.runtime_handler.clone(),
        }
    }

    /// As `PodSandboxStatus` and events answer it.
    pub(super) fn status(&self) -> cri::PodSandboxStatus {
        let config = self.config.open();
        let options = config.linux.and_then(|linux| linux.security_context?.namespace_options);
        cri::PodSandboxStatus {
            id: self.id.clone(),
            metadata: config.metadata,
            state: self.state().into(),
            created_at: self.created_at,
            network: self.address.map(|ip| cri::PodSandboxNetworkStatus { ip: ip.to_string(), ..Default::default() }),
            linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(cri::Namespace { options }) }),
            labels: config.labels,
            annotations: config.annotations,
            runtime_handler: self.runtime_handler.clone(),
        }
    }
}

/// Whether the pod of a sandbox lives in the node's network and so needs no address.
pub(super) fn host_network(config: &cri::PodSandboxConfig) -> bool {
    let options = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref()?.namespace_options.as_ref());
    options.is_some_and(|options| options.network() == cri::NamespaceMode::Node)
}

/// How much memory a container may use, in bytes.
pub(super) fn memory_limit(config: &cri::ContainerConfig) -> Option<u64> {
    let resources = config.linux.as_ref()?.resources.as_ref()?;
    u64::try_from(resources.memory_limit_in_bytes).ok().filter(|limit| *limit > 0)
}

/// A time as CRI counts it.
pub(super) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
