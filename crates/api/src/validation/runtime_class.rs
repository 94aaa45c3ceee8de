//! RuntimeClasses.

use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names::{self, NameRule};
use crate::node::v1::{RuntimeClass, Scheduling};

use super::{immutable, metadata, named, pod};

/// Checks a new RuntimeClass.
pub fn create(class: &RuntimeClass) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&class.metadata, false, NameRule::Subdomain, &mut errors);
    named(&class.handler, names::dns1123_label, &Path::new("handler"), &mut errors);
    if let Some(overhead) = &class.overhead {
        pod::limits_only(&overhead.pod_fixed, &Path::new("overhead"), &mut errors);
    }
    if let Some(one) = &class.scheduling {
        scheduling(one, &Path::new("scheduling"), &mut errors);
    }
    errors
}

/// Checks a change of a RuntimeClass.
pub fn update(new: &RuntimeClass, old: &RuntimeClass) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    immutable(&new.handler, &old.handler, &Path::new("handler"), &mut errors);
    errors
}

fn scheduling(scheduling: &Scheduling, path: &Path, errors: &mut ErrorList) {
    metadata::labels(&scheduling.node_selector, &path.child("nodeSelector"), errors);
    let path = path.child("tolerations");
    pod::tolerations(&scheduling.tolerations, &path, errors);
    for (index, toleration) in scheduling.tolerations.iter().enumerate() {
        if scheduling.tolerations[..index].contains(toleration) {
            errors.push(FieldError::duplicate(&path.index(index), Json(toleration)));
        }
    }
}
