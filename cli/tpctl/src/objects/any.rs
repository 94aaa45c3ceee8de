//! One object-safe face for the typed clients of all kinds.

use api::json::{FieldValidation, decode};
use api::meta::v1::{CreateOptions, DeleteOptions, ListOptions, ObjectMeta, PatchOptions};
use api::{Error, KindInfo, KindVisitor, Resource};
use async_trait::async_trait;
use client::{Api, Client, Patch, WatchEvent, WatchStream};
use serde_json::Value;
use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Objects in one page of a list, kubectl's number.
const PAGE: i64 = 500;

/// An object of any kind. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Object(Arc<dyn AnyResource>);

trait AnyResource: Debug + Send + Sync {
    fn info(&self) -> &'static KindInfo;
    fn metadata(&self) -> &ObjectMeta;
    fn json(&self) -> Value;
    fn as_any(&self) -> &dyn Any;
}

impl<K: Resource> AnyResource for K {
    fn info(&self) -> &'static KindInfo {
        K::INFO
    }

    fn metadata(&self) -> &ObjectMeta {
        Resource::metadata(self)
    }

    fn json(&self) -> Value {
        serde_json::to_value(self).expect("every object has a JSON form")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object {
    /// An object whose kind is known.
    pub(crate) fn of<K: Resource>(object: K) -> Object {
        Object(Arc::new(object))
    }

    /// The names of its kind.
    pub(crate) fn info(&self) -> &'static KindInfo {
        self.0.info()
    }

    /// Name, namespace, labels.
    pub(crate) fn metadata(&self) -> &ObjectMeta {
        self.0.metadata()
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.metadata().name
    }

    /// Kubernetes' JSON.
    pub(crate) fn json(&self) -> Value {
        self.0.json()
    }

    /// The typed object, if it is of this kind.
    pub(crate) fn typed<K: Resource>(&self) -> Option<&K> {
        self.0.as_any().downcast_ref()
    }

    /// `pod/web`, `deployment.apps/web`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", type_name(self.info()), self.name())
    }
}

/// `pod`, `deployment.apps`: how kubectl names the type of one object.
fn type_name(info: &KindInfo) -> String {
    if info.group.is_empty() { info.singular.to_owned() } else { format!("{}.{}", info.singular, info.group) }
}

/// A change of an object, or a word about the watch itself.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The object exists since now.
    Added(Object),
    /// The object changed.
    Modified(Object),
    /// The object is gone; its last state.
    Deleted(Object),
    /// Nothing else happened up to this revision.
    Bookmark(String),
}

/// A watch of one kind.
#[async_trait]
pub(crate) trait Changes: Send {
    /// As `client::WatchStream::next`.
    async fn next(&mut self) -> Option<Result<Change, Error>>;
}

/// The objects of one kind. `namespace` is empty for cluster-wide kinds and, in lists and watches, for all namespaces.
#[async_trait]
pub(crate) trait ObjectApi: Send + Sync {
    /// One object.
    async fn get(&self, namespace: &str, name: &str) -> Result<Object, Error>;
    /// All objects that the options select, page by page, and the list's revision.
    async fn list(&self, namespace: &str, options: ListOptions) -> Result<(Vec<Object>, String), Error>;
    /// The changes after the options' revision.
    async fn watch(&self, namespace: &str, options: ListOptions) -> Result<Box<dyn Changes>, Error>;
    /// Stores a new object.
    async fn create(&self, namespace: &str, object: &Object, options: CreateOptions) -> Result<Object, Error>;
    /// Changes an object or, with a subresource, a part of it.
    async fn patch(&self, namespace: &str, name: &str, patch: &Patch, options: PatchOptions) -> Result<Object, Error>;
    /// Deletes an object.
    async fn delete(&self, namespace: &str, name: &str, options: DeleteOptions) -> Result<Object, Error>;
    /// Reads an object; unknown fields are an error.
    fn decode(&self, document: Value) -> Result<Object, Error>;
}

