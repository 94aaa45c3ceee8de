//! The layer that lets only the apiserver in: `--client-ca-file` says whose certificates count, the certificate who it is.
//!
//! Kubernetes' kubelet asks the apiserver whether a caller may (`nodes/proxy`); ours knows the one identity that may, kubeadm's.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use service_kit::Connection;
use service_kit::rpc_status::to_status;
use service_kit::tls::PeerIdentity;
use tracing::info;

/// The apiserver towards kubelets (<https://kubernetes.io/docs/setup/best-practices/certificates/#all-certificates>).
const APISERVER: &str = "kube-apiserver-kubelet-client";
/// Who may do anything, here as there.
const MASTERS: &str = "system:masters";

/// The layer.
pub(super) async fn authorize(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>();
    match decide(connection.and_then(|connection| connection.peer.as_deref())) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            info!(path = request.uri().path(), error = error.message, "refused");
            to_status(&error).into_http::<axum::body::Body>().into_response()
        }
    }
}

fn decide(peer: Option<&PeerIdentity>) -> api::Result<()> {
    let Some(peer) = peer else {
        return Err(api::Error::unauthorized(
            "the kubelet knows no one without a client certificate; is --client-ca-file missing here, or the certificate there?",
        ));
    };
    if peer.common_name == APISERVER || peer.organizations.iter().any(|group| group == MASTERS) {
        return Ok(());
    }
    let why = format!("User {:?} may not reach into pods, only {APISERVER:?} may", peer.common_name);
    Err(api::Error::forbidden("", "", "", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Reason;

    #[test]
    fn only_the_apiserver_and_masters_get_in() {
        let peer = |name: &str, group: &str| PeerIdentity {
            common_name: name.to_owned(),
            organizations: vec![group.to_owned()],
        };
        assert_eq!(decide(None).unwrap_err().reason, Reason::Unauthorized);
        for (name, group, allowed) in [
            (APISERVER, "", true),
            ("kubernetes-admin", MASTERS, true),
            ("system:node:a", "system:nodes", false),
            ("kube-apiserver", "", false),
            ("alice", "dev", false),
        ] {
            let decided = decide(Some(&peer(name, group)));
            assert_eq!(decided.is_ok(), allowed, "{name} {group}");
            assert!(decided.is_ok() || decided.is_err_and(|error| error.reason == Reason::Forbidden));
        }
    }
}
