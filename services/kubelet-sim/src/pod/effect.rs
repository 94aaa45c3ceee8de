//! Whether the effect of finished work has been seen.
//!
//! A runtime call returns before its event has come through the node's event stream. Until the effect is observed the work counts as under
//! way, or the state machine would ask for it again. What is observed comes from one stream in order, so it is never newer in one part than
//! in another.

use super::execute::Ended;
use crate::lifecycle::{Action, FailureKind, Observed, State};

/// Whether what an action did shows in what is observed.
pub(super) fn is_seen(action: &Action, result: &Ended, observed: &Observed) -> bool {
    if let Err(failure) = result
        && failure.kind != FailureKind::Container
    {
        return true;
    }
    match action {
        Action::RunSandbox { attempt } => observed.sandboxes.iter().any(|sandbox| sandbox.attempt >= *attempt),
        Action::Start { container, attempt } => observed
            .latest(container)
            .is_some_and(|seen| seen.attempt > *attempt || (seen.attempt == *attempt && seen.state != State::Created)),
        Action::Stop { id, .. } => !observed.containers.iter().any(|seen| seen.id == *id && seen.is_running()),
        Action::StopSandboxes(ids) => {
            !observed.sandboxes.iter().any(|sandbox| sandbox.ready && ids.contains(&sandbox.id))
        }
        Action::RemoveSandboxes(ids) => !observed.sandboxes.iter().any(|sandbox| ids.contains(&sandbox.id)),
        Action::RemoveContainer(id) => !observed.containers.iter().any(|container| container.id == *id),
        Action::MountVolumes
        | Action::PostStart { .. }
        | Action::PreStop { .. }
        | Action::DeletePod
        | Action::Terminate(_)
        | Action::Note(_) => true,
    }
}
