//! S3: every reason that a container can wait or have ended for, produced by settings, with its message and its event.

use super::*;

/// A container, its settings, the reason, and the beginnings of message and event.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str, &'static str);

const WAITING: [Row; 15] = [
    ("image: nginx", &[("sandbox-time", "1h")], "ContainerCreating", "", ""),
    ("image: 'Nginx'", &[], "InvalidImageName", "Failed to apply default image tag", "Warning InspectFailed"),
    (
        "image: nginx",
        &[("inspect-error", "bad disk")],
        "ImageInspectError",
        "Failed to inspect image",
        "Warning InspectFailed",
    ),
    (
        "image: nginx, imagePullPolicy: Never",
        &[],
        "ErrImageNeverPull",
        "Container image \"nginx\" is not present",
        "Warning ErrImageNeverPull",
    ),
    (
        "image: nginx",
        &[("pull-error", "not found")],
        "ErrImagePull",
        "rpc error: code = NotFound",
        "Warning Failed: Failed to pull image",
    ),
    (
        "image: nginx",
        &[("pull-error", "not found")],
        "ImagePullBackOff",
        "Back-off pulling image \"nginx\"",
        "Normal BackOff: Back-off pulling",
    ),
    (
        "image: nginx",
        &[("pull-error", "RegistryUnavailable: lookup registry: no such host")],
        "RegistryUnavailable",
        "image pull failed for nginx because the registry is unavailable: lookup registry: no such host",
        "Warning Failed: Error: RegistryUnavailable",
    ),
    (
        "image: nginx",
        &[("pull-error", "SignatureValidationFailed")],
        "SignatureValidationFailed",
        "image pull failed for nginx because the signature validation failed",
        "Warning Failed: Failed to pull image \"nginx\": SignatureValidationFailed",
    ),
    (
        "image: nginx",
        &[("pull-error", "lookup registry: no such host")],
        "ErrImagePull",
        "failed to pull and unpack image \"docker.io/library/nginx:latest\": failed to resolve reference",
        "Warning Failed: Failed to pull image \"nginx\": failed to pull and unpack image",
    ),
    (
        "image: nginx, env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
        &[],
        "CreateContainerConfigError",
        "configmap \"c\" not found",
        "Warning Failed: Error: configmap \"c\" not found",
    ),
    (
        "image: nginx",
        &[("create-error", "no space")],
        "CreateContainerError",
        "no space",
        "Warning Failed: Error: no space",
    ),
    (
        "image: nginx",
        &[("pre-start-error", "no CPUs left")],
        "PreStartHookError",
        "no CPUs left",
        "Warning Failed: Internal PreStartContainer hook failed: no CPUs left",
    ),
    (
        "image: nginx",
        &[("start-error", "exec: \"x\": not found")],
        "RunContainerError",
        "exec: \"x\": not found",
        "Warning Failed: Error: exec: \"x\": not found",
    ),
    (
        "image: nginx, lifecycle: {postStart: {exec: {command: [hi]}}}",
        &[("post-start-error", "refused")],
        "PostStartHookError",
        "Exec lifecycle hook ([hi]) for Container \"web\" in Pod \"web_default(uid-",
        "Warning FailedPostStartHook",
    ),
    (
        "image: nginx",
        &[("run-for", "1s"), ("exit-code", "1")],
        "CrashLoopBackOff",
        "back-off 10s restarting failed container=web",
        "Warning BackOff: Back-off restarting failed container web",
    ),
];

#[tokio::test(start_paused = true)]
async fn s3_every_reason_to_wait_comes_with_its_message_and_event() {
    for (container, settings, reason, message, event) in WAITING {
        let cluster = Cluster::new().await;
        cluster.create_with(&format!("containers: [{{name: web, {container}}}]"), settings);
        cluster.until_waiting(reason).await;
        let status = cluster.status().unwrap();
        let waiting = status.container_statuses[0].state.waiting.clone().unwrap();
        assert!(waiting.message.starts_with(message), "{reason}: {}", waiting.message);
        let events = cluster.events();
        assert!(event.is_empty() || events.iter().any(|seen| seen.starts_with(event)), "{reason}: {events:#?}");
        let ready = status.conditions.iter().find(|condition| condition.r#type == api::pod_conditions::READY).unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "ContainersNotReady"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn s3_every_way_to_end_has_its_reason_and_exit_code() {
    /// A container, its settings, reason and exit code.
    type End = (&'static str, &'static [(&'static str, &'static str)], &'static str, i32);
    let rows: [End; 4] = [
        ("image: nginx", &[("run-for", "2s")], "Completed", 0),
        ("image: 'busybox:1', command: [sh, -c, 'echo oh; exit 3']", &[], "Error", 3),
        ("image: nginx, resources: {limits: {memory: 64Mi}}", &[("memory-usage", "20Mi, 3s:100Mi")], "OOMKilled", 137),
        (
            "image: nginx",
            &[("run-for", "1s"), ("exit-code", "9"), ("exit-reason", "ContainerCannotRun")],
            "ContainerCannotRun",
            9,
        ),
    ];
    for (container, settings, reason, code) in rows {
        let cluster = Cluster::new().await;
        cluster.create_with(&format!("{{restartPolicy: Never, containers: [{{name: web, {container}}}]}}"), settings);
        cluster.until("over", |s| s.is_some_and(|s| matches!(s.phase.as_str(), "Succeeded" | "Failed"))).await;
        let ended = cluster.status().unwrap().container_statuses[0].state.terminated.clone().unwrap();
        assert_eq!((ended.reason.as_str(), ended.exit_code), (reason, code));
    }
}

#[tokio::test(start_paused = true)]
async fn s3_a_start_that_failed_says_so_before_it_says_that_it_waits() {
    let hook = "image: nginx, lifecycle: {postStart: {exec: {command: [hi]}}}";
    let rows = [
        ("image: nginx", ("start-error", "no"), "RunContainerError"),
        (hook, ("post-start-error", "no"), "PostStartHookError"),
    ];
    for (container, setting, reason) in rows {
        let cluster = Cluster::new().await;
        cluster.create_with(&format!("containers: [{{name: web, {container}}}]"), &[setting]);
        cluster.until_waiting(reason).await;
        let since = tokio::time::Instant::now();
        cluster.until_waiting("CrashLoopBackOff").await;
        assert!(since.elapsed() >= Duration::from_secs(3), "{reason}: for {:?}", since.elapsed());
        assert_eq!(cluster.status().unwrap().container_statuses[0].restart_count, 1, "the first failure is free");
    }
}
