//! From what the registry answers to a gRPC answer.
//!
//! Making the answer is a step of its own (`respond`) that begins when the write is committed. The call's span learns here which
//! object it was about, because a created object has its name and uid only now.

use std::sync::OnceLock;

use api::Resource;
use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use http::Request;
use prost::Message;
use service_kit::rpc_status::to_status;
use telemetry::Step;
use telemetry::span::server::{Failure, RequestSpan};
use telemetry::span::{ObjectRef, SpanExt, stage};
use tonic::Status;
use tonic::server::Grpc;
use tower::service_fn;
use tracing::Span;

use super::RequestInfo;
use super::codec::Codec;
use crate::registry::{Deleted, Encoded, ListAnswer};
use crate::request::RequestContext;

/// A gRPC answer.
pub(super) type Response = http::Response<tonic::body::Body>;

/// Makes the answers to one call.
pub(super) struct Answer<'a> {
    call: Span,
    info: &'a RequestInfo,
    step: Option<Step>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(request: &Request<Body>, info: &'a RequestInfo, ctx: &RequestContext) -> Self {
        let call = RequestSpan::of(request.extensions());
        let RequestInfo { kind, namespace, name, .. } = info;
        call.object(&ObjectRef { kind: kind.kind, namespace, name, uid: "" });
        Self { call, info, step: ctx.steps.answer }
    }

    /// An object, in the bytes of the cache or of the write.
    pub(super) fn object<K: Resource>(&self, object: &Encoded<K>) -> Bytes {
        self.respond(self.step, || {
            self.describe(object.bytes());
            object.bytes().clone()
        })
    }

    /// A deleted object. Whoever removed it at once has ended its journey, not begun it.
    pub(super) fn deleted<K: Resource>(&self, deleted: &Deleted<K>) -> Bytes {
        let step = if deleted.removed { None } else { self.step };
        self.respond(step, || {
            self.describe(deleted.object.bytes());
            deleted.object.bytes().clone()
        })
    }

    /// A list, put together from the bytes of its objects.
    pub(super) fn list<K: Resource>(&self, list: &ListAnswer<K>) -> Bytes {
        self.respond(self.step, || list.encode())
    }

    /// Another message.
    pub(super) fn message(&self, message: &impl Message) -> Bytes {
        self.respond(self.step, || message.encode_to_vec().into())
    }

    fn respond(&self, step: Option<Step>, make: impl FnOnce() -> Bytes) -> Bytes {
        stage::respond(step).in_scope(make)
    }

    fn describe(&self, object: &Bytes) {
        if self.call.is_disabled() {
            return;
        }
        if let Ok(Named { metadata: Some(Metadata { name, uid }) }) = Named::decode(object.clone()) {
            let RequestInfo { kind, namespace, .. } = self.info;
            self.call.object(&ObjectRef { kind: kind.kind, namespace, name: &name, uid: &uid });
        }
    }
}

/// Answers a call that has one answer.
pub(super) async fn unary<M, F>(request: Request<Body>, handle: F) -> Response
where
    M: Message + Default + 'static,
    F: AsyncFnOnce(M) -> api::Result<Bytes>,
{
    let mut handle = Some(handle);
    // A status forgets the reason; the call's span is to have it.
    let failure = OnceLock::new();
    let noted = &failure;
    let service = service_fn(|message: tonic::Request<M>| {
        let handle = handle.take().expect("a call has one message");
        async move {
            handle(message.into_inner()).await.map(tonic::Response::new).map_err(|error| {
                let status = to_status(&error);
                noted.get_or_init(|| Failure { reason: error.reason.as_str(), message: error.message });
                status
            })
        }
    });
    let grpc = &mut Grpc::new(Codec::<M>::default()).max_decoding_message_size(usize::MAX);
    let mut response = grpc.unary(service, request).await;
    if let Some(failure) = failure.into_inner() {
        response.extensions_mut().insert(failure);
    }
    response
}

/// Answers a call that has a stream of answers.
pub(super) async fn streaming<M, S, F>(request: Request<Body>, handle: F) -> Response
where
    M: Message + Default + 'static,
    S: Stream<Item = Result<Bytes, Status>> + Send + 'static,
    F: AsyncFnOnce(M) -> api::Result<S>,
{
    let mut handle = Some(handle);
    let service = service_fn(|message: tonic::Request<M>| {
        let handle = handle.take().expect("a call has one message");
        async { handle(message.into_inner()).await.map(tonic::Response::new).map_err(|error| to_status(&error)) }
    });
    Grpc::new(Codec::<M>::default()).max_decoding_message_size(usize::MAX).server_streaming(service, request).await
}

/// What is read of an answered object. Field 1 of every kind is its metadata.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "5")]
    uid: String,
}
