//! What the restart of a container has its cause in, so that its trace begins where the trouble did.

use api::core::v1::Pod;
use jiff::Timestamp;

use super::memory::Memory;
use super::observed::{Container, Observed, State};
use super::slot::slots;

/// A container that has failed, or has to be stopped because it is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub container: String,
    /// `LivenessProbe`, `FailedPostStartHook`, or how it ended: `Error`, `OOMKilled`, `Completed` ...
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// The first failure of the probe, or the container's end.
    pub since: Timestamp,
    /// Its next start has waited since then.
    pub waited: bool,
    /// It has ended, and not well; or it is not well.
    pub failed: bool,
}

/// The newest trouble of a pod that is to stay.
pub fn trouble(pod: &Pod, observed: &Observed, memory: &Memory) -> Option<Trouble> {
    if memory.termination.is_some() {
        return None;
    }
    let of_slots = slots(&pod.spec).filter_map(|slot| {
        let container = observed.latest(&slot.spec.name)?;
        if let Some(code) = container.exit_code() {
            return slot.restarts(&pod.spec, code).then(|| ended(container, code, memory)).flatten();
        }
        let condemned = memory.container(&container.name).condemned.as_ref().filter(|it| it.id == container.id)?;
        Some(Trouble {
            container: container.name.clone(),
            reason: condemned.reason.to_owned(),
            message: condemned.message.clone(),
            since: condemned.since,
            waited: false,
            failed: true,
        })
    });
    of_slots.max_by_key(|trouble| trouble.since)
}

fn ended(container: &Container, code: i32, memory: &Memory) -> Option<Trouble> {
    let State::Exited { finished_at, reason, .. } = &container.state else { return None };
    Some(Trouble {
        container: container.name.clone(),
        reason: reason.clone(),
        message: format!("{reason}: exit code {code}"),
        since: *finished_at,
        waited: memory.container(&container.name).crash_loop == Some(container.attempt),
        failed: code != 0,
    })
}
