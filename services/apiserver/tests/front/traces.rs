//! What one request leaves in a trace: the apiserver's part of TRACES section 3.

use api::coordination::v1::Lease;
use api::core::v1::Pod;
use api::rpc::{CreateRequest, DeleteRequest, WatchRequest};
use telemetry::testing::Recorder;
use telemetry::{Step, TraceContext, attr};
use tonic::Streaming;
use tonic::transport::ClientTlsConfig;

use crate::harness::{Server, pod};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_create_performs_its_steps_in_order_under_the_callers_span() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let server = Server::start().await;
    let client = server.admin().await;
    recorder.clear();
    let created = client.with_header("traceparent", PARENT).create_pod(pod("web")).await.unwrap();

    let call = recorder.only("traceplane.v1.Pods/Create");
    assert!(call.is_child_of(&TraceContext::parse(PARENT, "")), "{recorder}");
    assert_eq!(call.attr(attr::K8S_POD_NAME), Some("web"));
    assert_eq!(call.attr(attr::K8S_POD_UID), Some(created.metadata.uid.as_str()));
    let steps = [
        (Step::PodCreate2a, "authenticate"),
        (Step::PodCreate2b, "authorize"),
        (Step::PodCreate2c, "admit"),
        (Step::PodCreate2d, "validate"),
        (Step::PodCreate2e, "etcd txn"),
        (Step::PodCreate2f, "respond"),
    ];
    let mut before = call.start;
    for (step, name) in steps {
        let span = recorder.step(step);
        assert_eq!(span.name, name);
        assert!(span.is_child_of(&call.context), "{name} in:\n{recorder}");
        assert!(before <= span.start && span.end <= call.end, "{name} is out of order in:\n{recorder}");
        before = span.start;
    }
    let commit = recorder.step(Step::PodCreate2e);
    assert_eq!(commit.attr(attr::REVISION), Some(created.metadata.resource_version.as_str()));
    let admit = recorder.step(Step::PodCreate2c);
    let plugins = recorder.named("admission plugin");
    assert!(plugins.iter().all(|plugin| plugin.is_child_of(&admit.context)));
    let names: Vec<_> = plugins.iter().filter_map(|plugin| plugin.attr(attr::PLUGIN)).collect();
    assert_eq!(names, ["NamespaceLifecycle", "ServiceAccount", "Priority", "DefaultTolerationSeconds"]);
}

#[tokio::test]
async fn only_a_graceful_delete_ends_in_terminating() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let server = Server::start().await;
    let client = server.admin().await.with_header("traceparent", PARENT);
    let mut bound = pod("web");
    bound.spec.node_name = "a".into();
    client.create_pod(bound).await.unwrap();
    let delete = |grace| DeleteRequest {
        namespace: "default".into(),
        name: "web".into(),
        options: Some(api::meta::v1::DeleteOptions { grace_period_seconds: grace, ..Default::default() }),
    };
    recorder.clear();
    let _: Pod = client.call("/traceplane.v1.Pods/Delete", delete(None)).await.unwrap();
    assert_eq!(recorder.step(Step::PodDelete2).name, "etcd txn");
    assert_eq!(recorder.step(Step::PodDelete3).name, "respond");
    recorder.clear();
    let _: Pod = client.call("/traceplane.v1.Pods/Delete", delete(Some(0))).await.unwrap();
    assert_eq!(recorder.step(Step::PodDelete9b).name, "etcd txn");
    assert_eq!(recorder.only("respond").step(), None, "{recorder}");
}

#[tokio::test]
async fn watches_and_heartbeats_make_no_spans() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let server = Server::start().await;
    let client = server.admin().await.with_header("traceparent", PARENT);
    recorder.clear();
    let watch: Streaming<api::rpc::Event<Pod>> =
        client.stream("/traceplane.v1.Pods/Watch", WatchRequest::default()).await.unwrap();
    let mut object = Lease::default();
    object.metadata.name = "a".into();
    let create = CreateRequest { namespace: "kube-node-lease".into(), object, options: None };
    let _: Lease = client.call("/traceplane.v1.Leases/Create", create).await.unwrap();
    drop(watch);
    assert!(recorder.spans().is_empty(), "{recorder}");
}

#[tokio::test]
async fn a_stranger_does_not_write_into_the_traces_of_others() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let server = Server::start().await;
    let claimed = TraceContext::parse(PARENT, "");
    let nobody = server.client_with(ClientTlsConfig::new()).await.unwrap().with_header("traceparent", PARENT);
    recorder.clear();
    nobody.create_pod(pod("web")).await.unwrap_err();
    let refused = recorder.only("traceplane.v1.Pods/Create");
    assert_eq!((refused.parent.as_deref(), refused.links.len()), (None, 1));
    assert_ne!(refused.context.trace_id(), claimed.trace_id());
    assert_eq!(refused.attr(attr::ERROR_TYPE), Some("Unauthorized"));

    recorder.clear();
    nobody.with_header("authorization", "Bearer r00t").create_pod(pod("web")).await.unwrap();
    assert!(recorder.only("traceplane.v1.Pods/Create").is_child_of(&claimed), "a token is an identity too");
}
