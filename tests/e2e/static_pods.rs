//! Static pods: what a node runs from files, and what the API shows of it.

use crate::PATIENCE;
use api::core::v1::Pod;
use client::Api;
use std::path::Path;
use testkit::cluster::Cluster;
use testkit::eventually;

fn manifest(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, containers: [{{name: c, image: {image}}}]}}\n"
    )
}

/// A cluster of one node with a folder of manifests.
async fn cluster(folder: &Path) -> Cluster {
    // Variables of a cluster live as long as the test's process.
    let path: &'static str = folder.display().to_string().leak();
    Cluster::start_in(&[("TRACEPLANE_POD_MANIFEST_PATH", path)], &["--nodes", "1"]).await
}

/// Waits until the mirror is Ready and fits.
async fn ready_mirror(pods: &Api<Pod>, name: &str, what: &str, fits: impl Fn(&Pod) -> bool) -> Pod {
    eventually(&format!("{name} {what}"), PATIENCE, async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if crate::is(&pod, "Ready") && fits(&pod) { Ok(pod) } else { Err(crate::shown(&[pod])) }
    })
    .await
}

async fn gone(pods: &Api<Pod>, name: &str) {
    eventually(&format!("{name} is gone"), PATIENCE, async || match pods.get(name).await {
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(pod) => Err(crate::shown(&[pod])),
    })
    .await;
}

fn container(pod: &Pod) -> (&str, i32) {
    let status = &pod.status.container_statuses[0];
    (&status.container_id, status.restart_count)
}

/// N: a file is a pod; its mirror shows it and nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_pod_and_its_mirror_only_shows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("web.yaml");
    std::fs::write(folder.path().join("broken.yaml"), manifest("broken", "nginx").replace("image", "imagee"))
        .expect("written");
    let cluster = cluster(folder.path()).await;
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");

    std::fs::write(&file, manifest("web", "nginx")).expect("written");
    let first = ready_mirror(&pods, "web-node-1", "runs", |_| true).await;
    let note = |pod: &Pod, key: &str| pod.metadata.annotations.get(&format!("kubernetes.io/config.{key}")).cloned();
    assert_eq!(note(&first, "source").as_deref(), Some("file"));
    assert_eq!(note(&first, "mirror"), note(&first, "hash"));
    assert!(note(&first, "seen").is_some());
    let owner = &first.metadata.owner_references[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Node", "node-1"));
    let described = cluster.tpctl(&["describe", "pod", "web-node-1"]).await.success();
    assert!(described.contains("Container started"), "events are about the pod that is mirrored:\n{described}");

    // Deleting the mirror stops nothing.
    cluster.tpctl(&["delete", "pod", "web-node-1"]).await.success();
    let second = ready_mirror(&pods, "web-node-1", "is back", |pod| pod.metadata.uid != first.metadata.uid).await;
    assert_eq!(container(&second), container(&first), "the same container runs");

    // Changing the file does.
    std::fs::write(&file, manifest("web", "httpd")).expect("written");
    let third = ready_mirror(&pods, "web-node-1", "is another", |pod| note(pod, "hash") != note(&first, "hash")).await;
    assert_ne!(container(&third).0, container(&first).0);
    assert_eq!(third.spec.containers[0].image, "httpd");

    std::fs::remove_file(&file).expect("removed");
    gone(&pods, "web-node-1").await;

    let log = cluster.log("kubelet-node-1");
    assert_eq!(log.matches("spec.containers[0].imagee").count(), 1, "told once, by its field:\n{log}");
    assert!(pods.get("broken-node-1").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_pod_needs_no_apiserver_and_its_kubelet_finds_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = cluster(folder.path()).await;
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    std::fs::write(folder.path().join("old.yaml"), manifest("old", "nginx")).expect("written");
    let before = ready_mirror(&pods, "old-node-1", "runs", |_| true).await;

    cluster.kill("apiserver");
    std::fs::write(folder.path().join("new.yaml"), manifest("new", "nginx")).expect("written");
    // Nobody can be asked now; but the runtime keeps what it runs in the node's folder.
    eventually("the runtime has the new pod", PATIENCE, async || {
        if says(cluster.state(), "new-node-1") { Ok(()) } else { Err("it has not".to_owned()) }
    })
    .await;
    let without_apiserver = std::time::SystemTime::now();
    cluster.kill("kubelet-node-1");
    cluster.repair().await;
    let new = ready_mirror(&pods, "new-node-1", "is mirrored", |_| true).await;
    let state = new.status.container_statuses[0].state.running.as_ref().expect("it runs");
    let started = state.started_at.as_ref().and_then(|time| time.timestamp()).expect("it has a time");
    let margin = std::time::Duration::from_secs(2);
    assert!(
        std::time::SystemTime::from(started) < without_apiserver + margin,
        "{started}: an image takes half a second"
    );
    let after = ready_mirror(&pods, "old-node-1", "still runs", |_| true).await;
    assert_eq!(container(&after), container(&before), "the container of before");
    assert_eq!(after.metadata.uid, before.metadata.uid, "its mirror is the one of before");
}

/// Whether a file below the kubelet's folder speaks of something.
fn says(folder: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Logs tell of it before it runs.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => name != "logs" && says(&path, text),
            _ => std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())),
        }
    })
}
