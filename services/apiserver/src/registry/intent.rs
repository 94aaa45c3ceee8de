//! The annotation `tracing.k8s.io/traceparent` (KEP-5915): which trace last decided what the object shall be.
//!
//! | who writes | change | the annotation becomes |
//! |---|---|---|
//! | a user | a create, or another intent | this request's context |
//! | a user | nothing of the intent | what it was: an old manifest must not bring an old trace back |
//! | a component | any | what it sent, if that is new; otherwise as for a user |
//!
//! Status, heartbeats, leases and events never come here. An untraced change of intent takes the annotation away, because the trace
//! that it names did not decide this any more.

use api::meta::v1::ObjectMeta;
use telemetry::{TRACEPARENT_ANNOTATION, TraceContext};

use crate::request::UserInfo;

/// Annotates a new object.
pub(super) fn on_create(metadata: &mut ObjectMeta, user: &UserInfo, current: &TraceContext) {
    if !(user.is_component() && metadata.annotations.contains_key(TRACEPARENT_ANNOTATION)) {
        set(metadata, current);
    }
}

/// Annotates an update.
pub(super) fn on_update(
    new: &mut ObjectMeta,
    old: &ObjectMeta,
    changes_intent: bool,
    user: &UserInfo,
    current: &TraceContext,
) {
    let (sent, before) = (new.annotations.get(TRACEPARENT_ANNOTATION), old.annotations.get(TRACEPARENT_ANNOTATION));
    if user.is_component() && sent.is_some() && sent != before {
        return;
    }
    if changes_intent {
        return set(new, current);
    }
    match before {
        Some(before) => new.annotations.insert(TRACEPARENT_ANNOTATION.to_owned(), before.clone()),
        None => new.annotations.remove(TRACEPARENT_ANNOTATION),
    };
}

/// Annotates an object that is to be deleted: from here on, all that happens to it happens because of that.
pub(super) fn on_delete(metadata: &mut ObjectMeta, current: &TraceContext) {
    set(metadata, current);
}

fn set(metadata: &mut ObjectMeta, current: &TraceContext) {
    if current.is_sampled() {
        metadata.annotations.insert(TRACEPARENT_ANNOTATION.to_owned(), current.traceparent());
    } else {
        metadata.annotations.remove(TRACEPARENT_ANNOTATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OLD: &str = "00-11111111111111111111111111111111-2222222222222222-01";
    const SENT: &str = "00-33333333333333333333333333333333-4444444444444444-01";

    fn metadata(annotation: Option<&str>) -> ObjectMeta {
        let annotations = annotation.map(|value| (TRACEPARENT_ANNOTATION.to_owned(), value.to_owned()));
        ObjectMeta { annotations: annotations.into_iter().collect(), ..Default::default() }
    }

    fn user(name: &str) -> UserInfo {
        UserInfo { name: name.to_owned(), groups: Vec::new() }
    }

    #[test]
    fn the_annotation_names_whoever_decided() {
        let here = TraceContext::parse(HERE, "");
        let (person, component) = (user("alice"), user("system:kube-controller-manager"));
        let table = [
            ("a user's change", &person, Some(OLD), Some(OLD), true, Some(HERE)),
            ("a user applies an exported manifest", &person, Some(SENT), Some(OLD), true, Some(HERE)),
            ("a user changes a label", &person, None, Some(OLD), false, Some(OLD)),
            ("a user's old manifest, nothing new", &person, Some(SENT), Some(OLD), false, Some(OLD)),
            ("a component passes its cause on", &component, Some(SENT), Some(OLD), true, Some(SENT)),
            ("a component decides and says nothing", &component, Some(OLD), Some(OLD), true, Some(HERE)),
            ("a component adds a finalizer", &component, Some(OLD), Some(OLD), false, Some(OLD)),
        ];
        for (case, who, sent, before, changes, expected) in table {
            let mut new = metadata(sent);
            on_update(&mut new, &metadata(before), changes, who, &here);
            assert_eq!(new.annotations.get(TRACEPARENT_ANNOTATION).map(String::as_str), expected, "{case}");
        }
    }

    #[test]
    fn a_create_is_annotated_unless_a_controller_did_it() {
        let here = TraceContext::parse(HERE, "");
        let table = [
            (user("alice"), Some(OLD), here.clone(), Some(HERE)),
            (user("alice"), Some(OLD), TraceContext::NONE, None),
            (user("system:kube-scheduler"), Some(SENT), here.clone(), Some(SENT)),
            (user("system:kube-scheduler"), None, here, Some(HERE)),
        ];
        for (who, sent, current, expected) in table {
            let mut new = metadata(sent);
            on_create(&mut new, &who, &current);
            assert_eq!(new.annotations.get(TRACEPARENT_ANNOTATION).map(String::as_str), expected, "{who:?}");
        }
    }
}
