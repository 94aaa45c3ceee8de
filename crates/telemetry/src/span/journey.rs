//! Which journey a call belongs to, where neither its method nor its object tells. Both ends of a call agree on it here.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The request header (gRPC metadata key) by which a kubelet says that a pod's status is written because a container is restarted:
/// `traceplane-journey: pod.restart`. All it decides is the step that the write is.
const JOURNEY: HeaderName = HeaderName::from_static("traceplane-journey");
const RESTART: HeaderValue = HeaderValue::from_static("pod.restart");

pub(super) fn mark_restart(headers: &mut HeaderMap) {
    headers.insert(JOURNEY, RESTART);
}

/// Whether a call belongs to the restart of a container.
pub fn is_restart(headers: &HeaderMap) -> bool {
    headers.get(JOURNEY) == Some(&RESTART)
}
