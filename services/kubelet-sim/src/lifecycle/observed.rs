//! What the runtime has of one pod.
//!
//! Filled from CRI events, each of which carries the whole state of one sandbox; nothing is asked for between events.

use jiff::Timestamp;

use crate::cri;

/// A pod's sandboxes and containers, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Usually one; more after a sandbox was lost.
    pub sandboxes: Vec<Sandbox>,
    /// All attempts that the runtime still has.
    pub containers: Vec<Container>,
}

/// A sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// 0 for the pod's first.
    pub attempt: u32,
    /// Whether containers can live in it.
    pub ready: bool,
    /// The pod's address; empty in the node's own network.
    pub ip: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last asked about, by the runtime's clock in nanoseconds: events from before say less.
    pub listed_at: i64,
}

/// One attempt at a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id.
    pub id: String,
    /// The sandbox it lives in.
    pub sandbox: String,
    /// Which container of the spec.
    pub name: String,
    /// 0 for the first: the restart count.
    pub attempt: u32,
    /// Where it stands.
    pub state: State,
    /// The image as the spec named it when this was created.
    pub wanted_image: String,
    /// The image's full name.
    pub image: String,
    /// The image's digest.
    pub image_id: String,
    /// The user it runs as.
    pub user: Option<cri::LinuxContainerUser>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started.
    Created,
    /// Since when.
    Running(Timestamp),
    /// How it ended.
    Exited {
        /// `None`: it never ran.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Timestamp,
        /// 128 + n after signal n.
        code: i32,
        /// In a word.
        reason: String,
        /// In a sentence.
        message: String,
    },
}

impl Observed {
    /// The pod's sandbox, if it is fit to live in.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }

    /// The newest attempt at a container, in whatever sandbox.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The attempt before the newest.
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    /// The newest attempt at a container in the sandbox that the pod has now.
    pub fn current(&self, name: &str) -> Option<&Container> {
        let sandbox = self.sandboxes.first()?;
        self.latest(name).filter(|container| container.sandbox == sandbox.id)
    }

    /// Takes in the state of one sandbox, as it was told or, at `listed_at`, asked for.
    pub fn take(&mut self, sandbox: cri::PodSandboxStatus, containers: Vec<cri::ContainerStatus>, listed_at: i64) {
        self.forget(&sandbox.id);
        // No room to spare: most pods have one of each, and there are thousands.
        self.containers.reserve_exact(containers.len());
        self.sandboxes.reserve_exact(1);
        self.containers.extend(containers.into_iter().map(|status| Container::read(&sandbox.id, status)));
        self.sandboxes.push(Sandbox::read(sandbox, listed_at));
        self.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at)));
        self.containers.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
    }

    /// Takes in an event. False: it does not say enough, so the pod has to be listed.
    pub fn apply(&mut self, event: cri::ContainerEventResponse) -> bool {
        let deleted = event.container_event_type() == cri::ContainerEventType::ContainerDeletedEvent;
        let Some(sandbox) = event.pod_sandbox_status else { return false };
        let known = self.sandboxes.iter().find(|known| known.id == sandbox.id);
        let listed_at = known.map_or(0, |known| known.listed_at);
        if event.created_at <= listed_at {
            return true;
        }
        if deleted && sandbox.id == event.container_id {
            self.forget(&sandbox.id);
        } else {
            self.take(sandbox, event.containers_statuses, listed_at);
        }
        true
    }

    fn forget(&mut self, sandbox: &str) {
        self.sandboxes.retain(|known| known.id != sandbox);
        self.containers.retain(|container| container.sandbox != sandbox);
    }
}

impl Sandbox {
    fn read(status: cri::PodSandboxStatus, listed_at: i64) -> Self {
        Self {
            listed_at,
            ready: status.state() == cri::PodSandboxState::SandboxReady,
            attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
            ip: status.network.map(|network| network.ip).unwrap_or_default(),
            created_at: time(status.created_at).unwrap_or_default(),
            id: status.id,
        }
    }
}

impl Container {
    /// Whether its process lives.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Whether it was made from another image than is wanted now. A runtime that does not remember what was asked for cannot tell.
    pub fn has_other_image(&self, wanted: &api::core::v1::Container) -> bool {
        !self.wanted_image.is_empty() && self.wanted_image != wanted.image
    }

    /// How it ended, if it has.
    pub fn exit_code(&self) -> Option<i32> {
        match self.state {
            State::Exited { code, .. } => Some(code),
            _ => None,
        }
    }

    fn read(sandbox: &str, status: cri::ContainerStatus) -> Self {
        let state = match status.state() {
            cri::ContainerState::ContainerCreated => State::Created,
            cri::ContainerState::ContainerRunning => State::Running(time(status.started_at).unwrap_or_default()),
            // A container that the runtime has lost track of counts as failed; what runs again is a new attempt.
            cri::ContainerState::ContainerUnknown => State::Exited {
                started_at: time(status.started_at),
                finished_at: time(status.finished_at).or(time(status.started_at)).unwrap_or_default(),
                code: 137,
                reason: "ContainerStatusUnknown".to_owned(),
                message: "The container could not be located when the pod was terminated".to_owned(),
            },
            cri::ContainerState::ContainerExited => State::Exited {
                started_at: time(status.started_at),
                finished_at: time(status.finished_at).unwrap_or_default(),
                code: status.exit_code,
                reason: status.reason,
                message: status.message,
            },
        };
        let metadata = status.metadata.unwrap_or_default();
        let image = status.image.unwrap_or_default();
        Self {
            id: status.id,
            sandbox: sandbox.to_owned(),
            name: metadata.name,
            attempt: metadata.attempt,
            state,
            wanted_image: image.user_specified_image,
            image: image.image,
            image_id: status.image_ref,
            user: status.user.and_then(|user| user.linux),
            created_at: time(status.created_at).unwrap_or_default(),
        }
    }
}

/// CRI's nanoseconds; 0 is "never".
fn time(nanos: i64) -> Option<Timestamp> {
    if nanos == 0 { None } else { Timestamp::from_nanosecond(nanos.into()).ok() }
}
