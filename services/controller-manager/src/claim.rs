//! Adoption and release: which of the objects that a selector finds belong to an owner.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions>
//!
//! An object has at most one controller, known by its uid. One without, that the selector finds, is adopted; one of ours that the selector
//! finds no more is released. Invariant: before an adoption the owner is read from the apiserver itself, since a cache may still show an
//! owner that is being deleted, or was made anew under its name.

use api::controller_ref::{controller_of, controller_ref};
use api::meta::v1::ObjectMeta;
use api::selector::label::Selector;
use api::{Error, Resource};
use client::Api;
use controller::Cache;
use std::sync::Arc;
use tracing::debug;

/// Name of the index that [`by_controller`] makes.
pub const CONTROLLER: &str = "controller";

/// Values of the index: the uid of an object's controller or, for an object without one, its namespace.
pub fn by_controller<K: Resource>(object: &K) -> Vec<String> {
    vec![match controller_of(object.metadata()) {
        Some(owner) => owner.uid.clone(),
        None => orphans_of(&object.metadata().namespace),
    }]
}

/// The objects that `owner` controls.
pub fn controlled<K: Resource>(cache: &Cache<K>, owner: &ObjectMeta) -> Vec<Arc<K>> {
    cache.by_index(CONTROLLER, &owner.uid)
}

/// The objects that `owner` controls or might adopt.
pub fn candidates<K: Resource>(cache: &Cache<K>, owner: &ObjectMeta) -> Vec<Arc<K>> {
    let mut found = controlled(cache, owner);
    found.extend(cache.by_index(CONTROLLER, &orphans_of(&owner.namespace)));
    found
}

fn orphans_of(namespace: &str) -> String {
    // No uid begins so.
    format!("/{namespace}")
}

/// How an object stands to an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It is the owner's.
    Mine,
    /// It shall become the owner's.
    Adopt,
    /// It is the owner's and shall not be any more.
    Release,
    /// It is none of the owner's business.
    Foreign,
}

/// Decides how an object stands to an owner.
pub fn tie(owner: &ObjectMeta, selector: &Selector, object: &ObjectMeta) -> Tie {
    let owner_goes = owner.deletion_timestamp.is_some();
    let selected = selector.matches(&object.labels);
    match controller_of(object) {
        Some(reference) if reference.uid != owner.uid => Tie::Foreign,
        Some(_) if selected => Tie::Mine,
        Some(_) if owner_goes => Tie::Foreign,
        Some(_) => Tie::Release,
        None if !selected || owner_goes => Tie::Foreign,
        None if object.deletion_timestamp.is_some() || object.namespace != owner.namespace => Tie::Foreign,
        None => Tie::Adopt,
    }
}

/// Adopts and releases; returns the owner's.
///
/// # Errors
/// The apiserver's. What was changed before stays changed.
pub async fn claim<O: Resource, K: Resource>(
    owner: &O,
    owners: &Api<O>,
    objects: &Api<K>,
    candidates: Vec<Arc<K>>,
    selector: &Selector,
) -> Result<Vec<Arc<K>>, Error> {
    let meta = owner.metadata();
    let mut mine = Vec::with_capacity(candidates.len());
    let mut confirmed = None;
    for object in candidates {
        match tie(meta, selector, object.metadata()) {
            Tie::Mine => mine.push(object),
            Tie::Foreign => {}
            Tie::Release => release(meta, objects, &object).await?,
            Tie::Adopt => {
                if confirmed.is_none() {
                    confirmed = Some(is_still_there(meta, owners).await?);
                }
                if confirmed == Some(true) {
                    mine.extend(adopt(owner, objects, &object).await?);
                }
            }
        }
    }
    Ok(mine)
}

async fn is_still_there<O: Resource>(owner: &ObjectMeta, owners: &Api<O>) -> Result<bool, Error> {
    match owners.within(&owner.namespace).get(&owner.name).await {
        Ok(live) => Ok(live.metadata().uid == owner.uid && live.metadata().deletion_timestamp.is_none()),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn adopt<O: Resource, K: Resource>(owner: &O, objects: &Api<K>, object: &K) -> Result<Option<Arc<K>>, Error> {
    let mut adopted = object.clone();
    adopted.metadata_mut().owner_references.push(controller_ref(owner));
    debug!(kind = K::INFO.kind, name = adopted.metadata().name, owner = owner.metadata().name, "adopting");
    // The resourceVersion in it makes sure that nobody else was faster.
    match objects.update(&adopted).await {
        Ok(stored) => Ok(Some(Arc::new(stored))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn release<K: Resource>(owner: &ObjectMeta, objects: &Api<K>, object: &K) -> Result<(), Error> {
    let mut released = object.clone();
    released.metadata_mut().owner_references.retain(|reference| reference.uid != owner.uid);
    debug!(kind = K::INFO.kind, name = released.metadata().name, owner = owner.name, "releasing");
    match objects.update(&released).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Pod;

    #[test]
    fn w6_an_object_without_controller_is_adopted_and_one_that_left_is_released() {
        let web = Selector::from_labels(&[("app".to_owned(), "web".to_owned())].into());
        let mut owner = api::apps::v1::ReplicaSet::default();
        owner.metadata.uid = "me".to_owned();
        owner.metadata.namespace = "default".to_owned();
        let object = |app: &str, controller: &str, deleting: bool| {
            let mut pod = Pod::default();
            pod.metadata.namespace = "default".to_owned();
            pod.metadata.labels.insert("app".to_owned(), app.to_owned());
            if !controller.is_empty() {
                let mut other = owner.clone();
                other.metadata.uid = controller.to_owned();
                pod.metadata.owner_references.push(controller_ref(&other));
            }
            pod.metadata.deletion_timestamp = deleting.then(|| jiff::Timestamp::UNIX_EPOCH.into());
            pod.metadata
        };
        let table = [
            (object("web", "me", false), Tie::Mine, Tie::Mine),
            (object("web", "me", true), Tie::Mine, Tie::Mine),
            (object("web", "other", false), Tie::Foreign, Tie::Foreign),
            (object("api", "me", false), Tie::Release, Tie::Foreign),
            (object("web", "", false), Tie::Adopt, Tie::Foreign),
            (object("web", "", true), Tie::Foreign, Tie::Foreign),
            (object("api", "", false), Tie::Foreign, Tie::Foreign),
        ];
        for (object, alive, deleting) in table {
            let mut meta = owner.metadata.clone();
            assert_eq!(tie(&meta, &web, &object), alive, "{object:?}");
            meta.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
            assert_eq!(tie(&meta, &web, &object), deleting, "a deleted owner and {object:?}");
        }
    }
}
