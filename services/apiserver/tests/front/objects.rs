//! Objects through the generic service: what is answered, and what watches deliver.

use api::Reason;
use api::core::v1::{Binding, Namespace, Node, ObjectReference, Pod, PodList, Service};
use api::meta::v1::{DeleteOptions, ListOptions, ObjectMeta};
use api::rpc::{
    BindPodRequest, BindPodResponse, CreateRequest, DeleteRequest, Event, EventType, GetRequest, List, ListRequest,
    PatchRequest, PatchType, UpdateRequest, WatchRequest,
};
use api::scheduling::v1::PriorityClass;
use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::harness::{Client, PATIENCE, Server, error, pod};

async fn next(events: &mut Streaming<Event<Pod>>) -> Event<Pod> {
    timeout(PATIENCE, events.message()).await.expect("an event").unwrap().expect("the watch goes on")
}

async fn watch(client: &Client, resource_version: &str) -> Streaming<Event<Pod>> {
    let options = Some(ListOptions { resource_version: resource_version.into(), ..ListOptions::default() });
    client.stream("/traceplane.v1.Pods/Watch", WatchRequest { namespace: "default".into(), options }).await.unwrap()
}

async fn list(client: &Client) -> List<Pod> {
    client.call("/traceplane.v1.Pods/List", ListRequest { namespace: "default".into(), options: None }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_created_read_listed_and_watched_at_one_revision() {
    let server = Server::start().await;
    let client = server.admin().await;
    let before = list(&client).await;
    let mut events = watch(&client, &before.metadata.resource_version).await;

    let created = client.create_pod(pod("web")).await.unwrap();
    assert!(!created.metadata.uid.is_empty() && !created.metadata.resource_version.is_empty());
    assert_eq!(created.spec.service_account_name, "default");
    assert_eq!((created.spec.priority, created.spec.tolerations.len()), (Some(0), 2), "admission has passed");
    assert_eq!(client.get_pod("web").await.unwrap(), created);
    let listed: PodList = client
        .call("/traceplane.v1.Pods/List", ListRequest { namespace: "default".into(), options: None })
        .await
        .unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&created), "the typed list reads what the generic service wrote");

    let added = next(&mut events).await;
    assert_eq!((added.r#type(), &added.object), (EventType::Added, &created));
    let cause = added.cause.expect("every write has a cause");
    assert_eq!(cause.revision.to_string(), created.metadata.resource_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_patches_and_deletes_reach_the_watcher_in_order() {
    let server = Server::start().await;
    let client = server.admin().await;
    let created = client.create_pod(pod("web")).await.unwrap();
    let mut events = watch(&client, &created.metadata.resource_version).await;

    let mut changed = created.clone();
    changed.metadata.labels.insert("app".into(), "web".into());
    let update = UpdateRequest { namespace: "default".into(), object: changed.clone(), options: None };
    let updated: Pod = client.call("/traceplane.v1.Pods/Update", update.clone()).await.unwrap();
    let stale = client.call::<Pod, _>("/traceplane.v1.Pods/Update", update).await.unwrap_err();
    assert_eq!((stale.code(), error(&stale).reason), (Code::Aborted, Reason::Conflict));

    let patch = PatchRequest {
        namespace: "default".into(),
        name: "web".into(),
        r#type: PatchType::MergePatch.into(),
        patch: br#"{"status":{"phase":"Running"}}"#.to_vec(),
        subresource: "status".into(),
        options: None,
    };
    let running: Pod = client.call("/traceplane.v1.Pods/Patch", patch).await.unwrap();
    assert_eq!(running.status.phase, "Running");

    let options = Some(DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() });
    let delete = DeleteRequest { namespace: "default".into(), name: "web".into(), options };
    let _: Pod = client.call("/traceplane.v1.Pods/Delete", delete).await.unwrap();
    let gone = client.get_pod("web").await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "pods \"web\" not found"));

    let seen = [next(&mut events).await, next(&mut events).await, next(&mut events).await];
    let kinds: Vec<_> = seen.iter().map(Event::r#type).collect();
    assert_eq!(kinds, [EventType::Modified, EventType::Modified, EventType::Deleted]);
    assert_eq!((&seen[0].object, &seen[1].object), (&updated, &running));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_bound_to_a_node_once() {
    let server = Server::start().await;
    let client = server.admin().await;
    client.create_pod(pod("web")).await.unwrap();
    let scheduler = server.client("system:kube-scheduler", "").await;
    let bind = || {
        let target = ObjectReference { kind: "Node".into(), name: "a".into(), ..ObjectReference::default() };
        let metadata = ObjectMeta { name: "web".into(), ..ObjectMeta::default() };
        BindPodRequest { namespace: "default".into(), binding: Some(Binding { metadata, target }) }
    };
    let bound: BindPodResponse = scheduler.call("/traceplane.v1.Pods/Bind", bind()).await.unwrap();
    let pod = client.get_pod("web").await.unwrap();
    assert_eq!((pod.spec.node_name.as_str(), &pod.metadata.resource_version), ("a", &bound.resource_version));
    let again = scheduler.call::<BindPodResponse, _>("/traceplane.v1.Pods/Bind", bind()).await.unwrap_err();
    assert_eq!(error(&again).reason, Reason::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cluster_has_its_system_objects() {
    let server = Server::start().await;
    let client = server.admin().await;
    let everywhere = || ListRequest::default();
    let namespaces: List<Namespace> = client.call("/traceplane.v1.Namespaces/List", everywhere()).await.unwrap();
    let names: Vec<_> = namespaces.items.iter().map(|namespace| namespace.metadata.name.as_str()).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let classes: List<PriorityClass> = client.call("/traceplane.v1.PriorityClasses/List", everywhere()).await.unwrap();
    assert_eq!(classes.items.len(), 2);
    let request = GetRequest { namespace: "default".into(), name: "kubernetes".into(), options: None };
    let service: Service = client.call("/traceplane.v1.Services/Get", request).await.unwrap();
    assert_eq!(service.spec.cluster_ip, "10.96.0.1");

    let delete = DeleteRequest { name: "default".into(), ..DeleteRequest::default() };
    let status = client.call::<Namespace, _>("/traceplane.v1.Namespaces/Delete", delete).await.unwrap_err();
    assert_eq!(status.message(), "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_created_in_a_namespace_that_is_not_there() {
    let server = Server::start().await;
    let client = server.admin().await;
    let request = || CreateRequest { namespace: "shop".into(), object: pod("web"), options: None };
    let status = client.call::<Pod, _>("/traceplane.v1.Pods/Create", request()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "namespaces \"shop\" not found"));
    let mut shop = Namespace::default();
    shop.metadata.name = "shop".into();
    let create = CreateRequest { namespace: String::new(), object: shop, options: None };
    let _: Namespace = client.call("/traceplane.v1.Namespaces/Create", create).await.unwrap();
    let _: Pod = client.call("/traceplane.v1.Pods/Create", request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_wide_objects_have_no_namespace_whatever_the_request_says() {
    let server = Server::start().await;
    let client = server.admin().await;
    let mut object = Node::default();
    object.metadata.name = "a".into();
    let create = CreateRequest { namespace: "default".into(), object, options: None };
    let _: Node = client.call("/traceplane.v1.Nodes/Create", create).await.unwrap();
    let get = GetRequest { namespace: String::new(), name: "a".into(), options: None };
    let node: Node = client.call("/traceplane.v1.Nodes/Get", get).await.unwrap();
    assert_eq!(node.metadata.namespace, "");
}
