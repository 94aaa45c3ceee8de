//! PriorityClasses.

use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;
use crate::scheduling::v1::PriorityClass;

use super::{immutable, metadata, one_of};

/// What users may go up to; above are the system's own classes.
const HIGHEST_USER_PRIORITY: i32 = 1_000_000_000;
/// The classes that every cluster has.
const SYSTEM_CLASSES: &[(&str, i32)] =
    &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// Checks a new PriorityClass.
pub fn create(class: &PriorityClass) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&class.metadata, false, NameRule::Subdomain, &mut errors);
    contents(class, &mut errors);
    errors
}

/// Checks a change of a PriorityClass: what pods were placed by may not change under them.
pub fn update(new: &PriorityClass, old: &PriorityClass) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    if new.value != old.value {
        errors.push(FieldError::forbidden(&Path::new("value"), "may not be changed in an update."));
    }
    let policy = Path::new("preemptionPolicy");
    immutable(&new.preemption_policy, &old.preemption_policy, &policy, &mut errors);
    errors
}

fn contents(class: &PriorityClass, errors: &mut ErrorList) {
    let name = class.metadata.name.as_str();
    if name.starts_with("system-") {
        let why = match SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, value)) if *value != class.value => Some(format!("value of {name} PriorityClass must be {value}")),
            Some(_) if class.global_default => Some(format!("globalDefault of {name} PriorityClass must be false")),
            Some(_) => None,
        };
        if let Some(why) = why {
            let detail =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
            errors.push(FieldError::forbidden(&Path::new("metadata.name"), detail));
        }
    } else if class.value > HIGHEST_USER_PRIORITY {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        errors.push(FieldError::forbidden(&Path::new("value"), detail));
    }
    if let Some(policy) = &class.preemption_policy {
        one_of(policy, &["PreemptLowerPriority", "Never"], &Path::new("preemptionPolicy"), errors);
    }
}
