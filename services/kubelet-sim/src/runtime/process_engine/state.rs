//! What the engine knows of its sandboxes and containers, and how CRI sees it.
//!
//! Pure data; processes, files and events are the engine's.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::records::{ContainerRecord, SandboxRecord};
use super::sandbox::wire::{Ended, Started};
use crate::cri;

/// Everything on one node.
#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: HashMap<String, Sandbox>,
    pub(super) containers: HashMap<String, Container>,
}

/// A pod's sandbox.
pub(super) struct Sandbox {
    pub(super) record: SandboxRecord,
    /// Its process has ended, and all is given back that it held.
    pub(super) gone: CancellationToken,
}

/// One attempt at a container.
pub(super) struct Container {
    pub(super) record: Arc<ContainerRecord>,
    pub(super) life: Life,
    /// Whether it has ended.
    pub(super) ended: watch::Sender<bool>,
}

/// ```text
/// Created --start--> Running --exit, signal--> Ended
///    '------ start fails, or is stopped --------^
/// ```
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running(Started),
    /// Over.
    Ended(Ended),
}

impl State {
    /// The containers of a sandbox, in the order of their creation.
    pub(super) fn containers_of<'a>(&'a self, sandbox: &'a str) -> impl Iterator<Item = &'a Container> {
        let mut containers: Vec<_> =
            self.containers.values().filter(|container| container.record.sandbox == sandbox).collect();
        containers.sort_by_key(|container| (container.record.created_at, container.record.id.clone()));
        containers.into_iter()
    }
}

impl Sandbox {
    pub(super) fn new(record: SandboxRecord) -> Self {
        Self { record, gone: CancellationToken::new() }
    }

    /// Whose sandbox it is.
    pub(super) fn pod_uid(&self) -> Option<&str> {
        self.record.config.metadata.as_ref().map(|metadata| metadata.uid.as_str())
    }

    fn state(&self) -> cri::PodSandboxState {
        if self.record.ready { cri::PodSandboxState::SandboxReady } else { cri::PodSandboxState::SandboxNotready }
    }

    /// As `ListPodSandbox` answers it.
    pub(super) fn summary(&self) -> cri::PodSandbox {
        let SandboxRecord { id, config, runtime_handler, created_at, .. } = self.record.clone();
        cri::PodSandbox {
            id,
            metadata: config.metadata,
            state: self.state().into(),
            created_at,
            labels: config.labels,
            annotations: config.annotations,
            runtime_handler,
        }
    }

    /// As `PodSandboxStatus` and events answer it.
    pub(super) fn status(&self) -> cri::PodSandboxStatus {
        let SandboxRecord { id, config, runtime_handler, created_at, address, .. } = self.record.clone();
        let options = config.linux.and_then(|linux| linux.security_context?.namespace_options);
        cri::PodSandboxStatus {
            id,
            metadata: config.metadata,
            state: self.state().into(),
            created_at,
            network: address.map(|ip| cri::PodSandboxNetworkStatus { ip: ip.to_string(), ..Default::default() }),
            linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(cri::Namespace { options }) }),
            labels: config.labels,
            annotations: config.annotations,
            runtime_handler,
        }
    }
}

impl Container {
    pub(super) fn new(record: ContainerRecord, life: Life) -> Self {
        let ended = watch::Sender::new(matches!(life, Life::Ended(_)));
        Self { record: Arc::new(record), life, ended }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.life, Life::Running(_))
    }

    fn state(&self) -> cri::ContainerState {
        match self.life {
            Life::Created => cri::ContainerState::ContainerCreated,
            Life::Running(_) => cri::ContainerState::ContainerRunning,
            Life::Ended(_) => cri::ContainerState::ContainerExited,
        }
    }

    fn image_spec(&self) -> cri::ImageSpec {
        let mut spec = self.record.config.image.clone().unwrap_or_default();
        if let Some(name) = self.record.image.repo_tags.first() {
            spec.image.clone_from(name);
        }
        spec
    }

    fn image_ref(&self) -> String {
        self.record.image.repo_digests.first().unwrap_or(&self.record.image.id).clone()
    }

    /// As `ListContainers` answers it.
    pub(super) fn summary(&self) -> cri::Container {
        let config = &self.record.config;
        cri::Container {
            id: self.record.id.clone(),
            pod_sandbox_id: self.record.sandbox.clone(),
            metadata: config.metadata.clone(),
            image: Some(self.image_spec()),
            image_ref: self.image_ref(),
            state: self.state().into(),
            created_at: self.record.created_at,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            image_id: self.record.image.id.clone(),
        }
    }

    /// As `ContainerStatus` and events answer it.
    pub(super) fn status(&self) -> cri::ContainerStatus {
        let config = &self.record.config;
        let mut status = cri::ContainerStatus {
            id: self.record.id.clone(),
            metadata: config.metadata.clone(),
            state: self.state().into(),
            created_at: self.record.created_at,
            image: Some(self.image_spec()),
            image_ref: self.image_ref(),
            image_id: self.record.image.id.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            mounts: config.mounts.clone(),
            log_path: self.record.log.as_ref().map(|log| log.display().to_string()).unwrap_or_default(),
            stop_signal: self.stop_signal().into(),
            ..Default::default()
        };
        match &self.life {
            Life::Created => {}
            Life::Running(started) => {
                status.started_at = started.at;
                let account = &started.account;
                let supplemental_groups = account.groups.iter().map(|&group| group.into()).collect();
                let user =
                    cri::LinuxContainerUser { uid: account.uid.into(), gid: account.gid.into(), supplemental_groups };
                status.user = Some(cri::ContainerUser { linux: Some(user) });
            }
            Life::Ended(ended) => {
                status.started_at = ended.started_at;
                status.finished_at = ended.at;
                status.exit_code = ended.code;
                status.reason.clone_from(&ended.reason);
                status.message.clone_from(&ended.message);
            }
        }
        status
    }

    /// The pod's choice, or else the image's.
    pub(super) fn stop_signal(&self) -> cri::Signal {
        match (self.record.config.stop_signal(), self.record.image_config.stop_signal()) {
            (cri::Signal::RuntimeDefault, cri::Signal::RuntimeDefault) => cri::Signal::Sigterm,
            (cri::Signal::RuntimeDefault, of_image) => of_image,
            (chosen, _) => chosen,
        }
    }
}

/// The kernel's number of a signal; CRI has one for none, and then all of them.
pub(super) fn number(signal: cri::Signal) -> i32 {
    let name = signal.as_str_name();
    // The kernel keeps the first real-time signals to itself: those of programs are 34 to 64.
    if let Some(above) = name.strip_prefix("SIGRTMINPLUS") {
        return 34 + above.parse().unwrap_or(0);
    }
    if let Some(below) = name.strip_prefix("SIGRTMAXMINUS") {
        return 64 - below.parse().unwrap_or(0);
    }
    match name {
        "SIGRTMIN" => 34,
        "SIGRTMAX" => 64,
        "SIGCLD" => nix::libc::SIGCHLD,
        "SIGPOLL" => nix::libc::SIGIO,
        "SIGIOT" => nix::libc::SIGABRT,
        name => name.parse::<nix::sys::signal::Signal>().map_or(nix::libc::SIGTERM, |signal| signal as i32),
    }
}
