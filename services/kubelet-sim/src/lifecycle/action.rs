//! What a step can ask for, and how it can end.

use std::time::Duration;

use jiff::Timestamp;

use super::memory::Why;

/// Something for the pod worker to do. Those with a [`Work`] take time; the others are done at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the pod's sandbox with its network.
    RunSandbox {
        /// 0 for the first.
        attempt: u32,
    },
    /// Make volumes, config maps and secrets available.
    MountVolumes,
    /// Pull the image, create and start the container, run its postStart hook.
    Start {
        /// Its name.
        container: String,
        /// 0 for the first.
        attempt: u32,
    },
    /// Run the postStart hook of a container that another process of the kubelet has started.
    PostStart {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// 0 for the first.
        attempt: u32,
    },
    /// Run the preStop hook.
    PreStop {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// The end of the grace period, which the hook may not outlive.
        until: Timestamp,
    },
    /// Send TERM, and KILL when `timeout` is over.
    Stop {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// Whole seconds, as CRI counts.
        timeout: Duration,
        /// The preStop hook outlived the grace period: this is the extra time.
        extended: bool,
    },
    /// Stop sandboxes that are not needed any more; what they contained stays readable.
    StopSandboxes(Vec<String>),
    /// Remove sandboxes and all that is in them.
    RemoveSandboxes(Vec<String>),
    /// Remove a container that nobody will ask about again.
    RemoveContainer(String),
    /// Delete the object: grace 0, this uid.
    DeletePod,
    /// Begin the end of the pod. At once.
    Terminate(Why),
    /// Tell the user something that began just now. At once.
    Note(Note),
}

/// News for the user that no piece of work brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A container is about to be stopped, and why.
    Killing {
        /// Its name.
        container: String,
        /// Its id.
        id: String,
        /// The event's message.
        message: String,
        /// When its grace period ends.
        deadline: Timestamp,
    },
    /// The sandbox is lost or out of date: what is in it is stopped, and another one is made.
    SandboxChanged {
        /// The id of the one that goes.
        id: String,
    },
    /// A container that keeps failing waits before its next start.
    CrashLoop {
        /// Its name.
        container: String,
        /// How long it waits in all.
        delay: Duration,
        /// It has been told before, and is still so.
        again: bool,
    },
    /// A failed pull is not repeated for a while.
    PullBackOff {
        /// The container's name.
        container: String,
        /// The image as the spec names it.
        image: String,
        /// It has been told before, and is still so.
        again: bool,
    },
}

impl Action {
    /// Whether nothing begins: what was told before is told again.
    pub fn is_repetition(&self) -> bool {
        matches!(
            self,
            Self::Note(Note::CrashLoop { again: true, .. }) | Self::Note(Note::PullBackOff { again: true, .. })
        )
    }
}

/// What an action keeps busy: two actions with the same work are never under way at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Making the sandbox.
    Sandbox,
    /// Mounting.
    Volumes,
    /// Starting the named container.
    Start(String),
    /// The preStop hook of the container with this id.
    PreStop(String),
    /// Stopping the container with this id, for the nth time: a shorter grace period overtakes a longer one.
    Stop(String, u32),
    /// Stopping or removing sandboxes.
    Cleanup,
    /// Removing the container with this id.
    Remove(String),
    /// Deleting the object.
    Delete,
}

impl Work {
    /// Whether it brings the pod up, and so is given up when the pod is to end.
    pub fn is_start_up(&self) -> bool {
        matches!(self, Self::Sandbox | Self::Volumes | Self::Start(_))
    }
}

/// Why work did not succeed, as a container's waiting reason and message put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure: decides what follows.
    pub kind: FailureKind,
    /// `ErrImagePull`, `CreateContainerError` ...
    pub reason: String,
    /// The sentence beside it.
    pub message: String,
}

/// How a failure is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The image is not there: tried again with growing delays.
    Pull,
    /// There is no new container: tried again soon.
    Setup,
    /// The container exists and has ended or must: its restart policy decides.
    Container,
}
