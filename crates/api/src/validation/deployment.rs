//! Deployments.

use crate::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::intstr::IntOrString;
use crate::names::NameRule;

use super::{at_most_all, immutable, int_or_percent, metadata, non_negative, replica_set};

/// Checks a new Deployment.
pub fn create(deployment: &Deployment) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&deployment.metadata, true, NameRule::Subdomain, &mut errors);
    spec(&deployment.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a Deployment.
pub fn update(new: &Deployment, old: &Deployment) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    spec(&new.spec, &path, &mut errors);
    immutable(&new.spec.selector, &old.spec.selector, &path.child("selector"), &mut errors);
    errors
}

/// Checks a change of a Deployment's status.
pub fn status_update(new: &Deployment, old: &Deployment) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    let (path, status) = (Path::new("status"), &new.status);
    non_negative(status.observed_generation, &path.child("observedGeneration"), &mut errors);
    let counts = replica_set::Counts {
        replicas: status.replicas,
        parts: &[
            ("updatedReplicas", status.updated_replicas),
            ("readyReplicas", status.ready_replicas),
            ("availableReplicas", status.available_replicas),
        ],
        ready: status.ready_replicas,
        available: status.available_replicas,
    };
    replica_set::counts(&counts, &path, &mut errors);
    non_negative(status.unavailable_replicas.into(), &path.child("unavailableReplicas"), &mut errors);
    let collisions = path.child("collisionCount");
    non_negative(status.collision_count.unwrap_or_default().into(), &collisions, &mut errors);
    if status.collision_count < old.status.collision_count {
        let shown = status.collision_count.unwrap_or_default();
        errors.push(FieldError::invalid(&collisions, shown, "cannot be decremented"));
    }
    errors
}

fn spec(spec: &DeploymentSpec, path: &Path, errors: &mut ErrorList) {
    non_negative(spec.replicas.unwrap_or_default().into(), &path.child("replicas"), errors);
    replica_set::selector_and_template(spec.selector.as_ref(), &spec.template, path, errors);
    strategy(&spec.strategy, &path.child("strategy"), errors);
    non_negative(spec.min_ready_seconds.into(), &path.child("minReadySeconds"), errors);
    let history = spec.revision_history_limit.unwrap_or_default();
    non_negative(history.into(), &path.child("revisionHistoryLimit"), errors);
    if let Some(seconds) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        non_negative(seconds.into(), &path, errors);
        if seconds <= spec.min_ready_seconds {
            errors.push(FieldError::invalid(&path, seconds, "must be greater than minReadySeconds"));
        }
    }
}

fn strategy(strategy: &DeploymentStrategy, path: &Path, errors: &mut ErrorList) {
    let rolling_path = path.child("rollingUpdate");
    match (strategy.r#type.as_str(), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&rolling_path, detail));
        }
        ("Recreate", None) => {}
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &rolling_path, errors),
        ("RollingUpdate", None) => {
            errors.push(FieldError::required(&rolling_path, "this should be defaulted and never be nil"));
        }
        (other, _) => {
            errors.push(FieldError::not_supported(&path.child("type"), other, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn rolling_update(rolling: &RollingUpdateDeployment, path: &Path, errors: &mut ErrorList) {
    let zero = IntOrString::default();
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
    let unavailable_path = path.child("maxUnavailable");
    int_or_percent(unavailable, &unavailable_path, errors);
    int_or_percent(surge, &path.child("maxSurge"), errors);
    let is_none = |value: &IntOrString| value.as_percent().or(value.as_int()) == Some(0);
    if is_none(unavailable) && is_none(surge) {
        // Nothing could ever be replaced.
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(&unavailable_path, Json(unavailable), detail));
    }
    at_most_all(unavailable, &unavailable_path, errors);
}
