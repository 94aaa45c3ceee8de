//! The seam to admission: what the registry shows of a request, and when it asks.
//!
//! The registry calls [`Admission::admit`] before it prepares and validates an object, which is where plugins may still change it, and
//! [`Admission::validate`] afterwards, on exactly what will be stored. An update is admitted again whenever it is retried on a newer state
//! of the object. The plugins, their order and their spans belong to the implementation (`crate::admission`).

use std::any::Any;

use api::meta::v1::ObjectMeta;
use api::{Error, KindInfo, Resource};
use async_trait::async_trait;

use crate::request::RequestContext;

/// What a request does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of one that exists: update, patch, status.
    Update,
    /// A deletion, graceful or not.
    Delete,
    /// A request to a subresource that changes no object of its own kind, such as a pod's binding.
    Connect,
}

/// What is known about the object in a request. `Debug` leaves the objects out: they may be secrets.
pub struct Attributes<'a> {
    /// What is done.
    pub operation: Operation,
    /// The kind of the object.
    pub kind: &'static KindInfo,
    /// Empty for cluster-wide kinds.
    pub namespace: &'a str,
    /// Empty for a create whose name is yet to be generated.
    pub name: &'a str,
    /// `status`, `binding`, or empty.
    pub subresource: &'static str,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// The object as it shall be; plugins may change it in [`Admission::admit`]. None for a delete.
    pub object: Option<&'a mut dyn AnyObject>,
    /// The object as it is. None for a create.
    pub old_object: Option<&'a dyn AnyObject>,
}

impl<'a> Attributes<'a> {
    /// A request about an object of kind `K`; the objects and the rest are set by whoever has them.
    pub fn new<K: Resource>(operation: Operation, namespace: &'a str, name: &'a str) -> Self {
        let (subresource, dry_run) = ("", false);
        Self { operation, kind: K::INFO, namespace, name, subresource, dry_run, object: None, old_object: None }
    }
}

impl std::fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, kind, namespace, name, subresource, dry_run, .. } = self;
        f.debug_struct("Attributes")
            .field("operation", operation)
            .field("kind", &kind.kind)
            .field("namespace", namespace)
            .field("name", name)
            .field("subresource", subresource)
            .field("dry_run", dry_run)
            .finish_non_exhaustive()
    }
}

/// An object of any kind: plugins that care about one kind ask for it by [`dyn AnyObject::downcast_ref`].
pub trait AnyObject: Any + Send + Sync {
    /// Its metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// Its metadata, to change it.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// For [`dyn AnyObject::downcast_ref`].
    fn as_any(&self) -> &dyn Any;
    /// For [`dyn AnyObject::downcast_mut`].
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<K: Resource> AnyObject for K {
    fn metadata(&self) -> &ObjectMeta {
        Resource::metadata(self)
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        Resource::metadata_mut(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl dyn AnyObject {
    /// The object, if it is of kind `K`.
    pub fn downcast_ref<K: Resource>(&self) -> Option<&K> {
        self.as_any().downcast_ref()
    }

    /// The object to change, if it is of kind `K`.
    pub fn downcast_mut<K: Resource>(&mut self) -> Option<&mut K> {
        self.as_any_mut().downcast_mut()
    }
}

/// Decides whether a request may be carried out, and may change the object first.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Runs after defaults, before preparation and validation. May change `attributes.object`. An error refuses the request.
    async fn admit(&self, ctx: &RequestContext, attributes: &mut Attributes<'_>) -> Result<(), Error>;

    /// Runs on what will be stored, just before it is. Must not change it. An error refuses the request.
    async fn validate(&self, ctx: &RequestContext, attributes: &Attributes<'_>) -> Result<(), Error>;
}

/// Admits everything, for tests and for a registry's own housekeeping.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

#[async_trait]
impl Admission for AdmitAll {
    async fn admit(&self, _: &RequestContext, _: &mut Attributes<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn validate(&self, _: &RequestContext, _: &Attributes<'_>) -> Result<(), Error> {
        Ok(())
    }
}
