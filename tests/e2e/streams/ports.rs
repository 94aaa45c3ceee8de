//! `tpctl port-forward`.

use super::{Going, on_process, on_virtual, running};
use crate::PATIENCE;
use api::core::v1::Pod;
use api::meta::v1::DeleteOptions;
use client::Api;
use futures::future::join_all;
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::objects::pod;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_for_many_at_once_until_the_pod_is_gone() {
    ports(&on_virtual().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_for_many_at_once_until_the_pod_is_gone_for_real() {
    let Some(cluster) = on_process().await else { return };
    ports(&cluster).await;
}

async fn ports(cluster: &Cluster) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    running(&pods, &pod("web", "nginx")).await;
    let mut forward = Going::start(cluster, &["port-forward", "pod/web", ":80", "--address", "127.0.0.1"]);
    let line = forward.line().await;
    let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.strip_suffix(" -> 80"));
    let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
    let answers = join_all((0..8).map(|_| get(&address))).await;
    for answer in &answers {
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Welcome to nginx!"), "{answer}");
    }
    let (_, port) = address.split_once(':').expect("an address has a port");
    for _ in &answers {
        assert_eq!(forward.line().await, format!("Handling connection for {port}"));
    }
    let now = DeleteOptions { grace_period_seconds: Some(1), ..DeleteOptions::default() };
    pods.delete("web", now).await.expect("it is deleted");
    let (said, code) = forward.end().await;
    assert_eq!((said.as_str(), code), ("error: lost connection to pod\n", Some(1)));
    // Its connections end with what runs in it, and the object only after that.
    eventually("the pod is gone", PATIENCE, async || match pods.get("web").await {
        Err(error) if error.is_not_found() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    running(&pods, &pod("web", "nginx")).await;
    let mut forward = Going::start(cluster, &["port-forward", "web", "0:81", "--address", "127.0.0.1"]);
    let line = forward.line().await;
    let address =
        line.strip_prefix("Forwarding from ").and_then(|rest| rest.strip_suffix(" -> 81")).expect("an address");
    assert_eq!(get(address).await, "", "nobody listens there");
    let (said, code) = forward.end().await;
    assert!(
        said.contains("error forwarding port 81 to pod web_default")
            && said.ends_with("error: lost connection to pod\n"),
        "{said}"
    );
    assert_eq!(code, Some(1));
}

/// What a server says to a request for `/`; nothing if it refuses.
pub(crate) async fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the port is open");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it is carried");
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    // A connection that is refused there may be reset here.
    let _ = read;
    String::from_utf8_lossy(&answer).into_owned()
}
