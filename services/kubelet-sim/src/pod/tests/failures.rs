//! What goes wrong, and what users see of it.

use super::*;
use crate::lifecycle::{Ended, Eviction};

#[tokio::test(start_paused = true)]
async fn s2_a_crashing_container_is_restarted_with_growing_delays() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: busybox, command: [sh, -c, 'sleep 1; exit 1']}]");
    cluster.until_waiting("CrashLoopBackOff").await;
    assert_eq!(cluster.status().unwrap().container_statuses[0].restart_count, 1);
    sleep(Duration::from_secs(60)).await;
    let status = cluster.status().unwrap();
    let main = &status.container_statuses[0];
    assert_eq!((main.restart_count, status.phase.as_str()), (3, "Running"));
    assert_eq!(main.last_state.terminated.as_ref().map(|t| t.exit_code), Some(1));
    let reasons = cluster.reasons();
    assert_eq!(reasons.iter().filter(|reason| *reason == "BackOff").count(), 3);
    assert_eq!(
        reasons.iter().filter(|reason| *reason == "Pulling").count(),
        4,
        "busybox has no tag, so it is always looked up"
    );
}

#[tokio::test(start_paused = true)]
async fn h3_a_failing_post_start_hook_is_told_with_its_output() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, lifecycle: {postStart: {exec: {command: [check]}}}}]",
        &[("post-start-error", "no luck")],
    );
    cluster.until_waiting("PostStartHookError").await;
    let events = cluster.events();
    let failed = events.iter().find(|event| event.starts_with("Warning FailedPostStartHook")).unwrap();
    assert!(failed.contains("\"no luck\""), "{failed}");
    cluster.until_waiting("CrashLoopBackOff").await;
}

#[tokio::test(start_paused = true)]
async fn volumes_wait_for_what_they_refer_to() {
    let cluster = Cluster::new().await;
    cluster.create("{volumes: [{name: v, configMap: {name: c}}], containers: [{name: web, image: pause}]}");
    sleep(Duration::from_secs(3)).await;
    let told = "Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"c\" not found";
    assert_eq!(cluster.events(), [told; 3], "at once, after 0.5 s and after 1.5 s");
    cluster.api.set_config_map("c", &[]);
    let took = cluster.until_ready().await;
    assert!(took < 400, "the next attempt would be due in 500 ms, but the pod went on at once: {took} ms");
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn p2_a_failing_liveness_probe_restarts_the_container() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 2}}]",
        &[("live-for", "5s")],
    );
    cluster.until("restarted", |s| s.is_some_and(|s| s.container_statuses.iter().any(|c| c.restart_count == 1))).await;
    let events = cluster.events();
    assert!(
        events.contains(&"Normal Killing: Container web failed liveness probe, will be restarted".to_owned()),
        "{events:?}"
    );
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_the_apiserver_is_back() {
    let cluster = Cluster::new().await;
    *cluster.api.down.lock() = true;
    cluster.create(NGINX);
    sleep(Duration::from_secs(30)).await;
    assert!(cluster.api.statuses.lock().is_empty());
    *cluster.api.down.lock() = false;
    let took = cluster.until_ready().await;
    assert!(took < 6_000, "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn the_node_refuses_what_does_not_fit() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: nginx, resources: {requests: {cpu: '5'}}}]");
    cluster.until("failed", |status| status.is_some_and(|status| status.phase == "Failed")).await;
    assert_eq!(cluster.status().unwrap().reason, "OutOfcpu");
    assert_eq!(cluster.reasons(), ["OutOfcpu"]);
    assert_eq!(cluster.sandboxes().await, 0);

    let before = cluster.status();
    let cluster = cluster.restart().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.status(), before, "a kubelet that comes back has nothing to add");
    assert_eq!(cluster.reasons(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_the_node_got_a_moment_ago_counts() {
    let cluster = Cluster::new().await;
    let picky = "nodeSelector: {disk: ssd}\ncontainers: [{name: web, image: nginx}]";
    cluster.create(picky);
    cluster.until("failed", |status| status.is_some_and(|status| status.phase == "Failed")).await;
    assert_eq!(cluster.reasons(), ["NodeAffinity"]);
    cluster.api.remove("web");
    cluster.api.node_labels.lock().insert("disk".to_owned(), "ssd".to_owned());
    *cluster.api.down.lock() = true;
    cluster.create(picky);
    sleep(Duration::from_secs(2)).await;
    *cluster.api.down.lock() = false;
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_time_is_up_is_told_so() {
    let cluster = Cluster::new().await;
    cluster.create("activeDeadlineSeconds: 5\ncontainers: [{name: web, image: nginx}]");
    cluster.until("failed", |status| status.is_some_and(|status| status.phase == "Failed")).await;
    let told = "Normal DeadlineExceeded: Pod was active on the node longer than the specified deadline";
    let events = cluster.events();
    let of_the_end: Vec<&String> = events.iter().filter(|event| !is_of_a_start(event)).collect();
    assert_eq!(of_the_end, [told, "Normal Killing: Stopping container web"], "each once");
}

/// H5, S3: Evicted. The eviction manager tells of it; the pod's worker adds what becomes of containers.
#[tokio::test(start_paused = true)]
async fn a_pod_that_the_node_ends_is_told_so_by_who_ends_it() {
    for reason in ["Evicted", "Terminated"] {
        let cluster = Cluster::new().await;
        let uid = cluster.create(NGINX).metadata.uid;
        cluster.until_ready().await;
        let ended = Ended { reason: reason.to_owned(), message: "the node's business".to_owned() };
        cluster.api.tell(PodChange::Evict(uid, Box::new(Eviction { ended, grace: 1, disrupts: true })));
        cluster.until("failed", |status| status.is_some_and(|status| status.phase == "Failed")).await;
        assert_eq!(cluster.status().unwrap().reason, reason);
        let events = cluster.events();
        let of_the_end: Vec<&String> = events.iter().filter(|event| !is_of_a_start(event)).collect();
        assert_eq!(of_the_end, ["Normal Killing: Stopping container web"]);
    }
}

fn is_of_a_start(event: &str) -> bool {
    ["Pulling", "Pulled", "Created", "Started"].iter().any(|reason| event.starts_with(&format!("Normal {reason}:")))
}
