//! A ReplicaSet's status: what its pods are, and what kept it from making or deleting them.

use api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use api::core::v1::Pod;
use api::pod_conditions::{is_available, is_ready};
use jiff::Timestamp;
use std::sync::Arc;

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What could not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// "FailedCreate" or "FailedDelete".
    pub reason: &'static str,
    /// The error.
    pub message: String,
}

/// The status of a ReplicaSet with these active pods, those to be deleted left out.
pub(super) fn status(
    set: &ReplicaSet,
    pods: &[Arc<Pod>],
    terminating: usize,
    failure: Option<&Failure>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let count = |counts: &dyn Fn(&Pod) -> bool| number(pods.iter().filter(|pod| counts(pod)).count());
    let labels = &set.spec.template.metadata.labels;
    let has_all_labels = |pod: &Pod| labels.iter().all(|(name, value)| pod.metadata.labels.get(name) == Some(value));
    ReplicaSetStatus {
        replicas: number(pods.len()),
        fully_labeled_replicas: count(&has_all_labels),
        ready_replicas: count(&is_ready),
        available_replicas: count(&|pod| is_available(pod, set.spec.min_ready_seconds, now)),
        terminating_replicas: Some(number(terminating)),
        observed_generation: set.metadata.generation,
        conditions: conditions(&set.status.conditions, failure, now),
    }
}

/// The failure is noted when it begins and taken away when it is over; its details do not follow every retry.
fn conditions(before: &[ReplicaSetCondition], failure: Option<&Failure>, now: Timestamp) -> Vec<ReplicaSetCondition> {
    let mut conditions = before.to_vec();
    match failure {
        None => conditions.retain(|condition| condition.r#type != REPLICA_FAILURE),
        Some(_) if conditions.iter().any(|condition| condition.r#type == REPLICA_FAILURE) => {}
        Some(failure) => conditions.push(ReplicaSetCondition {
            r#type: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: failure.reason.to_owned(),
            message: failure.message.clone(),
            last_transition_time: Some(now.into()),
        }),
    }
    conditions
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
