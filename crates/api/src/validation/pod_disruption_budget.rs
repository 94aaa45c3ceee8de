//! PodDisruptionBudgets.

use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names::NameRule;
use crate::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};

use super::{at_most_all, int_or_percent, metadata, non_negative, one_of, selector};

/// Checks a new PodDisruptionBudget.
pub fn create(budget: &PodDisruptionBudget) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&budget.metadata, true, NameRule::Subdomain, &mut errors);
    spec(&budget.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a PodDisruptionBudget.
pub fn update(new: &PodDisruptionBudget, old: &PodDisruptionBudget) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    spec(&new.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a PodDisruptionBudget's status.
pub fn status_update(new: &PodDisruptionBudget, old: &PodDisruptionBudget) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    let status = &new.status;
    let counts = [
        ("disruptionsAllowed", status.disruptions_allowed),
        ("currentHealthy", status.current_healthy),
        ("desiredHealthy", status.desired_healthy),
        ("expectedPods", status.expected_pods),
    ];
    for (field, count) in counts {
        non_negative(count.into(), &Path::new("status").child(field), &mut errors);
    }
    errors
}

fn spec(spec: &PodDisruptionBudgetSpec, path: &Path, errors: &mut ErrorList) {
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid(path, Json(spec), detail));
    }
    for (field, value) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        if let Some(value) = value {
            int_or_percent(value, &path.child(field), errors);
            at_most_all(value, &path.child(field), errors);
        }
    }
    if let Some(labels) = &spec.selector {
        selector::label_selector(labels, &path.child("selector"), errors);
    }
    if let Some(policy) = &spec.unhealthy_pod_eviction_policy {
        let policies = ["AlwaysAllow", "IfHealthyBudget"];
        one_of(policy, &policies, &path.child("unhealthyPodEvictionPolicy"), errors);
    }
}
