//! What a ReplicaSet needs next, without I/O and clock.

use super::ranking;
pub use super::status::Failure;
use api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use api::controller_ref::controller_ref;
use api::core::v1::Pod;
use api::pod_conditions::available_at;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most pods that one run makes or deletes; the rest is for the next runs. Kubernetes' number.
pub const BURST: usize = 500;

/// What a plan is made from.
pub struct Observed<'a> {
    /// The ReplicaSet.
    pub replica_set: &'a ReplicaSet,
    /// Its pods, without finished and terminating ones.
    pub active: Vec<Arc<Pod>>,
    /// How many of its pods are on their way out.
    pub terminating: usize,
    /// How many active pods of the same workload (all ReplicaSets of a Deployment) each node has. Asked only if pods must go.
    pub per_node: &'a dyn Fn() -> HashMap<String, usize>,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// So many pods are to be created.
    pub create: usize,
    /// These are to be deleted.
    pub delete: Vec<Arc<Pod>>,
    /// The pods that stay; the status is theirs.
    pub keep: Vec<Arc<Pod>>,
    /// How many pods are on their way out, not counting those to be deleted.
    pub terminating: usize,
    /// When a ready pod becomes available, for then the status changes without an event.
    pub again: Option<Duration>,
}

/// Decides.
pub fn plan(observed: Observed<'_>, now: Timestamp) -> Plan {
    let Observed { replica_set, active, terminating, per_node } = observed;
    let wanted = usize::try_from(replica_set.spec.replicas.unwrap_or(1)).unwrap_or(0);
    // A ReplicaSet that is being deleted makes no pods any more, and leaves deleting them to the garbage collector.
    let is_managed = replica_set.metadata.deletion_timestamp.is_none();
    let missing = if is_managed { wanted.saturating_sub(active.len()).min(BURST) } else { 0 };
    let surplus = if is_managed { active.len().saturating_sub(wanted).min(BURST) } else { 0 };
    let delete = if surplus > 0 { ranking::choose(active.clone(), surplus, &per_node(), now) } else { Vec::new() };
    let keep: Vec<_> = active.into_iter().filter(|pod| !delete.iter().any(|gone| Arc::ptr_eq(gone, pod))).collect();
    let again = next_availability(replica_set, &keep, now);
    Plan { create: missing, delete, keep, terminating, again }
}

impl Plan {
    /// Whether pods are made or deleted.
    pub fn changes_pods(&self) -> bool {
        self.create > 0 || !self.delete.is_empty()
    }

    /// The status once the plan is carried out, as far as that succeeded; `None` if it is what it was. Pods that were just created count
    /// when they are seen.
    pub fn status(&self, set: &ReplicaSet, failure: Option<&Failure>, now: Timestamp) -> Option<ReplicaSetStatus> {
        let status = super::status::status(set, &self.keep, self.terminating, failure, now);
        (status != set.status).then_some(status)
    }
}

/// When the next pod that is ready has been so for `minReadySeconds`.
fn next_availability(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let next = pods.iter().filter_map(|pod| available_at(pod, set.spec.min_ready_seconds)).filter(|at| *at > now).min();
    Duration::try_from(next?.duration_since(now)).ok()
}

/// A new pod of a ReplicaSet, not named yet.
pub fn pod_of(set: &ReplicaSet) -> Pod {
    let template = &set.spec.template;
    let mut pod = Pod { spec: template.spec.clone(), ..Pod::default() };
    pod.metadata.generate_name = format!("{}-", set.metadata.name);
    pod.metadata.namespace.clone_from(&set.metadata.namespace);
    pod.metadata.labels.clone_from(&template.metadata.labels);
    pod.metadata.annotations.clone_from(&template.metadata.annotations);
    pod.metadata.finalizers.clone_from(&template.metadata.finalizers);
    pod.metadata.owner_references = vec![controller_ref(set)];
    pod
}

#[cfg(test)]
mod tests;
