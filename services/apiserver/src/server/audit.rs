//! One log line per request on a kind that was carried out: who did what to which object, and how it ended. At level debug.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::{Level, debug, enabled};

use super::metrics::grpc_code;
use crate::request::RequestContext;
use crate::rpc::RequestInfo;

/// The layer.
pub(super) async fn audit(request: Request, next: Next) -> Response {
    if !enabled!(Level::DEBUG) {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let (Some(info), Some(ctx)) = (extensions.get::<RequestInfo>().cloned(), extensions.get::<RequestContext>()) else {
        return next.run(request).await;
    };
    let (user, start) = (ctx.user.name.clone(), Instant::now());
    let response = next.run(request).await;
    let RequestInfo { kind, method, subresource, namespace, name, .. } = info;
    let (verb, resource, code) = (method.verb(), kind.group_resource(), grpc_code(&response));
    debug!(user, verb, %resource, subresource, namespace, name, code, took = ?start.elapsed(), "served");
    response
}
