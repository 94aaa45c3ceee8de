//! A Deployment's status: counts that its ReplicaSets report, and the conditions Available, Progressing and ReplicaFailure.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>

use super::draft::Draft;
use api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSetCondition};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

pub(super) const AVAILABLE: &str = "Available";
pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

/// The newest ReplicaSet has all its replicas, and they are available.
pub(super) const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// Nothing moved for `progressDeadlineSeconds`.
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";

/// A condition as of now.
pub(super) fn condition(
    r#type: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        r#type: r#type.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_update_time: Some(now.into()),
        last_transition_time: Some(now.into()),
    }
}

/// The condition of a type.
pub(super) fn find<'a>(status: &'a DeploymentStatus, r#type: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().find(|condition| condition.r#type == r#type)
}

/// Sets a condition. One that says the same for the same reason already is kept as it is, with its times.
pub(super) fn set(status: &mut DeploymentStatus, mut new: DeploymentCondition) {
    if let Some(old) = find(status, &new.r#type) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time;
        }
    }
    remove(status, &new.r#type);
    status.conditions.push(new);
}

/// Takes a condition away.
pub(super) fn remove(status: &mut DeploymentStatus, r#type: &str) {
    status.conditions.retain(|condition| condition.r#type != r#type);
}

/// Whether the rollout has a deadline to be held against.
pub(super) fn has_deadline(deployment: &Deployment) -> bool {
    deployment.spec.progress_deadline_seconds.is_some_and(|seconds| seconds < i32::MAX)
}

/// Whether `status` shows the rollout done: only pods of the newest template, all of them, all available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let replicas = deployment.spec.replicas.unwrap_or(1);
    status.updated_replicas == replicas
        && status.replicas == replicas
        && status.available_replicas == replicas
        && status.observed_generation >= deployment.metadata.generation
}

/// Notes that a rollout was paused or goes on; the deadline then starts anew.
pub(super) fn note_pause(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    if !has_deadline(deployment) {
        return;
    }
    let reason = find(status, PROGRESSING).map_or("", |condition| condition.reason.as_str());
    let (paused, noted) = (deployment.spec.paused, reason == PAUSED);
    if reason == TIMED_OUT || paused == noted {
        return;
    }
    let (reason, message) = if paused { (PAUSED, "Deployment is paused") } else { (RESUMED, "Deployment is resumed") };
    set(status, condition(PROGRESSING, "Unknown", reason, message.to_owned(), now));
}

/// Counts what the ReplicaSets report, on top of the conditions in `status`.
pub(super) fn count(draft: &Draft<'_>, mut status: DeploymentStatus) -> DeploymentStatus {
    let newest = draft.newest().map(|set| &set.after.status);
    let reported = || draft.sets.iter().map(|set| &set.after.status);
    status.observed_generation = draft.deployment.metadata.generation;
    status.replicas = reported().map(|set| set.replicas).sum();
    status.updated_replicas = newest.map_or(0, |set| set.replicas);
    status.ready_replicas = reported().map(|set| set.ready_replicas).sum();
    status.available_replicas = reported().map(|set| set.available_replicas).sum();
    status.unavailable_replicas = (status.replicas - status.available_replicas).max(0);
    // Unknown as long as one of them has not said.
    status.terminating_replicas = reported()
        .map(|set| if set.observed_generation == 0 { Some(0) } else { set.terminating_replicas })
        .try_fold(0, |sum, terminating| Some(sum + terminating?));
    let available = if status.available_replicas >= draft.bounds.min_available() {
        let message = "Deployment has minimum availability.";
        condition(AVAILABLE, "True", "MinimumReplicasAvailable", message.to_owned(), draft.now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message.to_owned(), draft.now)
    };
    set(&mut status, available);
    status
}