/// The objects of a kind, through a client, each request within `timeout`.
pub(crate) fn api_of(kind: &KindInfo, client: Client, timeout: Option<Duration>) -> Box<dyn ObjectApi> {
    struct Make {
        client: Client,
        timeout: Option<Duration>,
    }
    impl KindVisitor for Make {
        type Output = Box<dyn ObjectApi>;
        fn visit<K: Resource>(self) -> Self::Output {
            Box::new(Typed { api: Api::<K>::all(self.client), timeout: self.timeout })
        }
    }
    api::visit_kind(kind, Make { client, timeout }).expect("every KindInfo belongs to a served kind")
}

struct Typed<K> {
    api: Api<K>,
    timeout: Option<Duration>,
}

impl<K: Resource> Typed<K> {
    async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match self.timeout {
            None => call.await,
            Some(timeout) => tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
                Err(Error::timeout(format!("the server did not answer within {timeout:?} (--request-timeout)")))
            }),
        }
    }
}

fn wrong_kind<K: Resource>(object: &Object) -> Error {
    Error::bad_request(format!("a {} is not a {}", object.info().kind, K::INFO.kind))
}

#[async_trait]
impl<K: Resource> ObjectApi for Typed<K> {
    async fn get(&self, namespace: &str, name: &str) -> Result<Object, Error> {
        self.within(self.api.within(namespace).get(name)).await.map(Object::of)
    }

    async fn list(&self, namespace: &str, options: ListOptions) -> Result<(Vec<Object>, String), Error> {
        let api = self.api.within(namespace);
        let (mut items, mut next) = (Vec::new(), ListOptions { limit: PAGE, ..options });
        loop {
            let page = self.within(api.list(next.clone())).await?;
            items.extend(page.items.into_iter().map(Object::of));
            if page.metadata.r#continue.is_empty() {
                return Ok((items, page.metadata.resource_version));
            }
            next.r#continue = page.metadata.r#continue;
        }
    }

    async fn watch(&self, namespace: &str, options: ListOptions) -> Result<Box<dyn Changes>, Error> {
        let events = self.within(self.api.within(namespace).watch(options)).await?;
        Ok(Box::new(TypedChanges(events)))
    }

    async fn create(&self, namespace: &str, object: &Object, options: CreateOptions) -> Result<Object, Error> {
        let typed = object.typed::<K>().ok_or_else(|| wrong_kind::<K>(object))?;
        self.within(self.api.within(namespace).create_with(typed, options)).await.map(Object::of)
    }

    async fn patch(&self, namespace: &str, name: &str, patch: &Patch, options: PatchOptions) -> Result<Object, Error> {
        self.within(self.api.within(namespace).patch_with(name, patch, "", options)).await.map(Object::of)
    }

    async fn delete(&self, namespace: &str, name: &str, options: DeleteOptions) -> Result<Object, Error> {
        self.within(self.api.within(namespace).delete(name, options)).await.map(Object::of)
    }

    fn decode(&self, document: Value) -> Result<Object, Error> {
        decode::<K>(document, FieldValidation::Strict).map(|(object, _)| Object::of(object))
    }
}

struct TypedChanges<K: Resource>(WatchStream<K>);

#[async_trait]
impl<K: Resource> Changes for TypedChanges<K> {
    async fn next(&mut self) -> Option<Result<Change, Error>> {
        let object = |object: Arc<K>| Object(object);
        Some(self.0.next().await?.map(|event| match event {
            WatchEvent::Added(added, _) => Change::Added(object(added)),
            WatchEvent::Modified(modified, _) => Change::Modified(object(modified)),
            WatchEvent::Deleted(deleted, _) => Change::Deleted(object(deleted)),
            WatchEvent::Bookmark { resource_version, .. } => Change::Bookmark(resource_version),
        }))
    }
}
