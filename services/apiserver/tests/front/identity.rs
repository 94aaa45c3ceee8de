//! Who gets in, and how far.

use api::Reason;
use api::core::v1::{Node, PodList};
use api::rpc::{CreateRequest, ListRequest};
use tonic::Code;
use tonic::transport::{ClientTlsConfig, Identity};

use crate::harness::{Authority, Server, error, pod};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_or_a_token_is_an_identity() {
    let server = Server::start().await;
    let admin = server.admin().await;
    admin.create_pod(pod("by-certificate")).await.unwrap();

    let nobody = server.client_with(ClientTlsConfig::new()).await.unwrap();
    let root = nobody.clone().with_header("authorization", "Bearer r00t");
    root.create_pod(pod("by-token")).await.unwrap();
    let names: Vec<_> = list(&root).await.unwrap().items.into_iter().map(|pod| pod.metadata.name).collect();
    assert_eq!(names, ["by-certificate", "by-token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_what_to_present() {
    let server = Server::start().await;
    let nobody = server.client_with(ClientTlsConfig::new()).await.unwrap();
    let status = nobody.create_pod(pod("web")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(error(&status).reason, Reason::Unauthorized);
    assert!(status.message().contains("present a client certificate"), "{status}");

    let impostor = nobody.with_header("authorization", "Bearer guessed");
    let status = impostor.create_pod(pod("web")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(!status.message().contains("guessed"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_does_not_get_through_tls() {
    let server = Server::start().await;
    let (certificate, key) = Authority::new().sign("kubernetes-admin", "system:masters");
    let tls = ClientTlsConfig::new().identity(Identity::from_pem(certificate, key));
    // With TLS 1.3 the client believes to be connected until the first answer.
    if let Ok(impostor) = server.client_with(tls).await {
        assert!(impostor.create_pod(pod("web")).await.is_err());
    }
    assert!(list(&server.admin().await).await.unwrap().items.is_empty(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_in_the_words_of_kubernetes() {
    let server = Server::start().await;
    let alice = server.client("alice", "dev").await;
    let status = alice.create_pod(pod("web")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status.message(),
        "pods is forbidden: User \"alice\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!(error(&status).reason, Reason::Forbidden);

    let scheduler = server.client("system:kube-scheduler", "").await;
    assert!(list(&scheduler).await.is_ok());
    assert_eq!(scheduler.create_pod(pod("web")).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_registers_its_own_node_only() {
    let server = Server::start().await;
    let kubelet = server.client("system:node:a", "system:nodes").await;
    let create = |name: &str| {
        let mut object = Node::default();
        object.metadata.name = name.into();
        CreateRequest { namespace: String::new(), object, options: None }
    };
    let node: Node = kubelet.call("/traceplane.v1.Nodes/Create", create("a")).await.unwrap();
    assert_eq!(node.spec.taints[0].key, "node.kubernetes.io/not-ready", "a new node is not ready");
    let status = kubelet.call::<Node, _>("/traceplane.v1.Nodes/Create", create("b")).await.unwrap_err();
    assert_eq!(status.message(), "nodes \"b\" is forbidden: node \"a\" is not allowed to modify node \"b\"");
    let status = list(&kubelet).await.unwrap_err();
    assert!(status.message().ends_with("can only list/watch pods with spec.nodeName field selector"), "{status}");
}

async fn list(client: &crate::harness::Client) -> Result<PodList, tonic::Status> {
    client.call("/traceplane.v1.Pods/List", ListRequest { namespace: "default".into(), options: None }).await
}
