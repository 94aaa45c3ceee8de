//! ControllerRevisions: snapshots that never change.

use crate::apps::v1::ControllerRevision;
use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;

use super::{immutable, metadata, non_negative};

/// Checks a new ControllerRevision.
pub fn create(revision: &ControllerRevision) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&revision.metadata, true, NameRule::Subdomain, &mut errors);
    contents(revision, &mut errors);
    errors
}

/// Checks a change of a ControllerRevision, whose data is fixed.
pub fn update(new: &ControllerRevision, old: &ControllerRevision) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    contents(new, &mut errors);
    immutable(&new.data, &old.data, &Path::new("data"), &mut errors);
    errors
}

fn contents(revision: &ControllerRevision, errors: &mut ErrorList) {
    if revision.data.raw.is_empty() {
        errors.push(FieldError::required(&Path::new("data"), "data is mandatory"));
    }
    non_negative(revision.revision, &Path::new("revision"), errors);
}
