//! What is too much, too late, or not there.

use std::time::Duration;

use api::Reason;
use api::core::v1::{ConfigMap, Pod};
use api::rpc::{CreateRequest, GetRequest, WatchRequest};
use tokio::time::{Instant, timeout};
use tonic::{Code, Streaming};

use crate::harness::{Client, PATIENCE, Server, error};

async fn create_config_map(client: &Client, bytes: usize) -> Result<ConfigMap, tonic::Status> {
    let mut object = ConfigMap::default();
    object.metadata.name = "big".into();
    object.data.insert("data".into(), "x".repeat(bytes));
    let request = CreateRequest { namespace: "default".into(), object, options: None };
    client.call("/traceplane.v1.ConfigMaps/Create", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_too_large_is_refused_with_the_limit() {
    let server = Server::start().await;
    let client = server.admin().await;
    for (bytes, limit) in [(4 << 20, "3145728"), (1_600_000, "1572864")] {
        let status = create_config_map(&client, bytes).await.unwrap_err();
        assert_eq!(error(&status).reason, Reason::RequestEntityTooLarge, "{bytes} bytes: {status:?}");
        assert!(status.message().contains(limit) && status.message().contains("split the object"), "{status}");
    }
    let get = GetRequest { namespace: "default".into(), name: "big".into(), options: None };
    let status = client.call::<ConfigMap, _>("/traceplane.v1.ConfigMaps/Get", get).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "nothing is half written");
    create_config_map(&client, 900_000).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_there_is_not_is_explained() {
    let server = Server::start().await;
    let client = server.admin().await;
    let call = |path| client.call::<Pod, _>(path, GetRequest::default());
    let status = call("/traceplane.v1.Pods/Frobnicate").await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("has no method \"Frobnicate\"; it has Create, Get,"), "{status}");
    let status = call("/traceplane.v1.Gadgets/Get").await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("there is no service \"traceplane.v1.Gadgets\""), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_deadline_of_its_call() {
    let server = Server::start().await;
    let client = server.admin().await.with_header("grpc-timeout", "300m");
    let start = Instant::now();
    let mut events: Streaming<api::rpc::Event<Pod>> =
        client.stream("/traceplane.v1.Pods/Watch", WatchRequest::default()).await.unwrap();
    let status = timeout(PATIENCE, events.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_watches_and_tells_them_to_come_back() {
    let server = Server::start().await;
    let client = server.admin().await;
    let mut events: Streaming<api::rpc::Event<Pod>> =
        client.stream("/traceplane.v1.Pods/Watch", WatchRequest::default()).await.unwrap();
    let start = Instant::now();
    let stopped = tokio::spawn(server.stop());
    let status = timeout(PATIENCE, events.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("watch again from the last resourceVersion"), "{status}");
    drop((events, client));
    timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "an idle server does not wait out its bounds");
}
