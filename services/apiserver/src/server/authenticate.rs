//! The layer that finds out who asks. Step 2a of a create.
//!
//! Health and version may be asked for by anybody; everything else needs an identity.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use telemetry::span::stage;
use tracing::Span;

use super::target::peer;
use super::{Front, Refusal, Target};
use crate::auth::who_are_you;

/// In the extensions of a kind's call: the span of the authentication, which ends when it is dropped.
///
/// Only a patch's message tells whether it is about the status, and with it whether the authentication is a step. So the span stays
/// open until the message was read, and learns its step then.
#[derive(Clone)]
pub(super) struct Authentication(pub(super) Span);

/// The layer.
pub(super) async fn authenticate(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let span = match Target::of(request.extensions()) {
        Target::Kind(_) => stage::authenticate(None),
        Target::Grpc | Target::Http => Span::none(),
    };
    let peer = peer(request.extensions());
    let user = span.in_scope(|| front.authenticator.authenticate(peer.as_deref(), request.headers()));
    match user {
        Ok(Some(user)) => {
            let extensions = request.extensions_mut();
            extensions.insert(user);
            extensions.insert(Authentication(span));
        }
        Ok(None) if is_public(request.uri().path()) => {}
        Ok(None) => return Refusal::new(request.extensions(), who_are_you()).into_response(),
        Err(error) => return Refusal::new(request.extensions(), error).into_response(),
    }
    next.run(request).await
}

/// What those may see who did not say who they are: probes of a machine that has no certificate.
pub(super) fn is_public(path: &str) -> bool {
    let probes = ["/healthz", "/livez", "/readyz"];
    let probe = probes
        .iter()
        .any(|probe| path.strip_prefix(probe).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    probe || path == "/version" || path.starts_with("/grpc.health.v1.Health/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_version_are_public() {
        for path in ["/healthz", "/readyz/etcd", "/livez", "/version", "/grpc.health.v1.Health/Check"] {
            assert!(is_public(path), "{path}");
        }
        for path in [
            "/",
            "/metrics",
            "/healthzz",
            "/versions",
            "/traceplane.v1.Pods/List",
            "/grpc.reflection.v1.ServerReflection/x",
        ] {
            assert!(!is_public(path), "{path}");
        }
    }
}
