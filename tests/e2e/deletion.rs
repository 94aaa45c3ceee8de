//! D: how a pod goes.

use crate::{PATIENCE, ready_pods};
use api::Reason;
use api::core::v1::Pod;
use api::meta::v1::{DeleteOptions, ListOptions, Preconditions};
use client::{Api, Patch, WatchEvent};
use std::time::{Duration, Instant};
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::objects::pod;

async fn running(cluster: &Cluster, pod: &Pod) -> (Api<Pod>, Pod) {
    let api = Api::<Pod>::namespaced(cluster.client(), "default");
    api.create(pod).await.expect("the pod is created");
    let label = format!("app={}", pod.metadata.name);
    let pod = ready_pods(&cluster.client(), &label, 1).await.remove(0);
    (api, pod)
}

async fn gone(api: &Api<Pod>, name: &str) {
    eventually(&format!("pod {name} is gone"), PATIENCE, async || match api.get(name).await {
        Err(e) if e.reason == Reason::NotFound => Ok(()),
        Err(e) => Err(e.to_string()),
        Ok(pod) => Err(crate::shown(&[pod])),
    })
    .await;
}

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() }
}

/// D1, D2, D3, D7, D9.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_is_terminating_until_nothing_of_it_runs() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let (api, pod) = running(&cluster, &pod("web", "nginx")).await;
    let mut watch = api
        .watch(ListOptions { resource_version: pod.metadata.resource_version.clone(), ..ListOptions::default() })
        .await
        .expect("a watch");
    let answer = api.delete("web", DeleteOptions::default()).await.expect("the delete is accepted");
    assert!(answer.metadata.deletion_timestamp.is_some(), "D2");
    assert_eq!(answer.metadata.deletion_grace_period_seconds, Some(30), "D1: terminationGracePeriodSeconds by default");
    let mut last = None;
    loop {
        match tokio::time::timeout(PATIENCE, watch.next())
            .await
            .expect("events come")
            .expect("the watch goes on")
            .expect("no error")
        {
            WatchEvent::Modified(pod, _) => last = Some(pod),
            WatchEvent::Deleted(pod, cause) => {
                assert_eq!(pod.metadata.uid, answer.metadata.uid);
                assert_eq!(
                    pod.metadata.resource_version,
                    cause.revision.to_string(),
                    "the removal has a revision of its own"
                );
                break;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    let last = last.expect("the kubelet reports before it removes");
    let terminated = last.status.container_statuses[0].state.terminated.as_ref();
    assert!(terminated.is_some(), "D9: only when nothing runs: {}", crate::shown(&[(*last).clone()]));
}

/// D10.
#[tokio::test(flavor = "multi_thread")]
async fn a_forced_delete_removes_the_object_at_once() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let (api, _) = running(&cluster, &pod("web", "nginx")).await;
    api.delete("web", grace(0)).await.expect("the delete is accepted");
    assert_eq!(api.get("web").await.expect_err("it is gone").reason, Reason::NotFound);
    // The kubelet has stopped it too: a pod of the same name runs in a new container.
    let (_, again) = running(&cluster, &pod("web", "nginx")).await;
    assert_eq!(again.status.container_statuses[0].restart_count, 0);
}

/// D12: finalizers, shortened grace, preconditions.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_honours_finalizers_preconditions_and_never_lengthens_a_grace_period() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let mut kept = pod("kept", "nginx");
    kept.metadata.finalizers = vec!["example.com/hold".to_owned()];
    let (api, kept) = running(&cluster, &kept).await;

    let wrong = Preconditions { uid: Some("another".to_owned()), ..Preconditions::default() };
    let refused = api
        .delete("kept", DeleteOptions { preconditions: Some(wrong), ..grace(5) })
        .await
        .expect_err("another pod is meant");
    assert_eq!(refused.reason, Reason::Conflict, "{refused}");

    let first = api.delete("kept", grace(20)).await.expect("accepted");
    assert_eq!(first.metadata.deletion_grace_period_seconds, Some(20));
    let longer = api.delete("kept", grace(60)).await.expect("accepted");
    assert_eq!(longer.metadata.deletion_grace_period_seconds, Some(20), "never lengthened");
    let shorter = api.delete("kept", grace(3)).await.expect("accepted");
    assert_eq!(shorter.metadata.deletion_grace_period_seconds, Some(3), "shortened");

    let held = eventually("the kubelet is done with the pod", PATIENCE, async || {
        let pod = api.get("kept").await.map_err(|e| e.to_string())?;
        let stopped = pod.status.container_statuses.iter().all(|s| s.state.terminated.is_some());
        if stopped { Ok(pod) } else { Err(crate::shown(&[pod])) }
    })
    .await;
    assert_eq!(held.metadata.uid, kept.metadata.uid);
    api.patch("kept", &Patch::Merge(serde_json::json!({ "metadata": { "finalizers": null } })))
        .await
        .expect("the finalizer is taken off");
    gone(&api, "kept").await;
}

/// D8: who ignores TERM is killed when the grace period is over, not before.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ignores_term_is_killed_at_the_end_of_the_grace_period() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let mut stubborn = pod("stubborn", "nginx");
    stubborn.metadata.annotations.insert("sim.traceplane.dev/term-time".to_owned(), "ignore".to_owned());
    let (api, _) = running(&cluster, &stubborn).await;
    let begin = Instant::now();
    api.delete("stubborn", grace(2)).await.expect("accepted");
    gone(&api, "stubborn").await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(2), "killed after {took:?}, before its grace was over");
    eventually("the kill is in a trace", PATIENCE, async || {
        let spans = cluster.collector.spans();
        let killed = spans.iter().any(|span| span.step() == Some(telemetry::Step::PodDelete8(0)));
        if killed { Ok(()) } else { Err(format!("{} spans, none is pod.delete.8[0]", spans.len())) }
    })
    .await;
}

/// D13.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_never_scheduled_is_deleted_at_once() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let api = Api::<Pod>::namespaced(cluster.client(), "default");
    let mut nowhere = pod("nowhere", "nginx");
    nowhere.spec.node_selector.insert("disk".to_owned(), "none".to_owned());
    api.create(&nowhere).await.expect("created");
    api.delete("nowhere", DeleteOptions::default()).await.expect("accepted");
    assert_eq!(api.get("nowhere").await.expect_err("it is gone").reason, Reason::NotFound);
}
