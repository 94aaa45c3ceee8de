//! Which pod goes first. Pure.
//!
//! Whoever uses more than it asked for goes before those who keep their word; then the lower priority; then who uses the most beyond its
//! request. Processes cannot be asked for, so there priority comes first. A pod of which nothing is measured goes before all others.

use std::cmp::Reverse;
use std::sync::Arc;

use api::core::v1::Pod;
use api::pod_resources::requests;

use super::observation::PodUsage;

/// A pod that may be ended.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it uses, if that is known.
    pub usage: Option<PodUsage>,
}

/// Puts the pods into the order in which they are ended for `resource`.
pub fn rank(candidates: &mut [Candidate], resource: &str) {
    candidates.sort_by_cached_key(|candidate| (turn(candidate, resource), candidate.pod.metadata.uid.clone()));
}

/// What decides, the most important first: whether it is measured, whether it keeps its word, its priority, what it uses.
fn turn(candidate: &Candidate, resource: &str) -> (bool, bool, i32, Reverse<i64>) {
    let Candidate { pod, usage } = candidate;
    let Some(usage) = usage else { return (false, false, priority(pod), Reverse(0)) };
    if resource == "pids" {
        return (true, false, priority(pod), Reverse(usage.processes()));
    }
    let beyond = used(usage, resource) - requested(pod, resource);
    (true, beyond <= 0, priority(pod), Reverse(beyond))
}

fn priority(pod: &Pod) -> i32 {
    pod.spec.priority.unwrap_or_default()
}

fn used(usage: &PodUsage, resource: &str) -> i64 {
    if resource == "memory" { usage.memory() } else { usage.disk() }
}

fn requested(pod: &Pod, resource: &str) -> i64 {
    requests(&pod.spec).get(resource).map_or(0, |amount| amount.value())
}
