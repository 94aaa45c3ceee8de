//! Priority classes and runtime classes.

use super::resource_list;
use crate::node::v1::RuntimeClass;
use crate::scheduling::v1::PriorityClass;

/// Sets the defaults of a PriorityClass.
pub fn priority_class(class: &mut PriorityClass) {
    class.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
}

/// Sets the defaults of a RuntimeClass.
pub fn runtime_class(class: &mut RuntimeClass) {
    if let Some(overhead) = &mut class.overhead {
        resource_list(&mut overhead.pod_fixed);
    }
}
