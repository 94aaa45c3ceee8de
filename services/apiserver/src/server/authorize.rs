//! The layer that asks whether the user may do this. Step 2b of a create.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use telemetry::span::stage;
use tracing::info;

use super::authenticate::is_public;
use super::{Front, Refusal, Target};
use crate::auth::{Action, Decision};
use crate::request::{RequestContext, UserInfo};
use crate::rpc::RequestInfo;

/// The layer.
pub(super) async fn authorize(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    if let Err(error) = decide(&front, &request) {
        return Refusal::new(request.extensions(), error).into_response();
    }
    next.run(request).await
}

fn decide(front: &Front, request: &Request) -> api::Result<()> {
    let (extensions, path) = (request.extensions(), request.uri().path());
    if let (Some(info), Some(ctx)) = (extensions.get::<RequestInfo>(), extensions.get::<RequestContext>()) {
        return stage::authorize(ctx.steps.authorize).in_scope(|| ask(front, &ctx.user, &info.action()));
    }
    let is_reflection = path.starts_with("/grpc.reflection.");
    match Target::of(extensions) {
        _ if is_public(path) => Ok(()),
        // There is nothing behind such a path, and the handler says so.
        Target::Grpc | Target::Kind(_) if !is_reflection => Ok(()),
        _ => {
            let user = extensions.get::<Arc<UserInfo>>().expect("only what is public gets here without a user");
            let verb = request.method().as_str().to_ascii_lowercase();
            ask(front, user, &Action::Path { verb: &verb, path })
        }
    }
}

fn ask(front: &Front, user: &UserInfo, action: &Action<'_>) -> api::Result<()> {
    match front.authorizer.authorize(user, action) {
        Decision::Allow => Ok(()),
        Decision::NoOpinion(why) => {
            let error = action.denied(user, &why);
            info!(user = user.name, error = error.message, "refused");
            Err(error)
        }
    }
}
