//! Pods that live and die as they should.

use super::*;

#[tokio::test(start_paused = true)]
async fn c5_c6_a_pod_is_started_and_its_status_written_only_when_it_changes() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    let took = cluster.until_ready().await;
    assert!((600..650).contains(&took), "pull, sandbox, create, start: {took} ms");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(*cluster.api.statuses.lock(), ["Pending", "Running ready"]);
    let size = 72 << 20;
    assert_eq!(
        cluster.events(),
        [
            "Normal Pulling: Pulling image \"nginx\"".to_owned(),
            format!(
                "Normal Pulled: Successfully pulled image \"nginx\" in 600ms (600ms including waiting). Image size: {size} bytes."
            ),
            "Normal Created: Container created".to_owned(),
            "Normal Started: Container started".to_owned(),
        ]
    );
    let status = cluster.status().unwrap();
    assert_eq!((status.pod_ip.as_str(), status.host_ip.as_str()), ("10.244.0.1", "192.168.0.7"));
    assert_eq!(status.container_statuses[0].image, "docker.io/library/nginx:latest");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_starts_at_once_is_reported_once() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: pause, imagePullPolicy: IfNotPresent}]");
    let took = cluster.until_ready().await;
    assert!(took <= 15, "{took} ms");
    assert_eq!(*cluster.api.statuses.lock(), ["Running ready"]);
}

#[tokio::test(start_paused = true)]
async fn p1_a_pod_becomes_ready_when_its_probe_passes() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 2}}]",
        &[("ready-after", "3s")],
    );
    let took = cluster.until_ready().await;
    assert!((4_600..4_800).contains(&took), "probed at 0.1 s, 2.1 s and 4.1 s after the start: {took} ms");
    let unhealthy = "Warning Unhealthy: Readiness probe failed: Get \"http://10.244.0.1:80/\": dial tcp 10.244.0.1:80: connect: connection refused";
    assert_eq!(cluster.events().iter().filter(|event| *event == unhealthy).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn d4_d9_a_deleted_pod_disappears_when_nothing_of_it_runs() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.events();
    cluster.delete(30);
    let took = cluster.until_gone().await;
    assert!((20..40).contains(&took), "{took} ms");
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(cluster.events(), ["Normal Killing: Stopping container web"]);
    assert!(cluster.context.admitted.lock().is_empty(), "what it had been given is free again");
}

#[tokio::test(start_paused = true)]
async fn d6_d8_hook_extension_and_kill_take_the_grace_period_and_two_seconds() {
    let cluster = Cluster::new().await;
    cluster.create_with(
        "containers: [{name: web, image: nginx, lifecycle: {preStop: {exec: {command: [sleep, '60']}}}}]",
        &[("term-time", "ignore")],
    );
    cluster.until_ready().await;
    cluster.delete(10);
    let took = cluster.until_gone().await;
    assert!((12_000..12_100).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn d10_a_pod_deleted_by_force_is_killed_all_the_same() {
    let cluster = Cluster::new().await;
    cluster.create_with(NGINX, &[("term-time", "ignore")]);
    cluster.until_ready().await;
    cluster.api.remove("web");
    assert_eq!(cluster.sandboxes().await, 1);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(
        cluster.api.statuses.lock().last().map(String::as_str),
        Some("Running ready"),
        "nothing is written about it"
    );
}

#[tokio::test(start_paused = true)]
async fn d12_a_pod_with_finalizers_is_stopped_and_stays() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.change(|pod| pod.metadata.finalizers.push("example.com/wait".to_owned()));
    cluster.delete(30);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.sandboxes().await, 0);
    assert_eq!(cluster.status().unwrap().phase, "Succeeded");
    cluster.api.remove("web");
    sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn d13_a_pod_is_deleted_in_the_middle_of_its_start() {
    let cluster = Cluster::new().await;
    cluster.create_with(NGINX, &[("pull-time", "300s")]);
    cluster.until_waiting("ContainerCreating").await;
    cluster.delete(30);
    let took = cluster.until_gone().await;
    assert!(took < 50, "{took} ms");
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn pods_are_not_restarted_when_the_kubelet_is() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: nginx, readinessProbe: {tcpSocket: {port: 80}}}]");
    cluster.until_ready().await;
    let before = cluster.status().unwrap();
    let writes = cluster.api.statuses.lock().len();
    let cluster = cluster.restart().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.status().unwrap(), before);
    assert_eq!(cluster.api.statuses.lock().len(), writes, "nothing had to be written");
}

#[tokio::test(start_paused = true)]
async fn what_lost_its_pod_while_the_kubelet_was_away_is_cleaned_up() {
    let cluster = Cluster::new().await;
    cluster.create(NGINX);
    cluster.until_ready().await;
    cluster.shutdown.trigger();
    *cluster.api.watch.lock() = None;
    cluster.api.remove("web");
    let cluster = Cluster::on(cluster.api, cluster.engine, cluster.clock, None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn s1_a_pod_that_is_done_is_completed() {
    let cluster = Cluster::new().await;
    cluster.create("{restartPolicy: Never, containers: [{name: web, image: busybox, command: [sleep, '5']}]}");
    cluster.until("succeeded", |status| status.is_some_and(|status| status.phase == "Succeeded")).await;
    let status = cluster.status().unwrap();
    let ended = status.container_statuses[0].state.terminated.clone().unwrap();
    assert_eq!((ended.reason.as_str(), ended.exit_code), ("Completed", 0));
    cluster.api.remove("web");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.sandboxes().await, 0);
}

#[tokio::test(start_paused = true)]
async fn i1_init_containers_then_containers() {
    let cluster = Cluster::new().await;
    cluster.create(
        "{initContainers: [{name: a, image: busybox, command: [sleep, '2']}, {name: b, image: busybox, command: [sleep, '3']}],
          containers: [{name: web, image: pause}]}",
    );
    let took = cluster.until_ready().await;
    assert!((5_000..5_500).contains(&took), "{took} ms");
}
