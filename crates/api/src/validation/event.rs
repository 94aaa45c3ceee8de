//! Events.

use crate::core::v1::Event;
use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;

use super::metadata;

/// Checks a new Event.
pub fn create(event: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&event.metadata, true, NameRule::Subdomain, &mut errors);
    namespace(event, &mut errors);
    errors
}

/// Checks a change of an Event, such as a higher count.
pub fn update(new: &Event, old: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    namespace(new, &mut errors);
    errors
}

/// An event lies beside its object. Objects without a namespace have theirs in `default`.
fn namespace(event: &Event, errors: &mut ErrorList) {
    let of_object = event.involved_object.namespace.as_str();
    let fits = match of_object {
        "" => ["", "default"].contains(&event.metadata.namespace.as_str()),
        of_object => event.metadata.namespace == of_object,
    };
    if !fits {
        let path = Path::new("involvedObject.namespace");
        errors.push(FieldError::invalid(&path, of_object, "does not match event.namespace"));
    }
}
