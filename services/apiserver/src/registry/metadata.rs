//! The metadata that the server owns: identity, times, generation. Pure.
//!
//! Identity is given once and never changes; deletion is asked for by deletes alone. What a client sends in these fields is ignored where
//! it repeats an old answer, and refused where it contradicts the object.

use api::meta::v1::ObjectMeta;
use api::{Error, KindInfo};
use jiff::Timestamp;

/// Makes the metadata of a new object out of what the client sent. The name may still be missing.
///
/// `uid`, `resourceVersion` and times are those of another life if a manifest was exported; the object starts anew.
pub(super) fn start(metadata: &mut ObjectMeta, now: Timestamp, uid: String) {
    metadata.uid = uid;
    metadata.resource_version.clear();
    metadata.self_link.clear();
    metadata.creation_timestamp = Some(now.into());
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    // Field managers belong to server-side apply, which is not served.
    metadata.managed_fields.clear();
    metadata.generation = 0;
}

/// Carries over what an update cannot change and need not repeat.
pub(super) fn carry_over(new: &mut ObjectMeta, old: &ObjectMeta) {
    if new.uid.is_empty() {
        new.uid.clone_from(&old.uid);
    }
    if new.creation_timestamp.is_none() {
        new.creation_timestamp = old.creation_timestamp;
    }
    // Whoever names no version means the one that there is.
    new.resource_version.clone_from(&old.resource_version);
    new.generation = old.generation;
    new.self_link.clear();
    new.managed_fields.clear();
    // A deletion cannot be taken back, and only a delete can ask for it or shorten it.
    new.deletion_timestamp = old.deletion_timestamp;
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
}

/// Makes the object's namespace that of the request.
///
/// # Errors
/// `BadRequest` if the two contradict each other.
pub(super) fn settle_namespace(kind: &KindInfo, metadata: &mut ObjectMeta, namespace: &str) -> Result<(), Error> {
    if !kind.namespaced {
        // What is ignored here may come from a client that adds its default namespace to everything.
        metadata.namespace.clear();
        return Ok(());
    }
    if metadata.namespace.is_empty() {
        metadata.namespace = namespace.to_owned();
    }
    if metadata.namespace.is_empty() {
        return Err(Error::bad_request("an empty namespace may not be set during creation"));
    }
    if !namespace.is_empty() && metadata.namespace != namespace {
        return Err(Error::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Makes the object's name that of the request.
///
/// # Errors
/// `BadRequest` if the two contradict each other.
pub(super) fn settle_name(metadata: &mut ObjectMeta, name: &str) -> Result<(), Error> {
    if metadata.name.is_empty() {
        metadata.name = name.to_owned();
    }
    if metadata.name.is_empty() {
        return Err(Error::bad_request("metadata.name: Required value: the object to change must be named"));
    }
    if !name.is_empty() && metadata.name != name {
        return Err(Error::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            metadata.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Resource;
    use api::core::v1::{Node, Pod};

    #[test]
    fn an_exported_manifest_starts_a_new_life() {
        let mut metadata = ObjectMeta {
            name: "web".to_owned(),
            uid: "old".to_owned(),
            resource_version: "7".to_owned(),
            generation: 4,
            deletion_timestamp: Some(Timestamp::UNIX_EPOCH.into()),
            deletion_grace_period_seconds: Some(30),
            ..Default::default()
        };
        start(&mut metadata, Timestamp::UNIX_EPOCH, "new".to_owned());
        let expected = ObjectMeta {
            name: "web".to_owned(),
            uid: "new".to_owned(),
            creation_timestamp: Some(Timestamp::UNIX_EPOCH.into()),
            ..Default::default()
        };
        assert_eq!(metadata, expected);
    }

    #[test]
    fn request_and_object_must_agree_on_where() {
        let table = [
            (Pod::INFO, "", "a", Ok("a")),
            (Pod::INFO, "a", "", Ok("a")),
            (Pod::INFO, "a", "a", Ok("a")),
            (Pod::INFO, "a", "b", Err(400)),
            (Pod::INFO, "", "", Err(400)),
            (Node::INFO, "a", "", Ok("")),
        ];
        for (kind, object, request, expected) in table {
            let mut metadata = ObjectMeta { namespace: object.to_owned(), ..Default::default() };
            let settled = settle_namespace(kind, &mut metadata, request).map_err(|error| error.code());
            assert_eq!(settled.map(|()| metadata.namespace.as_str()), expected, "{object:?} {request:?}");
        }
    }
}
