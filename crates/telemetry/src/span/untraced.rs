//! What makes no spans: long reads and heartbeats. Both ends of a call agree on it here.

use http::{HeaderMap, HeaderValue, Uri};

/// The request header (gRPC metadata key) by which a client says that a call shall make no spans: `traceplane-trace: off`.
///
/// Not tracing is all it does; the server serves the call as any other.
pub const UNTRACED: &str = "traceplane-trace";
const OFF: HeaderValue = HeaderValue::from_static("off");

/// Put into the extensions of a request, it makes the client layer send it untraced: a node status that is only a
/// heartbeat, an event, a reflector's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untraced;

pub(super) fn mark(headers: &mut HeaderMap) {
    headers.insert(UNTRACED, OFF);
}

pub(super) fn is_marked(headers: &HeaderMap) -> bool {
    headers.get(UNTRACED) == Some(&OFF)
}

/// Whether calls to `uri` are never traced, whoever makes them: watches (they end when the watcher does), leases and
/// events (TRACES section 1), health, metrics and reflection.
pub(super) fn is_never_traced(uri: &Uri) -> bool {
    let path = uri.path();
    let rpc = path.ends_with("/Watch")
        || ["/traceplane.v1.Leases/", "/traceplane.v1.Events/", "/grpc.health.", "/grpc.reflection."]
            .iter()
            .any(|prefix| path.starts_with(prefix));
    rpc || is_quiet_rest(path, uri.query().unwrap_or_default())
}

fn is_quiet_rest(path: &str, query: &str) -> bool {
    let is_probe = ["/healthz", "/livez", "/readyz", "/metrics"].iter().any(|prefix| path.starts_with(prefix));
    is_probe
        || rest_resource(path).is_some_and(|resource| {
            let is_watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
            is_watch || matches!(resource, "leases" | "events")
        })
}

/// The resource that a path of Kubernetes' REST API is about: `/api/v1/namespaces/default/pods/web-1` is about `pods`.
fn rest_resource(path: &str) -> Option<&str> {
    let mut segments = path.split('/').skip(1);
    match segments.next()? {
        "api" => _ = segments.next()?,
        "apis" => _ = (segments.next()?, segments.next()?),
        _ => return None,
    }
    match (segments.next()?, segments.nth(1)) {
        ("namespaces", Some(resource)) => Some(resource),
        (resource, _) => Some(resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_heartbeats_and_probes_are_quiet_and_work_is_not() {
        let table = [
            ("/traceplane.v1.Pods/Create", false),
            ("/traceplane.v1.Pods/List", false),
            ("/traceplane.v1.Pods/Watch", true),
            ("/traceplane.v1.Leases/Update", true),
            ("/traceplane.v1.Events/Create", true),
            ("/grpc.health.v1.Health/Check", true),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
            ("/readyz?verbose", true),
            ("/api/v1/namespaces/default/pods", false),
            ("/api/v1/namespaces/default/pods?watch=true", true),
            ("/api/v1/namespaces/default/events", true),
            ("/api/v1/namespaces/events/pods/leases", false),
            ("/api/v1/namespaces/default", false),
            ("/api/v1/events", true),
            ("/version?watch=true", false),
            ("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", true),
        ];
        for (uri, quiet) in table {
            assert_eq!(is_never_traced(&uri.parse().unwrap()), quiet, "{uri}");
        }
    }
}
