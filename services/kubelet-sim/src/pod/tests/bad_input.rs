//! What users get wrong, and what they are told.

use super::*;

#[tokio::test(start_paused = true)]
async fn p1_a_probe_of_a_port_that_has_no_such_name_says_so_and_is_no_verdict() {
    let cluster = Cluster::new().await;
    cluster.create(
        "containers: [{name: web, image: nginx, readinessProbe: {tcpSocket: {port: http}},
           livenessProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 1}}]",
    );
    sleep(Duration::from_secs(60)).await;
    let status = cluster.status().unwrap();
    let web = &status.container_statuses[0];
    assert_eq!((web.ready, web.restart_count, status.phase.as_str()), (false, 0, "Running"));
    let told = "Warning Unhealthy: Readiness probe errored and resulted in unknown state: strconv.Atoi: parsing \"http\": invalid syntax";
    assert!(cluster.events().iter().any(|event| event == told));
}

#[tokio::test(start_paused = true)]
async fn s3_a_command_that_does_not_exist_is_a_start_error_and_then_a_crash_loop() {
    let cluster = Cluster::new().await;
    let why = "failed to create shim task: exec: \"nope\": executable file not found in $PATH";
    cluster.create_with("containers: [{name: web, image: nginx, command: [nope]}]", &[("start-error", why)]);
    cluster.until_waiting("RunContainerError").await;
    cluster.until_waiting("CrashLoopBackOff").await;
    let status = cluster.status().unwrap();
    let ended = status.container_statuses[0].last_state.terminated.clone().unwrap();
    assert_eq!((ended.reason.as_str(), ended.exit_code, ended.message.as_str()), ("StartError", 128, why));
    assert!(cluster.events().contains(&format!("Warning Failed: Error: {why}")));
}

#[tokio::test(start_paused = true)]
async fn i2_s3_what_keeps_a_pod_from_being_ready_is_named_step_by_step() {
    let cluster = Cluster::new().await;
    cluster.create(
        "{initContainers: [{name: i, image: busybox, command: [sleep, '5']}], containers: [{name: web, image: 'nginx:1'}]}",
    );
    let truth = |kind: &str, reason: &str, message: &str| {
        let (kind, reason, message) = (kind.to_owned(), reason.to_owned(), message.to_owned());
        move |status: Option<&PodStatus>| {
            let condition = status.and_then(|status| api::pod_conditions::condition(status, &kind));
            condition.is_some_and(|c| c.status == "False" && c.reason == reason && c.message == message)
        }
    };
    let incomplete = "containers with incomplete status: [i]";
    cluster.until(incomplete, truth("Initialized", "ContainersNotInitialized", incomplete)).await;
    let unready = "containers with unready status: [web]";
    cluster.until(unready, truth("Ready", "ContainersNotReady", unready)).await;
    cluster.until_waiting("PodInitializing").await;
    cluster.until_ready().await;
}

#[tokio::test(start_paused = true)]
async fn s3_a_container_that_may_not_be_root_and_is_to_be_is_not_created() {
    let cluster = Cluster::new().await;
    cluster.create("containers: [{name: web, image: nginx, securityContext: {runAsNonRoot: true, runAsUser: 0}}]");
    cluster.until_waiting("CreateContainerConfigError").await;
    let message = cluster.status().unwrap().container_statuses[0].state.waiting.clone().unwrap().message;
    let uid = cluster.api.pods.lock()["web"].metadata.uid.clone();
    let pod = format!("web_default({uid})");
    assert_eq!(message, format!("container's runAsUser breaks non-root policy (pod: {pod:?}, container: web)"));
}
