//! I1 to I6, H1 to H5, P1 to P4, D3 to D9: the manifests of the examples, played by docs/pod-lifecycle.md on a node where commands
//! run for real.

use crate::PATIENCE;
use crate::page::Page;
use api::core::v1::{Event, Pod};
use api::meta::v1::ListOptions;
use client::Api;
use testkit::cluster::Cluster;
use testkit::eventually;

const HTTP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/lifecycle-http.yaml");

/// I1, I2, I4, I6, H1, H2, H5, P1, P2, P3.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_the_life_of_a_pod_is_true() {
    if !testkit::is_root() {
        return;
    }
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    Page::read("docs/pod-lifecycle.md").play(&cluster).await;
    cluster.stop().await;
}

/// H1, H2, H3: the hook's request comes before the server listens or after; only then the container lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_start_request_decides_whether_the_container_lives() {
    if !testkit::is_root() {
        return;
    }
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    cluster.tpctl(&["apply", "-f", HTTP]).await.success();
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let events = Api::<Event>::namespaced(cluster.client(), "default");
    eventually("the pod is ready, or its hook was refused and the container restarted", PATIENCE, async || {
        let pod = pods.get("lifecycle-http").await.map_err(|e| e.to_string())?;
        let restarts = pod.status.container_statuses.first().map_or(0, |status| status.restart_count);
        let list = events.list(ListOptions::default()).await.map_err(|e| e.to_string())?.items;
        let failures: i32 = list.iter().filter(|e| e.reason == "FailedPostStartHook").map(|e| e.count).sum();
        let refused =
            |e: &Event| e.reason != "FailedPostStartHook" || e.message.ends_with("connect: connection refused");
        let told = list.iter().all(refused);
        let ready = crate::is(&pod, "Ready") && failures == restarts;
        if told && (ready || (failures >= 1 && restarts >= 1)) {
            return Ok(());
        }
        Err(format!("{restarts} restarts, {failures} failures of the hook: {}", crate::shown(&[pod])))
    })
    .await;
    cluster.tpctl(&["delete", "pod", "lifecycle-http"]).await.success();
}
