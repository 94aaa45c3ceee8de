//! Namespaces.

use crate::core::v1::Namespace;
use crate::field::{ErrorList, FieldError, Path};
use crate::names::{self, NameRule};

use super::{metadata, named};

/// Checks a new Namespace.
pub fn create(namespace: &Namespace) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&namespace.metadata, false, NameRule::Label, &mut errors);
    for finalizer in &namespace.spec.finalizers {
        finalizer_name(finalizer, &Path::new("spec.finalizers"), &mut errors);
    }
    errors
}

/// Checks a change of a Namespace.
pub fn update(new: &Namespace, old: &Namespace) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    errors
}

/// Checks a change of a Namespace's status, which follows its deletion.
pub fn status_update(new: &Namespace, old: &Namespace) -> ErrorList {
    let mut errors = update(new, old);
    let phase = new.status.phase.as_str();
    let detail = match (new.metadata.deletion_timestamp.is_some(), phase) {
        (false, "Active") | (true, "Terminating") => return errors,
        (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    errors.push(FieldError::invalid(&Path::new("status.Phase"), phase, detail));
    errors
}

/// Checks a change of what must happen before a Namespace may go.
pub fn finalize_update(new: &Namespace, old: &Namespace) -> ErrorList {
    let mut errors = update(new, old);
    for (index, finalizer) in new.spec.finalizers.iter().enumerate() {
        finalizer_name(finalizer, &Path::new("spec.finalizers").index(index), &mut errors);
    }
    errors
}

fn finalizer_name(finalizer: &str, path: &Path, errors: &mut ErrorList) {
    named(finalizer, names::qualified_name, path, errors);
    metadata::known_finalizer(finalizer, path, errors);
}