/// Judges the rollout: complete, moving, or stuck.
pub(super) fn judge(draft: &Draft<'_>, status: &mut DeploymentStatus) {
    let (deployment, now) = (draft.deployment, draft.now);
    if !has_deadline(deployment) {
        remove(status, PROGRESSING);
    }
    // A rollout that was complete stays complete when its pods fail later.
    let was_complete = status.replicas == status.updated_replicas
        && find(status, PROGRESSING).is_some_and(|condition| condition.reason == NEW_REPLICA_SET_AVAILABLE);
    if has_deadline(deployment) && !was_complete {
        let what = match draft.newest() {
            Some(set) => format!("ReplicaSet \"{}\"", set.after.metadata.name),
            None => format!("Deployment \"{}\"", deployment.metadata.name),
        };
        if is_complete(deployment, status) {
            let message = format!("{what} has successfully progressed.");
            set(status, condition(PROGRESSING, "True", NEW_REPLICA_SET_AVAILABLE, message, now));
        } else if moves(&deployment.status, status) {
            let mut moving =
                condition(PROGRESSING, "True", "ReplicaSetUpdated", format!("{what} is progressing."), now);
            if let Some(before) = find(status, PROGRESSING).filter(|before| before.status == "True") {
                moving.last_transition_time = before.last_transition_time;
            }
            // Replaced even if it says the same: the time of the last movement is what the deadline counts from.
            remove(status, PROGRESSING);
            set(status, moving);
        } else if is_stuck(deployment, status, now) {
            set(status, condition(PROGRESSING, "False", TIMED_OUT, format!("{what} has timed out progressing."), now));
        }
    }
    pass_failures_on(draft, status);
}

/// Whether anything got better since the status before.
fn moves(before: &DeploymentStatus, now: &DeploymentStatus) -> bool {
    let old = |status: &DeploymentStatus| status.replicas - status.updated_replicas;
    now.updated_replicas > before.updated_replicas
        || old(now) < old(before)
        || now.ready_replicas > before.ready_replicas
        || now.available_replicas > before.available_replicas
}

/// Whether nothing has moved for as long as the deadline says.
fn is_stuck(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(progressing) = find(status, PROGRESSING) else { return false };
    match progressing.reason.as_str() {
        NEW_REPLICA_SET_AVAILABLE => false,
        TIMED_OUT => true,
        _ => deadline(deployment, progressing).is_some_and(|deadline| deadline < now),
    }
}

fn deadline(deployment: &Deployment, progressing: &DeploymentCondition) -> Option<Timestamp> {
    let allowed = SignedDuration::from_secs(deployment.spec.progress_deadline_seconds?.into());
    progressing.last_update_time?.timestamp()?.checked_add(allowed).ok()
}

/// When to look again whether the rollout is stuck; `None` if it cannot become so.
pub(super) fn look_again(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let progressing = find(status, PROGRESSING).filter(|_| has_deadline(deployment))?;
    if progressing.reason == TIMED_OUT || is_complete(deployment, status) {
        return None;
    }
    // Times of conditions are whole seconds, so one more makes sure that the deadline is over.
    let left = deadline(deployment, progressing)?.duration_since(now) + SignedDuration::from_secs(1);
    Some(Duration::try_from(left).unwrap_or_default().max(Duration::from_secs(1)))
}

/// Shows what keeps a ReplicaSet from making or deleting pods: the newest's trouble first.
fn pass_failures_on(draft: &Draft<'_>, status: &mut DeploymentStatus) {
    let order = draft.newest.into_iter().chain(draft.old());
    let failure = order.filter_map(|index| {
        draft.sets[index].after.status.conditions.iter().find(|condition| condition.r#type == REPLICA_FAILURE)
    });
    match failure.map(adopted).next() {
        Some(failure) => set(status, failure),
        None => remove(status, REPLICA_FAILURE),
    }
}

fn adopted(condition: &ReplicaSetCondition) -> DeploymentCondition {
    DeploymentCondition {
        r#type: condition.r#type.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_update_time: condition.last_transition_time,
        last_transition_time: condition.last_transition_time,
    }
}
