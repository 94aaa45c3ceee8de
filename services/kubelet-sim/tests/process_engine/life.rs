//! Containers from their creation to their end.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use futures::StreamExt;
use traceplane_kubelet_sim::cri::{self, ContainerEventType as Event, ContainerState};
use traceplane_kubelet_sim::runtime::RuntimeService;

use crate::guard::control_groups_named;
use crate::pod::{Node, PATIENCE, Spec, linux, script};

#[tokio::test]
async fn a_pod_goes_through_its_life_and_every_change_is_told_in_order() {
    let Some(it) = Node::new().await else { return };
    let mut events = it.engine.events().await.unwrap();
    let sandbox = it.sandbox().await;
    let id = it.start(&sandbox, &script("echo hello; echo trouble >&2; printf unfinished; exit 3")).await;
    let status = it.end_of(&id).await;
    assert_eq!(
        (status.state(), status.exit_code, status.reason.as_str()),
        (ContainerState::ContainerExited, 3, "Error")
    );
    assert!(status.started_at > status.created_at && status.finished_at > status.started_at);
    let log = fs::read_to_string(&status.log_path).unwrap();
    assert!(log.contains(" stdout F hello\n") && log.contains(" stderr F trouble\n"), "{log}");
    assert!(log.contains(" stdout P unfinished\n"), "{log}");

    it.engine.remove_pod_sandbox(&sandbox).await.unwrap();
    it.engine.remove_pod_sandbox(&sandbox).await.expect("removing is idempotent");
    assert!(it.engine.container_status(&id).await.unwrap_err().is_not_found());
    let expected = [
        (Event::ContainerStartedEvent, &sandbox),
        (Event::ContainerCreatedEvent, &id),
        (Event::ContainerStartedEvent, &id),
        (Event::ContainerStoppedEvent, &id),
        (Event::ContainerStoppedEvent, &sandbox),
        (Event::ContainerDeletedEvent, &id),
        (Event::ContainerDeletedEvent, &sandbox),
    ];
    for (kind, what) in expected {
        let event = events.next().await.unwrap().unwrap();
        assert_eq!((event.container_event_type(), &event.container_id), (kind, what));
        assert_eq!(event.pod_sandbox_status.unwrap().metadata.unwrap().uid, "u1", "every event names its pod");
    }
    assert_eq!(control_groups_named(&id), Vec::<std::path::PathBuf>::new());
    it.end().await;
}

#[tokio::test]
async fn d7_d8_term_is_heeded_or_the_kill_comes_when_time_is_up() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    // Name, script, timeout in seconds, exit code, the seconds that it may take.
    let cases = [
        ("a handler ends the container", "trap 'exit 0' TERM; echo up; sleep 3600 & wait", 30, 0, 0..20),
        ("a shell without one ignores TERM, being process 1", "echo up; while :; do sleep 1; done", 2, 137, 2..30),
        ("no time at all is a kill", "trap 'exit 0' TERM; echo up; sleep 3600 & wait", 0, 137, 0..20),
        ("a failing command shows its own code", "trap 'exit 7' TERM; echo up; sleep 3600 & wait", 30, 7, 0..20),
    ];
    for (name, text, timeout, code, takes) in cases {
        let id = it.start(&sandbox, &script(text)).await;
        it.has_printed(&id, "up").await;
        let start = Instant::now();
        it.engine.stop_container(&id, timeout).await.unwrap();
        let took = start.elapsed().as_secs();
        assert!(takes.contains(&took), "{name}: took {took} s");
        assert_eq!(it.status(&id).await.exit_code, code, "{name}");
        it.engine.stop_container(&id, timeout).await.expect("stopping is idempotent");
    }
    it.end().await;
}

#[tokio::test]
async fn d12_a_second_stop_shortens_the_first() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("trap '' TERM; echo up; while :; do sleep 1; done")).await;
    it.has_printed(&id, "up").await;
    let (engine, first) = (it.engine.clone(), id.clone());
    let first = tokio::spawn(async move { engine.stop_container(&first, 3_600).await });
    it.engine.stop_container(&id, 1).await.unwrap();
    tokio::time::timeout(PATIENCE, first).await.expect("the first stop ends with the container").unwrap().unwrap();
    assert_eq!(it.status(&id).await.exit_code, 137);
    it.end().await;
}

#[tokio::test]
async fn commands_that_cannot_be_run_say_why_as_containerd_does() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let cases: [(&[&str], &str); 4] = [
        (&["nonsense"], "exec: \"nonsense\": executable file not found in $PATH: unknown"),
        (&["/bin/nonsense"], "exec: \"/bin/nonsense\": stat /bin/nonsense: no such file or directory: unknown"),
        (&["/etc/passwd"], "exec: \"/etc/passwd\": permission denied: unknown"),
        (&["/etc"], "exec: \"/etc\": is a directory: unknown"),
    ];
    for (command, expected) in cases {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let id = it.create(&sandbox, &Spec { command, ..Spec::default() }).await.unwrap();
        let error = it.engine.start_container(&id).await.unwrap_err().message;
        assert!(
            error
                .starts_with("failed to create containerd task: failed to create shim task: OCI runtime create failed")
        );
        assert!(error.ends_with(expected), "{error}");
        let status = it.status(&id).await;
        assert_eq!((status.exit_code, status.reason.as_str(), status.started_at), (128, "StartError", 0));
        assert_eq!(status.message, error);
    }
    it.end().await;
}

