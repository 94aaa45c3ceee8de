//! Deployments, ReplicaSets and ControllerRevisions.

use api::apps::v1::{ControllerRevision, Deployment, ReplicaSet};
use api::field::ErrorList;
use api::{defaults, validation};
use telemetry::TRACEPARENT_ANNOTATION;

use crate::registry::strategy::Strategy;

/// The rules of Deployments.
pub(crate) struct Deployments;

impl Strategy<Deployment> for Deployments {
    fn set_defaults(&self, deployment: &mut Deployment) {
        defaults::deployment(deployment);
    }

    fn copy_status(&self, from: &Deployment, to: &mut Deployment) {
        to.status = from.status.clone();
    }

    fn copy_reported(&self, from: &Deployment, to: &mut Deployment) {
        to.status = from.status.clone();
        // The controller notes the rollout's revision with the status: as an annotation, which as a change of intent would start it anew.
        let traced = to.metadata.annotations.remove(TRACEPARENT_ANNOTATION);
        to.metadata.annotations.clone_from(&from.metadata.annotations);
        to.metadata.annotations.remove(TRACEPARENT_ANNOTATION);
        to.metadata.annotations.extend(traced.map(|context| (TRACEPARENT_ANNOTATION.to_owned(), context)));
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn changes_intent(&self, new: &Deployment, old: &Deployment) -> bool {
        // Annotations of a Deployment are copied to its ReplicaSets, so the controller has to look at them. Ours is not the user's.
        let annotations = |deployment: &Deployment| {
            let mut annotations = deployment.metadata.annotations.clone();
            annotations.remove(TRACEPARENT_ANNOTATION);
            annotations
        };
        new.spec != old.spec || annotations(new) != annotations(old)
    }

    fn validate(&self, deployment: &Deployment) -> ErrorList {
        validation::deployment::create(deployment)
    }

    fn validate_update(&self, new: &Deployment, old: &Deployment) -> ErrorList {
        validation::deployment::update(new, old)
    }

    fn validate_status_update(&self, new: &Deployment, old: &Deployment) -> ErrorList {
        validation::deployment::status_update(new, old)
    }
}

/// The rules of ReplicaSets.
pub(crate) struct ReplicaSets;

impl Strategy<ReplicaSet> for ReplicaSets {
    fn field_names(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn fields(&self, set: &ReplicaSet) -> Vec<(&'static str, String)> {
        vec![("status.replicas", set.status.replicas.to_string())]
    }

    fn set_defaults(&self, set: &mut ReplicaSet) {
        defaults::replica_set(set);
    }

    fn copy_status(&self, from: &ReplicaSet, to: &mut ReplicaSet) {
        to.status = from.status.clone();
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn changes_intent(&self, new: &ReplicaSet, old: &ReplicaSet) -> bool {
        new.spec != old.spec
    }

    fn validate(&self, set: &ReplicaSet) -> ErrorList {
        validation::replica_set::create(set)
    }

    fn validate_update(&self, new: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
        validation::replica_set::update(new, old)
    }

    fn validate_status_update(&self, new: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
        validation::replica_set::status_update(new, old)
    }
}

/// The rules of ControllerRevisions.
pub(crate) struct ControllerRevisions;

impl Strategy<ControllerRevision> for ControllerRevisions {
    fn validate(&self, revision: &ControllerRevision) -> ErrorList {
        validation::controller_revision::create(revision)
    }

    fn validate_update(&self, new: &ControllerRevision, old: &ControllerRevision) -> ErrorList {
        validation::controller_revision::update(new, old)
    }
}
