//! The service of one kind: decode the request, ask the registry, answer with its bytes.
//!
//! Who may do what was decided before; what a write means is the registry's affair. Left is the last step of a request's journey,
//! the answer ([`super::answer`]).

use api::Resource;
use api::core::v1::Pod;
use api::rpc::{
    BindPodRequest, BindPodResponse, CreateRequest, DeleteCollectionRequest, DeleteRequest, GetRequest, ListRequest,
    PatchRequest, UpdateRequest, WatchRequest,
};
use async_trait::async_trait;
use axum::body::Body;
use http::Request;

use super::answer::{Answer, Response, streaming, unary};
use super::pod_streams::PodStreams;
use super::watch::{self, Ending};
use super::{Method, RequestInfo};
use crate::registry::Registry;
use crate::request::RequestContext;

/// A call that was authenticated, read and authorized.
pub(super) struct Authorized {
    /// The request with its whole body; of a stream without its first message.
    pub(super) request: Request<Body>,
    /// What it is about.
    pub(super) info: RequestInfo,
    /// Who asks, and the steps.
    pub(super) ctx: RequestContext,
}

/// A kind's service, whatever the kind.
#[async_trait]
pub(super) trait Service: Send + Sync {
    /// Serves one call.
    async fn serve(&self, call: Authorized) -> Response;
}

/// The service of `K`.
pub(super) struct KindService<K> {
    registry: Registry<K>,
    ending: Ending,
}

impl<K: Resource> KindService<K> {
    pub(super) fn new(registry: Registry<K>, ending: Ending) -> Self {
        Self { registry, ending }
    }
}

#[async_trait]
impl<K: Resource> Service for KindService<K> {
    async fn serve(&self, Authorized { request, info, ctx }: Authorized) -> Response {
        let RequestInfo { namespace, name, subresource, .. } = &info;
        let registry = &self.registry;
        let answer = Answer::new(&request, &info, &ctx);
        match info.method {
            Method::Create => {
                unary(request, async |CreateRequest::<K> { object, options, .. }| {
                    let created = registry.create(&ctx, namespace, object, &options.unwrap_or_default()).await?;
                    Ok(answer.object(&created))
                })
                .await
            }
            Method::Get => {
                unary(request, async |GetRequest { options, .. }| {
                    let found = registry.get(&ctx, namespace, name, &options.unwrap_or_default()).await?;
                    Ok(answer.object(&found))
                })
                .await
            }
            Method::List => {
                unary(request, async |ListRequest { options, .. }| {
                    let found = registry.list(&ctx, namespace, &options.unwrap_or_default()).await?;
                    Ok(answer.list(&found))
                })
                .await
            }
            Method::Watch => {
                let ending = self.ending.of(&request);
                streaming(request, async |WatchRequest { options, .. }| {
                    let events = registry.watch(&ctx, namespace, &options.unwrap_or_default()).await?;
                    Ok(watch::answer(events, ending))
                })
                .await
            }
            Method::Update => {
                unary(request, async |UpdateRequest::<K> { object, options, .. }| {
                    let updated = registry.update(&ctx, namespace, object, &options.unwrap_or_default()).await?;
                    Ok(answer.object(&updated))
                })
                .await
            }
            Method::UpdateStatus => {
                unary(request, async |UpdateRequest::<K> { object, options, .. }| {
                    let updated = registry.update_status(&ctx, namespace, object, &options.unwrap_or_default()).await?;
                    Ok(answer.object(&updated))
                })
                .await
            }
            Method::Patch => {
                unary(request, async |message: PatchRequest| {
                    let kind = message.r#type();
                    let PatchRequest { patch, options, .. } = message;
                    let options = options.unwrap_or_default();
                    let patched = registry.patch(&ctx, namespace, name, subresource, kind, &patch, &options).await?;
                    Ok(answer.object(&patched))
                })
                .await
            }
            Method::Delete => {
                unary(request, async |DeleteRequest { options, .. }| {
                    let deleted = registry.delete(&ctx, namespace, name, &options.unwrap_or_default()).await?;
                    Ok(answer.deleted(&deleted))
                })
                .await
            }
            Method::DeleteCollection => {
                unary(request, async |DeleteCollectionRequest { list, options, .. }| {
                    let (list, options) = (list.unwrap_or_default(), options.unwrap_or_default());
                    let deleted = registry.delete_collection(&ctx, namespace, &list, &options).await?;
                    Ok(answer.list(&deleted))
                })
                .await
            }
            Method::Bind | Method::Logs | Method::Exec | Method::Attach | Method::PortForward => {
                unreachable!("only pods have this method, and PodService answers it")
            }
        }
    }
}

/// The service of pods: that of every kind, binding, and what reaches into them.
pub(super) struct PodService {
    pub(super) kind: KindService<Pod>,
    pub(super) streams: PodStreams,
}

#[async_trait]
impl Service for PodService {
    async fn serve(&self, call: Authorized) -> Response {
        match call.info.method {
            Method::Bind => {}
            method if method.is_pod_stream() => return self.streams.serve(call).await,
            _ => return self.kind.serve(call).await,
        }
        let Authorized { request, info, ctx } = call;
        let answer = Answer::new(&request, &info, &ctx);
        unary(request, async |BindPodRequest { binding, .. }| {
            let binding = binding.ok_or_else(|| api::Error::bad_request("the request has no binding"))?;
            let revision = self.kind.registry.bind(&ctx, &info.namespace, binding).await?;
            Ok(answer.message(&BindPodResponse { resource_version: revision.to_string() }))
        })
        .await
    }
}
