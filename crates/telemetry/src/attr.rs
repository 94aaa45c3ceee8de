//! The names of all attributes, in one place: OpenTelemetry's semantic conventions, and ours under `traceplane.`.
//!
//! Ids and names of objects live here, never in span names, which stay low-cardinality.

pub use opentelemetry_semantic_conventions::attribute::{
    CONTAINER_IMAGE_NAME, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE, HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, K8S_CONTAINER_NAME, K8S_CONTAINER_RESTART_COUNT,
    K8S_DAEMONSET_NAME, K8S_DEPLOYMENT_NAME, K8S_JOB_NAME, K8S_NAMESPACE_NAME, K8S_NODE_NAME, K8S_POD_NAME,
    K8S_POD_UID, K8S_REPLICASET_NAME, K8S_SERVICE_NAME, K8S_STATEFULSET_NAME, RPC_METHOD, RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME, SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, URL_PATH,
};

/// Which step of a journey a span is: an id of the catalogue ([`crate::Step`]).
pub const STEP: &str = "traceplane.step";
/// The etcd revision that a span wrote or observed.
pub const REVISION: &str = "traceplane.revision";
/// Commit to receipt of a watch event, in milliseconds.
pub const WATCH_LAG_MS: &str = "traceplane.watch.lag_ms";
/// Enqueue to start of a reconcile, in milliseconds.
pub const QUEUE_WAIT_MS: &str = "traceplane.queue.wait_ms";
/// How many causes were merged into a reconcile, those beyond the kept ones included.
pub const CAUSES: &str = "traceplane.causes";
/// Which try of the same work this is, from 1.
pub const ATTEMPT: &str = "traceplane.attempt";
/// The controller that reconciles.
pub const CONTROLLER: &str = "traceplane.controller";
/// The plugin of admission or of the scheduler's framework.
pub const PLUGIN: &str = "traceplane.plugin";
/// The kind of the object, where no convention names it.
pub const OBJECT_KIND: &str = "traceplane.object.kind";
/// The name of an object whose kind has no `k8s.<kind>.name`.
pub const OBJECT_NAME: &str = "traceplane.object.name";
/// The uid of an object that is not a pod.
pub const OBJECT_UID: &str = "traceplane.object.uid";
/// The store key of a transaction or the prefix of a range.
pub const STORE_KEY: &str = "traceplane.store.key";
/// How many keys a range returned.
pub const STORE_COUNT: &str = "traceplane.store.count";
/// The number of nodes a scheduler step looked at.
pub const NODES_EVALUATED: &str = "traceplane.scheduler.nodes.evaluated";
/// The number of nodes left after a scheduler step.
pub const NODES_FEASIBLE: &str = "traceplane.scheduler.nodes.feasible";
/// What a plugin, a hook or a step decided: `Success`, `Unschedulable`, `Skip` ...
pub const VERDICT: &str = "traceplane.verdict";
/// A message for people, as in a condition or an event.
pub const MESSAGE: &str = "traceplane.message";
/// The grace period of a deletion, in seconds.
pub const GRACE_SECONDS: &str = "traceplane.grace_seconds";
/// The exit code of a container or hook.
pub const EXIT_CODE: &str = "traceplane.exit_code";

/// The attribute that names an object of `kind` (`Pod` or `pod`), where the conventions have one.
pub fn name_of_kind(kind: &str) -> &'static str {
    const KNOWN: [(&str, &str); 8] = [
        ("pod", K8S_POD_NAME),
        ("node", K8S_NODE_NAME),
        ("deployment", K8S_DEPLOYMENT_NAME),
        ("replicaset", K8S_REPLICASET_NAME),
        ("statefulset", K8S_STATEFULSET_NAME),
        ("daemonset", K8S_DAEMONSET_NAME),
        ("job", K8S_JOB_NAME),
        ("service", K8S_SERVICE_NAME),
    ];
    KNOWN.iter().find(|(known, _)| kind.eq_ignore_ascii_case(known)).map_or(OBJECT_NAME, |(_, attr)| attr)
}