#[tokio::test]
async fn a_container_sees_its_own_root_processes_and_name() {
    let Some(it) = Node::new().await else { return };
    let volume = it.root.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("file"), "from the volume").unwrap();
    let mount = |container: &str, readonly| cri::Mount {
        host_path: volume.display().to_string(),
        container_path: container.to_owned(),
        readonly,
        ..Default::default()
    };
    let spec = Spec {
        mounts: vec![mount("/data/deep", false), mount("/fixed", true)],
        working_dir: "/made/for/me".to_owned(),
        ..script("sleep 3600; true")
    };
    let id = it.run(&spec).await;
    let address = it.engine.pod_sandbox_status(&it.engine.list_pod_sandbox(None).await.unwrap()[0].id).await.unwrap();
    let address = address.status.unwrap().network.unwrap().ip;
    let answers: BTreeMap<&str, String> = BTreeMap::from([
        ("hostname", "web\n".to_owned()),
        ("cat /etc/hostname", "web\n".to_owned()),
        (
            "echo $HOSTNAME $HOME $PATH",
            "web /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n".to_owned(),
        ),
        ("pwd", "/made/for/me\n".to_owned()),
        ("cat /data/deep/file", "from the volume".to_owned()),
        ("cat /proc/1/comm", "sh\n".to_owned()),
        ("grep -c web /etc/hosts", "1\n".to_owned()),
        (
            "ls /dev",
            "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n".to_owned(),
        ),
        ("echo x > /dev/null; echo shared > /dev/shm/x; cat /dev/shm/x", "shared\n".to_owned()),
    ]);
    for (question, expected) in answers {
        assert_eq!(it.ask(&id, question).await, (expected, 0), "{question}");
    }
    assert!(it.ask(&id, "cat /etc/hosts").await.0.ends_with(&format!("{address}\tweb\n")));
    for forbidden in ["echo x > /fixed/file", "echo x > /sys/kernel/profiling", "echo 1 > /proc/sys/kernel/panic"] {
        assert_ne!(it.ask(&id, forbidden).await.1, 0, "{forbidden}");
    }
    it.end().await;
}

#[tokio::test]
async fn containers_of_a_pod_share_its_network_and_memory_and_processes_if_it_says_so() {
    let Some(mut it) = Node::new().await else { return };
    it.pod.linux = Some(linux(true));
    let sandbox = it.sandbox().await;
    let shared = |text: &str| Spec { shared_pid: true, ..script(text) };
    let server =
        it.start(&sandbox, &shared("echo served > /dev/shm/note; while :; do echo hi | nc -l -p 8080; done")).await;
    let client = it.start(&sandbox, &shared("until nc 127.0.0.1 8080; do sleep 0.1; done; sleep 3600")).await;
    it.has_printed(&client, "hi").await;
    assert_eq!(it.ask(&client, "cat /dev/shm/note").await.0, "served\n");
    assert!(it.ask(&client, "ps").await.0.contains("nc -l -p 8080"), "it sees the other's processes");
    it.engine.stop_container(&server, 0).await.unwrap();
    assert!(!it.ask(&client, "ps").await.0.contains("nc -l -p 8080"), "all of them end with their container");
    it.end().await;
}

#[tokio::test]
async fn what_a_container_says_at_its_end_is_its_message() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let path = ("io.kubernetes.container.terminationMessagePath", "/dev/termination-log");
    let fallback = ("io.kubernetes.container.terminationMessagePolicy", "FallbackToLogsOnError");
    let cases = [
        ("echo goodbye > /dev/termination-log; exit 1", vec![path], "goodbye\n".to_owned()),
        ("echo only in the log; exit 1", vec![path], String::new()),
        ("echo only in the log; exit 1", vec![path, fallback], "only in the log\n".to_owned()),
        ("echo all went well", vec![path, fallback], String::new()),
        ("yes | head -c 10000 > /dev/termination-log", vec![path], "y\n".repeat(2_048)),
    ];
    for (text, annotations, expected) in cases {
        let id = it.create(&sandbox, &Spec { annotations, ..script(text) }).await.unwrap();
        it.engine.start_container(&id).await.unwrap();
        assert!(it.end_of(&id).await.message == expected, "{text}");
        it.engine.remove_container(&id).await.unwrap();
    }
    it.end().await;
}

#[tokio::test]
async fn s3_a_container_that_uses_too_much_memory_is_oom_killed() {
    let Some(it) = Node::new().await else { return };
    if !fs::metadata("/sys/fs/cgroup/memory").is_ok_and(|it| it.is_dir())
        && !fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|it| it.contains("memory"))
    {
        return testkit::skip("this machine has no control group for memory");
    }
    let greedy = Spec { memory: 32 << 20, ..Spec::default() };
    let id = it
        .run(&Spec {
            command: vec!["dd".into(), "if=/dev/zero".into(), "of=/dev/null".into(), "bs=200M".into()],
            ..greedy
        })
        .await;
    let status = it.end_of(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
    it.end().await;
}

#[tokio::test]
async fn usage_is_measured_while_a_container_runs() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("echo up; while :; do :; done")).await;
    it.has_printed(&id, "up").await;
    testkit::eventually("CPU time is counted", Duration::from_secs(30), || async {
        let stats = it.engine.list_container_stats(None).await.unwrap();
        let used = stats.iter().find(|stats| stats.attributes.as_ref().unwrap().id == id).unwrap();
        let nanos = used.cpu.as_ref().unwrap().usage_core_nano_seconds.as_ref().map_or(0, |value| value.value);
        if nanos > 0 { Ok(()) } else { Err(format!("{used:?}")) }
    })
    .await;
    it.end().await;
}
