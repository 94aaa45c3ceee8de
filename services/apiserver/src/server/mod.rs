//! The stack that every request passes, outermost first. TLS is below it: the listener hands over decrypted requests with the
//! verified certificate of the peer.

mod audit;
mod authenticate;
mod authorize;
mod deadline;
mod http_routes;
mod limits;
mod metrics;
mod read;
mod refusal;
mod storage_metrics;
mod target;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::Extensions;
use tower::ServiceBuilder;

use crate::auth::{Authenticator, Authorizer};
use crate::config::InflightLimits;
use crate::request::RequestContext;
use crate::rpc::{RequestInfo, Started};

pub(crate) use deadline::Deadline;
pub use http_routes::http_routes;
use limits::Limits;
pub use metrics::RequestMetrics;
pub(crate) use read::FirstMessage;
use refusal::Refusal;
pub use storage_metrics::StorageMetrics;
use target::Target;

/// What the layers need.
pub struct Front {
    /// Who asks.
    pub authenticator: Authenticator,
    /// Whether they may.
    pub authorizer: Box<dyn Authorizer>,
    /// How many at once.
    pub limits: InflightLimits,
    /// What is counted.
    pub metrics: RequestMetrics,
    /// The services of the kinds.
    pub services: Started,
}

/// Puts the stack around the routes of everything that is not a kind, and serves the kinds itself.
pub fn stack(front: Front, routes: Router) -> Router {
    let limits = Arc::new(Limits::new(front.limits));
    let front = Arc::new(front);
    let services = front.services.clone();
    let layers = ServiceBuilder::new()
        // Says what the path names and whether the caller proved who it is. Not part of the chain proper: the trace needs both.
        .layer(from_fn_with_state(front.clone(), target::target))
        // One span per call, so it must be outside of all that is to be seen in it. Only a known caller continues its own trace:
        // a stranger must not write into the traces of others.
        .layer(telemetry::span::server::layer().trusting(is_known))
        // Counts every answer, also those of the layers below.
        .layer(from_fn_with_state(front.clone(), metrics::metrics))
        // Turns work away before it costs anything. The rest of the chain runs within the call's deadline.
        .layer(from_fn_with_state(limits, limits::limits))
        .layer(from_fn(deadline::deadline))
        // Nobody's message is read before it is known whose it is.
        .layer(from_fn_with_state(front.clone(), authenticate::authenticate))
        // What a gRPC call is about stands in its message, and the authorizer has to know.
        .layer(from_fn(read::read))
        .layer(from_fn_with_state(front, authorize::authorize))
        // Inside of authorization, which logs what it refuses: one line per request that was carried out.
        .layer(from_fn(audit::audit));
    routes.fallback(move |request| serve(services, request)).layer(layers)
}

/// The handler: calls of kinds, and an explanation for everything that is not served at all.
async fn serve(services: Started, mut request: Request) -> Response {
    let extensions = request.extensions_mut();
    match (extensions.remove::<RequestInfo>(), extensions.remove::<RequestContext>()) {
        (Some(info), Some(ctx)) => services.serve(request, info, ctx).await.into_response(),
        _ => Refusal::not_served(&request).into_response(),
    }
}

/// In a request's extensions: the caller proved who it is.
#[derive(Clone, Copy)]
struct Known;

fn is_known(extensions: &Extensions) -> bool {
    extensions.get::<Known>().is_some()
}
