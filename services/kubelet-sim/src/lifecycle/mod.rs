//! The life of a pod on its node, as a pure state machine.
//!
//! [`step`] looks at what is wanted (the pod), what is (the runtime, [`Observed`]), what the kubelet remembers ([`Memory`]) and the time, and
//! answers what to do now ([`Action`]), what to report (`PodStatus`) and when to look again. It knows no I/O and no clock, and it changes
//! nothing: the pod worker begins the actions, carries them out, and tells the memory how they ended.
//!
//! ```text
//!          admitted                     containers run, stop, come back
//!  pod ──> sandbox ──> volumes ──> init 0..n ──> containers ──────────────────┐
//!             ^                                      │  │ all over, by policy  │
//!             '────────── sandbox lost ──────────────'  v                      v
//!                                              Succeeded, Failed     deleted, forced, deadline, evicted
//!                                                       │                      v
//!                                                       │      preStop ──> TERM ──> KILL, per container
//!                                                       v                      v
//!                                                 sandbox stopped ──> sandbox removed ──> object deleted
//! ```
//!
//! Invariants:
//! - start-up is sequential: at most one of sandbox, volumes, start of a container is under way;
//! - a container is never started beside a running one of its name, nor once termination has begun;
//! - the object is deleted only when nothing of the pod is left in the runtime (SCENARIOS D9);
//! - the same inputs give the same answer, so a step that changes nothing costs nothing and makes no span.

mod action;
pub mod admission;
pub mod critical;
mod memory;
mod observed;
pub mod probes;
mod progress;
mod restart;
mod sandbox;
mod slot;
mod start;
mod status;
mod terminate;
mod trouble;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use api::core::v1::{Pod, PodStatus};
use jiff::{SignedDuration, Timestamp};

pub use action::{Action, Failure, FailureKind, Note, Work};
pub use memory::{Ended, Eviction, Memory, Termination, Why};
pub use observed::{Container, Observed, Sandbox, State};
pub use restart::CrashBackoff;
pub use slot::{Role, Slot, slot_of, slots};
pub use trouble::{Trouble, trouble};

/// What is the same for all pods of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's own address.
    pub host_ip: String,
    /// The scheme of container ids.
    pub runtime_name: RuntimeName,
    /// Whether another image of an init container restarts the pod's start-up (SCENARIOS I7).
    pub init_image_restarts: bool,
}

/// What a runtime calls itself, as soon as it has answered for the first time: before that there are no containers to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeName(Arc<OnceLock<String>>);

impl RuntimeName {
    /// Keeps the first name that is told.
    pub fn learn(&self, name: &str) {
        self.0.get_or_init(|| name.to_owned());
    }
}

impl From<&str> for RuntimeName {
    fn from(name: &str) -> Self {
        Self(Arc::new(OnceLock::from(name.to_owned())))
    }
}

impl fmt::Display for RuntimeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get().map(String::as_str).unwrap_or_default())
    }
}

/// All that a step depends on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What is wanted. Its status is what the apiserver last said.
    pub pod: &'a Pod,
    /// What the runtime has of this pod.
    pub observed: &'a Observed,
    /// What the kubelet knows beyond that.
    pub memory: &'a Memory,
    /// The node.
    pub node: &'a NodeFacts,
    /// Wall time.
    pub now: Timestamp,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What to do now. All of it may be begun at once.
    pub actions: Vec<Action>,
    /// What to report.
    pub status: PodStatus,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// Nothing of the pod is left: neither in the runtime nor, as far as this kubelet is concerned, in the API.
    pub over: bool,
}

/// Decides what comes next for a pod.
pub fn step(input: &Input<'_>) -> Step {
    let status::Report { status, over } = status::report(input);
    let mut step = Step { status, ..Step::default() };
    if input.memory.termination.is_some() {
        terminate::plan(input, &mut step);
    } else {
        start::plan(input, &mut step, over);
    }
    step
}

impl Step {
    /// Asks to be woken at a time, if nothing wakes it earlier.
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }
}

/// A time after another; the end of the calendar if there is none.
fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
