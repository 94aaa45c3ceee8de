//! A kind, seen through a client.

use crate::call::Call;
use crate::{Client, WatchStream};
use api::core::v1::{Binding, Pod};
use api::meta::v1::{CreateOptions, DeleteOptions, GetOptions, ListOptions, PatchOptions, UpdateOptions};
use api::rpc::{
    BindPodRequest, BindPodResponse, CreateRequest, DeleteCollectionRequest, DeleteRequest, Event, GetRequest, List,
    ListRequest, PartialObjectMetadataList, PatchRequest, PatchType, UpdateRequest, WatchRequest,
};
use api::{Error, Resource};
use std::marker::PhantomData;
use telemetry::RequestDetail;
use telemetry::span::client::CallTrace;

/// The objects of kind `K`, in one namespace or in all. Cheap to clone.
///
/// Every method fails with the apiserver's error, or with `ServiceUnavailable` if it cannot be reached. A call that was dropped before it
/// ended may or may not have taken effect.
#[derive(Debug)]
pub struct Api<K> {
    client: Client,
    namespace: String,
    traced: bool,
    restarts: bool,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Api { client: self.client.clone(), namespace: self.namespace.clone(), kind: PhantomData, ..*self }
    }
}

/// A change to an object, as JSON text of one of three kinds.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 6902.
    Json(serde_json::Value),
    /// RFC 7386.
    Merge(serde_json::Value),
    /// Kubernetes' own.
    Strategic(serde_json::Value),
}

impl<K: Resource> Api<K> {
    /// Cluster-wide kinds, or all namespaces of a namespaced kind. Of a namespaced kind, only `list`, `watch`, `create` and `update` work
    /// then: the latter two take the namespace from the object.
    pub fn all(client: Client) -> Self {
        Api { client, namespace: String::new(), traced: true, restarts: false, kind: PhantomData }
    }

    /// One namespace. For a cluster-wide kind the namespace is ignored.
    pub fn namespaced(client: Client, namespace: &str) -> Self {
        let namespace = if K::INFO.namespaced { namespace.to_owned() } else { String::new() };
        Api { client, namespace, traced: true, restarts: false, kind: PhantomData }
    }

    /// The same in another namespace.
    pub fn within(&self, namespace: &str) -> Self {
        Api { traced: self.traced, restarts: self.restarts, ..Api::namespaced(self.client.clone(), namespace) }
    }

    /// The same without spans, and without the server's: for heartbeats, leases, events, and whatever an informer reads.
    pub fn untraced(mut self) -> Self {
        self.traced = false;
        self
    }

    /// The same for writes that may belong to the restart of a container: a kubelet's, of a pod's status.
    pub fn in_restart(mut self, restarts: bool) -> Self {
        self.restarts = restarts;
        self
    }

    /// The namespace, or nothing for all.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One object, as new as etcd has it.
    pub async fn get(&self, name: &str) -> Result<K, Error> {
        self.get_with(name, GetOptions::default()).await
    }

    /// One object, as new as the options ask.
    pub async fn get_with(&self, name: &str, options: GetOptions) -> Result<K, Error> {
        let request = GetRequest { namespace: self.namespace.clone(), name: name.to_owned(), options: Some(options) };
        self.client.unary(self.call("Get", name, false), request).await
    }

    /// A list, or a page of it if the options limit it.
    pub async fn list(&self, options: ListOptions) -> Result<List<K>, Error> {
        let request = ListRequest { namespace: self.namespace.clone(), options: Some(options) };
        self.client.unary(self.call("List", "", false), request).await
    }

    /// The same, of which only the metadata is read: for large lists of which not much is wanted.
    pub async fn list_metadata(&self, options: ListOptions) -> Result<PartialObjectMetadataList, Error> {
        let request = ListRequest { namespace: self.namespace.clone(), options: Some(options) };
        self.client.unary(self.call("List", "", false), request).await
    }

    /// The changes after the options' resourceVersion. Returns when the server has accepted the watch.
    pub async fn watch(&self, options: ListOptions) -> Result<WatchStream<K>, Error> {
        let request = WatchRequest { namespace: self.namespace.clone(), options: Some(options) };
        let call = Call { service: K::INFO.service, method: "Watch", trace: None };
        let events = self.client.server_stream::<_, Event<K>>(call, request).await?;
        Ok(WatchStream::new(self.client.clone(), events))
    }

    /// Stores a new object; returns it as stored.
    pub async fn create(&self, object: &K) -> Result<K, Error> {
        self.create_with(object, CreateOptions::default()).await
    }

