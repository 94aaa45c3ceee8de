//! PodDisruptionBudgets, PriorityClasses and RuntimeClasses: how pods are treated.

use api::field::ErrorList;
use api::node::v1::RuntimeClass;
use api::policy::v1::PodDisruptionBudget;
use api::scheduling::v1::PriorityClass;
use api::{defaults, validation};

use crate::registry::strategy::Strategy;

/// The rules of PodDisruptionBudgets.
pub(crate) struct PodDisruptionBudgets;

impl Strategy<PodDisruptionBudget> for PodDisruptionBudgets {
    fn copy_status(&self, from: &PodDisruptionBudget, to: &mut PodDisruptionBudget) {
        to.status = from.status.clone();
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, budget: &PodDisruptionBudget) -> ErrorList {
        validation::pod_disruption_budget::create(budget)
    }

    fn validate_update(&self, new: &PodDisruptionBudget, old: &PodDisruptionBudget) -> ErrorList {
        validation::pod_disruption_budget::update(new, old)
    }

    fn validate_status_update(&self, new: &PodDisruptionBudget, old: &PodDisruptionBudget) -> ErrorList {
        validation::pod_disruption_budget::status_update(new, old)
    }
}

/// The rules of PriorityClasses.
pub(crate) struct PriorityClasses;

impl Strategy<PriorityClass> for PriorityClasses {
    fn set_defaults(&self, class: &mut PriorityClass) {
        defaults::priority_class(class);
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn validate(&self, class: &PriorityClass) -> ErrorList {
        validation::priority_class::create(class)
    }

    fn validate_update(&self, new: &PriorityClass, old: &PriorityClass) -> ErrorList {
        validation::priority_class::update(new, old)
    }
}

/// The rules of RuntimeClasses.
pub(crate) struct RuntimeClasses;

impl Strategy<RuntimeClass> for RuntimeClasses {
    fn set_defaults(&self, class: &mut RuntimeClass) {
        defaults::runtime_class(class);
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate(&self, class: &RuntimeClass) -> ErrorList {
        validation::runtime_class::create(class)
    }

    fn validate_update(&self, new: &RuntimeClass, old: &RuntimeClass) -> ErrorList {
        validation::runtime_class::update(new, old)
    }
}
