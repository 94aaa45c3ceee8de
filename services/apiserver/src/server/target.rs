//! What a request is for, by its path alone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Extensions;
use http::header::CONTENT_TYPE;
use service_kit::Connection;
use service_kit::tls::PeerIdentity;

use super::{Front, Known};
use crate::rpc::Call;

/// In a request's extensions: what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// A kind's service.
    Kind(Call),
    /// Another gRPC service: health, reflection, or one that there is not.
    Grpc,
    /// A plain HTTP path.
    Http,
}

impl Target {
    /// The target that the outermost layer found.
    pub(super) fn of(extensions: &Extensions) -> Self {
        *extensions.get::<Self>().expect("the outermost layer names the target of every request")
    }

    /// The call, if it is one of a kind's service.
    pub(super) fn call(self) -> Option<Call> {
        match self {
            Self::Kind(call) => Some(call),
            Self::Grpc | Self::Http => None,
        }
    }
}

/// The layer.
pub(super) async fn target(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let target = match (is_grpc, Call::from_path(request.uri().path())) {
        (true, Some(call)) => Target::Kind(call),
        (true, None) => Target::Grpc,
        (false, _) => Target::Http,
    };
    // Looked up again where it is enforced: this costs a hash of the token, and nothing for a certificate.
    let known = match peer(request.extensions()) {
        Some(_) => true,
        None => matches!(front.authenticator.authenticate(None, request.headers()), Ok(Some(_))),
    };
    request.extensions_mut().insert(target);
    if known {
        request.extensions_mut().insert(Known);
    }
    next.run(request).await
}

/// The identity that the connection's certificate proved.
pub(super) fn peer(extensions: &Extensions) -> Option<Arc<PeerIdentity>> {
    extensions.get::<Connection>().and_then(|connection| connection.peer.clone())
}
