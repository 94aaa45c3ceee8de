//! The requests and answers of the gRPC services, once for all kinds.
//!
//! `proto/traceplane/v1` declares a typed service per kind, for clients in any language. Their messages have one shape, so here they are
//! generic: `CreateRequest<Pod>` is `CreatePodRequest` on the wire. A test holds the two against each other.

pub use crate::types::traceplane::v1::{
    BindPodRequest, BindPodResponse, Cause, DeleteCollectionRequest, DeleteRequest, EventType, GetRequest, ListRequest,
    LogChunk, LogsRequest, PatchRequest, PatchType, PodTarget, PortForwardInput, PortForwardOutput, PortForwardStart,
    SessionInput, SessionOutput, SessionStart, TerminalSize, WatchRequest, port_forward_input, session_input,
    session_output,
};

use crate::Resource;
use crate::meta::v1::{CreateOptions, ListMeta, ObjectMeta, UpdateOptions};

/// `Create<Kind>Request`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreateRequest<K: Resource> {
    /// Empty for cluster-wide kinds, or to take the object's own.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The new object.
    #[prost(message, required, tag = "2")]
    pub object: K,
    /// Dry run and field manager.
    #[prost(message, optional, tag = "3")]
    pub options: Option<CreateOptions>,
}

/// `Update<Kind>Request`, also for `UpdateStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateRequest<K: Resource> {
    /// Empty for cluster-wide kinds, or to take the object's own.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// The object as it shall be.
    #[prost(message, required, tag = "2")]
    pub object: K,
    /// Dry run and field manager.
    #[prost(message, optional, tag = "3")]
    pub options: Option<UpdateOptions>,
}

/// `<Kind>Event`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event<K: Resource> {
    /// What happened.
    #[prost(enumeration = "EventType", tag = "1")]
    pub r#type: i32,
    /// The object after it; before it, for a removal.
    #[prost(message, required, tag = "2")]
    pub object: K,
    /// Who did it. In the events with which a watch starts, who last wrote the object.
    #[prost(message, optional, tag = "3")]
    pub cause: Option<Cause>,
}

/// `<Kind>List`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct List<K: Resource> {
    /// Revision and continue token.
    #[prost(message, required, tag = "1")]
    pub metadata: ListMeta,
    /// In the order of namespace and name.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<K>,
}

/// `<Kind>List` of any kind, read by somebody who only wants to know which objects there are: their metadata is field 1 of them all, and
/// the other fields are skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialObjectMetadataList {
    /// Revision and continue token.
    #[prost(message, required, tag = "1")]
    pub metadata: ListMeta,
    /// In the order of namespace and name.
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<PartialObjectMetadata>,
}

/// An object of any kind, without spec and status.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialObjectMetadata {
    /// Name, namespace, revision.
    #[prost(message, required, tag = "1")]
    pub metadata: ObjectMeta,
}
