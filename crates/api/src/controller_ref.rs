//! Owner references: who made an object, and who manages it.
//!
//! Any number of owners keep an object alive, but at most one of them is its controller. An owner is known by
//! its uid, since a name may come back on another object. See
//! [owners and dependents](https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/).

use crate::Resource;
use crate::meta::v1::{ObjectMeta, OwnerReference};

/// Makes the reference to `owner` as the controller of an object; the owner's deletion in the foreground waits for
/// the object.
pub fn controller_ref<K: Resource>(owner: &K) -> OwnerReference {
    OwnerReference { controller: Some(true), block_owner_deletion: Some(true), ..owner_ref(owner) }
}

/// Makes the reference to `owner` as one of the owners of an object.
pub fn owner_ref<K: Resource>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::INFO.api_version().into_owned(),
        kind: K::INFO.kind.to_owned(),
        name: owner.metadata().name.clone(),
        uid: owner.metadata().uid.clone(),
        ..OwnerReference::default()
    }
}

/// Returns the reference to the controller of an object.
pub fn controller_of(object: &ObjectMeta) -> Option<&OwnerReference> {
    object.owner_references.iter().find(|owner| owner.controller == Some(true))
}

/// True if `owner` is the controller of an object.
pub fn is_controlled_by(object: &ObjectMeta, owner: &ObjectMeta) -> bool {
    controller_of(object).is_some_and(|reference| reference.uid == owner.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::v1::ReplicaSet;

    #[test]
    fn the_controller_is_found_by_uid() {
        let mut owner = ReplicaSet::default();
        owner.metadata.name = "web-abc".into();
        owner.metadata.uid = "u1".into();
        let reference = controller_ref(&owner);
        assert_eq!((reference.api_version.as_str(), reference.kind.as_str()), ("apps/v1", "ReplicaSet"));

        let object = ObjectMeta { owner_references: vec![owner_ref(&owner), reference], ..Default::default() };
        assert_eq!(controller_of(&object).map(|r| r.name.as_str()), Some("web-abc"));
        assert!(is_controlled_by(&object, &owner.metadata));
        owner.metadata.uid = "u2".into();
        assert!(!is_controlled_by(&object, &owner.metadata));
        assert_eq!(controller_of(&ObjectMeta::default()), None);
    }
}
