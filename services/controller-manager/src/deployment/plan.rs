//! What a Deployment needs next: the whole decision, without I/O and clock.
//!
//! Invariants: a plan made from what an earlier plan brought about is empty; no plan makes more pods than `replicas + maxSurge`, nor takes
//! available ones below `replicas - maxUnavailable`.

use super::annotations;
use super::bounds::is_recreate;
use super::draft::{Draft, Set};
use super::{history, recreate, rolling, scale, status};
use api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The Deployment.
    pub deployment: &'a Deployment,
    /// Its ReplicaSets, in any order.
    pub replica_sets: &'a [Arc<ReplicaSet>],
    /// Whether pods of old templates still run, also terminating ones. Only Recreate asks.
    pub old_pods_left: bool,
}

/// What is to be written, in this order. What needs no change is not there.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The ReplicaSet of the newest template.
    pub create: Option<ReplicaSet>,
    /// ReplicaSets with other annotations or sizes.
    pub update: Vec<Resized>,
    /// ReplicaSets beyond the history.
    pub delete: Vec<Arc<ReplicaSet>>,
    /// The revision, to be noted on the Deployment.
    pub revision: Option<String>,
    /// The Deployment's status, if it differs.
    pub status: Option<DeploymentStatus>,
    /// The selector is empty and would select every pod: nothing is done.
    pub selects_all: bool,
    /// When to look again even if nothing happens: the progress deadline.
    pub again: Option<Duration>,
}

/// A ReplicaSet as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Resized {
    /// The object to write.
    pub replica_set: ReplicaSet,
    /// Pods that it was asked for before.
    pub from: i32,
    /// Pods that it is asked for now; may be the same.
    pub to: i32,
}

impl Plan {
    /// Whether the plan makes or scales ReplicaSets: only then is a run a step of the rollout.
    pub fn changes_replica_sets(&self) -> bool {
        self.create.is_some() || self.update.iter().any(|set| set.from != set.to)
    }
}

/// Decides.
pub fn plan(observed: Observed<'_>, now: Timestamp) -> Plan {
    let deployment = observed.deployment;
    if selects_all(deployment) {
        let status =
            DeploymentStatus { observed_generation: deployment.metadata.generation, ..deployment.status.clone() };
        return Plan { selects_all: true, ..Plan::default() }.with_status(deployment, status);
    }
    let mut draft = Draft::new(deployment, observed.replica_sets, now);
    draft.refresh_newest();
    if deployment.metadata.deletion_timestamp.is_some() {
        let counted = status::count(&draft, deployment.status.clone());
        return written(&draft, Vec::new(), counted);
    }
    let mut before = deployment.status.clone();
    status::note_pause(deployment, &mut before, now);
    if deployment.spec.paused || scale::is_due(&draft) {
        scale::apply(&mut draft);
        let surplus = if deployment.spec.paused { history::surplus(&draft) } else { Vec::new() };
        note_newest(&draft, &mut before);
        let counted = status::count(&draft, before);
        return written(&draft, surplus, counted);
    }
    if is_recreate(deployment) {
        recreate::step(&mut draft, observed.old_pods_left);
    } else {
        rolling::step(&mut draft);
    }
    let changed = draft.sets.iter().any(|set| set.size() != set.size_before());
    let surplus = if !changed && status::is_complete(deployment, &deployment.status) {
        history::surplus(&draft)
    } else {
        Vec::new()
    };
    note_newest(&draft, &mut before);
    let mut counted = status::count(&draft, before);
    status::judge(&draft, &mut counted);
    let again = status::look_again(deployment, &counted, now);
    Plan { again, ..written(&draft, surplus, counted) }
}

/// The status of a Deployment whose newest ReplicaSet could not be created.
pub fn create_failed(deployment: &Deployment, message: String, now: Timestamp) -> DeploymentStatus {
    let mut status = deployment.status.clone();
    if status::has_deadline(deployment) {
        status::set(&mut status, status::condition(status::PROGRESSING, "False", CREATE_FAILED, message, now));
    }
    status
}

/// The status of a Deployment whose next ReplicaSet's name is taken by another template's: the next try makes another name.
pub fn name_collided(deployment: &Deployment) -> DeploymentStatus {
    let mut status = deployment.status.clone();
    status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
    status
}

/// Whether a ReplicaSet that has the name of the one to be created is the one to be created.
pub fn is_the_same(existing: &ReplicaSet, wanted: &ReplicaSet, deployment: &Deployment) -> bool {
    api::controller_ref::is_controlled_by(&existing.metadata, &deployment.metadata)
        && super::draft::same_template(&existing.spec.template, &wanted.spec.template)
}

/// Reason of the condition and the event when a ReplicaSet could not be created.
pub const CREATE_FAILED: &str = "ReplicaSetCreateError";

fn selects_all(deployment: &Deployment) -> bool {
    deployment
        .spec
        .selector
        .as_ref()
        .is_some_and(|selector| selector.match_labels.is_empty() && selector.match_expressions.is_empty())
}

/// Notes in the Progressing condition that the newest ReplicaSet is there.
fn note_newest(draft: &Draft<'_>, before: &mut DeploymentStatus) {
    let Some(newest) = draft.newest().filter(|_| status::has_deadline(draft.deployment)) else { return };
    let name = &newest.after.metadata.name;
    let (reason, message) = match newest.before {
        None => ("NewReplicaSetCreated", format!("Created new replica set \"{name}\"")),
        Some(_) if status::find(before, status::PROGRESSING).is_none() => {
            ("FoundNewReplicaSet", format!("Found new replica set \"{name}\""))
        }
        Some(_) => return,
    };
    status::set(before, status::condition(status::PROGRESSING, "True", reason, message, draft.now));
}

/// The plan that makes the draft true.
fn written(draft: &Draft<'_>, delete: Vec<Arc<ReplicaSet>>, status: DeploymentStatus) -> Plan {
    let deployment = draft.deployment;
    let revision = draft.newest().and_then(|set| set.after.metadata.annotations.get(annotations::REVISION));
    let noted = deployment.metadata.annotations.get(annotations::REVISION);
    let plan = Plan {
        create: draft.newest().filter(|set| set.before.is_none()).map(|set| set.after.clone()),
        update: draft.sets.iter().filter_map(resized).collect(),
        delete,
        revision: revision.filter(|revision| noted != Some(revision)).cloned(),
        ..Plan::default()
    };
    plan.with_status(deployment, status)
}

fn resized(set: &Set) -> Option<Resized> {
    let before = set.before.as_deref().filter(|before| **before != set.after)?;
    Some(Resized { replica_set: set.after.clone(), from: super::draft::size(before), to: set.size() })
}

impl Plan {
    fn with_status(mut self, deployment: &Deployment, status: DeploymentStatus) -> Plan {
        self.status = (status != deployment.status).then_some(status);
        self
    }
}

#[cfg(test)]
mod tests;
