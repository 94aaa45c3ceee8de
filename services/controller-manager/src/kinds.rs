//! Kinds whose types are known only at run time, for controllers that work on all of them.

use api::meta::v1::{DeleteOptions, ObjectMeta};
use api::{Error, KindInfo, KindVisitor, Resource, visit_kind};
use client::{Api, Client, Patch};
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::sync::Arc;

/// The objects of one kind. Of an object only the metadata is known.
pub trait Objects: Debug + Send + Sync {
    /// The kind.
    fn info(&self) -> &'static KindInfo;

    /// An object's metadata, as new as etcd has it.
    fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<ObjectMeta, Error>>;

    /// Deletes an object.
    fn delete<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        options: DeleteOptions,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Changes an object (not its status).
    fn patch<'a>(&'a self, namespace: &'a str, name: &'a str, patch: &'a Patch) -> BoxFuture<'a, Result<(), Error>>;
}

/// The objects of a kind; `None` for a kind that is not served.
pub fn objects(kind: &KindInfo, client: &Client) -> Option<Arc<dyn Objects>> {
    struct Typing<'a>(&'a Client);
    impl KindVisitor for Typing<'_> {
        type Output = Arc<dyn Objects>;
        fn visit<K: Resource>(self) -> Self::Output {
            Arc::new(Typed(Api::<K>::all(self.0.clone())))
        }
    }
    visit_kind(kind, Typing(client))
}

/// The kind of an owner reference's `apiVersion` and `kind`; `None` for one that is not served.
pub fn kind_of(api_version: &str, kind: &str) -> Option<&'static KindInfo> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    api::KINDS.iter().copied().find(|info| info.kind == kind && info.group == group)
}

#[derive(Debug)]
struct Typed<K>(Api<K>);

impl<K: Resource> Objects for Typed<K> {
    fn info(&self) -> &'static KindInfo {
        K::INFO
    }

    fn get<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<ObjectMeta, Error>> {
        Box::pin(async move { Ok(self.0.within(namespace).get(name).await?.metadata().clone()) })
    }

    fn delete<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        options: DeleteOptions,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.0.within(namespace).delete(name, options).await.map(drop) })
    }

    fn patch<'a>(&'a self, namespace: &'a str, name: &'a str, patch: &'a Patch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.0.within(namespace).patch(name, patch).await.map(drop) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_kind_by_group_and_kind_whatever_its_version() {
        assert_eq!(kind_of("v1", "Pod").map(|info| info.plural), Some("pods"));
        assert_eq!(kind_of("apps/v1", "ReplicaSet").map(|info| info.plural), Some("replicasets"));
        assert_eq!(kind_of("apps/v1beta2", "ReplicaSet").map(|info| info.plural), Some("replicasets"));
        assert_eq!(kind_of("v1", "ReplicaSet"), None);
        assert_eq!(kind_of("example.com/v1", "Pod"), None);
    }
}