    /// The same with options.
    pub async fn create_with(&self, object: &K, options: CreateOptions) -> Result<K, Error> {
        let request =
            CreateRequest { namespace: self.namespace_of(object), object: object.clone(), options: Some(options) };
        let meta = object.metadata();
        let name = if meta.name.is_empty() { &meta.generate_name } else { &meta.name };
        self.client.unary(self.call_in(&request.namespace, "Create", name, false), request).await
    }

    /// Replaces an object (not its status). Conflict if it has a resourceVersion that is not the newest.
    pub async fn update(&self, object: &K) -> Result<K, Error> {
        self.replace("Update", object).await
    }

    /// Replaces an object's status, under the same rule.
    pub async fn update_status(&self, object: &K) -> Result<K, Error> {
        self.replace("UpdateStatus", object).await
    }

    /// Changes an object (not its status).
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<K, Error> {
        self.patch_with(name, patch, "", PatchOptions::default()).await
    }

    /// Changes an object's status.
    pub async fn patch_status(&self, name: &str, patch: &Patch) -> Result<K, Error> {
        self.patch_with(name, patch, "status", PatchOptions::default()).await
    }

    /// Changes an object or a subresource of it ("status"), with options.
    pub async fn patch_with(
        &self,
        name: &str,
        patch: &Patch,
        subresource: &str,
        options: PatchOptions,
    ) -> Result<K, Error> {
        let (kind, body) = match patch {
            Patch::Json(body) => (PatchType::JsonPatch, body),
            Patch::Merge(body) => (PatchType::MergePatch, body),
            Patch::Strategic(body) => (PatchType::StrategicMergePatch, body),
        };
        let request = PatchRequest {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            r#type: kind.into(),
            patch: body.to_string().into_bytes(),
            options: Some(options),
            subresource: subresource.to_owned(),
        };
        let mut call = self.call("Patch", name, false);
        if let Some(trace) = &mut call.trace {
            trace.step = telemetry::client_step(K::INFO.plural, "patch", subresource, trace.detail);
        }
        self.client.unary(call, request).await
    }

    /// Deletes an object; returns it as the call left it: gone, or on its way (deletionTimestamp set).
    pub async fn delete(&self, name: &str, options: DeleteOptions) -> Result<K, Error> {
        let removes = options.grace_period_seconds == Some(0);
        let request =
            DeleteRequest { namespace: self.namespace.clone(), name: name.to_owned(), options: Some(options) };
        self.client.unary(self.call("Delete", name, removes), request).await
    }

    /// Deletes all objects that `list` selects; returns them.
    pub async fn delete_collection(&self, list: ListOptions, options: DeleteOptions) -> Result<List<K>, Error> {
        let request =
            DeleteCollectionRequest { namespace: self.namespace.clone(), list: Some(list), options: Some(options) };
        self.client.unary(self.call("DeleteCollection", "", false), request).await
    }

    async fn replace(&self, method: &'static str, object: &K) -> Result<K, Error> {
        let namespace = self.namespace_of(object);
        let request = UpdateRequest {
            namespace: namespace.clone(),
            object: object.clone(),
            options: Some(UpdateOptions::default()),
        };
        let mut call = self.call_in(&namespace, method, &object.metadata().name, false);
        if let (Some(trace), true) = (&mut call.trace, object.metadata().deletion_timestamp.is_some()) {
            // What a kubelet reports of a pod's end is no step of its creation.
            trace.detail.from_kubelet = false;
        }
        self.client.unary(call, request).await
    }

    fn namespace_of(&self, object: &K) -> String {
        if self.namespace.is_empty() { object.metadata().namespace.clone() } else { self.namespace.clone() }
    }

    pub(crate) fn call(&self, method: &'static str, name: &str, removes: bool) -> Call {
        self.call_in(&self.namespace, method, name, removes)
    }

    fn call_in(&self, namespace: &str, method: &'static str, name: &str, removes: bool) -> Call {
        let trace = self.traced.then(|| CallTrace {
            step: None,
            detail: RequestDetail { restarts: self.restarts, ..self.client.detail(removes) },
            object: (K::INFO.kind, namespace.to_owned(), name.to_owned()),
            attempt: 0,
        });
        Call { service: K::INFO.service, method, trace }
    }
}

impl Api<Pod> {
    /// Assigns a pod to a node: `metadata.name` is the pod, `target.name` the node. Returns the pod's new revision.
    pub async fn bind(&self, binding: &Binding) -> Result<String, Error> {
        let namespace = if self.namespace.is_empty() { &binding.metadata.namespace } else { &self.namespace };
        let request = BindPodRequest { namespace: namespace.clone(), binding: Some(binding.clone()) };
        let call = self.call_in(namespace, "Bind", &binding.metadata.name, false);
        let answer: BindPodResponse = self.client.unary(call, request).await?;
        Ok(answer.resource_version)
    }
}
