//! The seam to a real containerd, call by call: streams, logs, probes, and what is left when a pod is gone. Skipped where this machine has
//! no containerd, or we are not root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use testkit::containerd::Containerd;
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use traceplane_kubelet_sim::cri;
use traceplane_kubelet_sim::runtime::remote::{CgroupDriver, RemoteRuntime};
use traceplane_kubelet_sim::runtime::{
    ContainerLogs, Handler, Input, LogOptions, LogStream, Output, PodAccess, PodStreams, Purpose, RuntimeService,
    Session, Target, Terminal, Verdict,
};

const PATIENCE: Duration = Duration::from_secs(60);
const UID: &str = "5e0f8c9a-0000-4000-8000-000000000001";

/// A pod on a containerd of its own.
struct Node {
    runtime: RemoteRuntime,
    config: cri::PodSandboxConfig,
    sandbox: String,
    folder: tempfile::TempDir,
    // Dropped last: it ends what runs.
    containerd: Containerd,
}

impl Node {
    async fn start() -> Option<Self> {
        Some(Self::on(Containerd::start().await?, CgroupDriver::Cgroupfs).await)
    }

    async fn on(containerd: Containerd, driver: CgroupDriver) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        let runtime =
            RemoteRuntime::at(&containerd.endpoint(), logs.clone()).expect("an endpoint").with_cgroups(driver);
        let config = cri::PodSandboxConfig {
            metadata: Some(cri::PodSandboxMetadata {
                name: "web".into(),
                uid: UID.into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: "web".into(),
            log_directory: logs.join(format!("default_web_{UID}")).display().to_string(),
            linux: Some(cri::LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/besteffort/pod{UID}"),
                ..Default::default()
            }),
            ..Default::default()
        };
        // Containerd reads its network's configuration a moment after it answers.
        eventually("the network is ready", PATIENCE, async || {
            let status = runtime.status().await.map_err(|error| error.to_string())?;
            let conditions = status.status.unwrap_or_default().conditions;
            if conditions.iter().all(|condition| condition.status) { Ok(()) } else { Err(format!("{conditions:?}")) }
        })
        .await;
        let request = cri::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let sandbox = runtime.run_pod_sandbox(request).await.expect("a sandbox");
        Self { runtime, config, sandbox, folder, containerd }
    }

    /// A running container with a shell command, and a terminal if it is to have one.
    async fn run(
        &self,
        name: &str,
        image: &str,
        command: &[&str],
        adapt: impl FnOnce(&mut cri::ContainerConfig),
    ) -> String {
        let mut config = cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: name.into(), attempt: 0 }),
            image: Some(cri::ImageSpec { image: image.into(), ..Default::default() }),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            log_path: format!("{name}/0.log"),
            ..Default::default()
        };
        adapt(&mut config);
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: self.sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let id = self.runtime.create_container(request).await.expect("a container");
        self.runtime.start_container(&id).await.expect("it starts");
        id
    }

    async fn ip(&self) -> String {
        let status =
            self.runtime.pod_sandbox_status(&self.sandbox).await.expect("a status").status.expect("it is known");
        status.network.expect("a network").ip
    }
}

/// All that a session prints, and how it ends.
async fn all(session: &mut Session) -> (String, String, Option<i32>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = loop {
        match timeout(PATIENCE, session.output.recv()).await.expect("the session goes on") {
            Some(Output::Stdout(bytes)) => out.extend_from_slice(&bytes),
            Some(Output::Stderr(bytes)) => err.extend_from_slice(&bytes),
            Some(Output::Exited(code)) => break Some(code),
            None => break None,
        }
    };
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(out), text(err), code)
}

/// Reads until it has printed `text`.
async fn until(session: &mut Session, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        match timeout(PATIENCE, session.output.recv()).await {
            Ok(Some(Output::Stdout(bytes))) => seen.push_str(&String::from_utf8_lossy(&bytes)),
            other => panic!("{text:?} was not printed, but {seen:?}, then {other:?}"),
        }
    }
    seen
}

const PIPES: Terminal = Terminal { stdin: false, stdout: true, stderr: true, tty: false };
const TTY: Terminal = Terminal { stdin: true, stdout: true, stderr: false, tty: true };

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|&word| word.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_runs_commands_with_pipes_and_with_a_terminal() {
    let Some(node) = Node::start().await else { return };
    let id = node.run("c", "busybox:v1", &["sleep", "1000"], |_| ()).await;
    let exec =
        async |command: &[&str], terminal| node.runtime.exec(&id, words(command), terminal).await.expect("a session");

    let mut session = exec(&["sh", "-c", "echo out; echo err >&2; exit 3"], PIPES).await;
    assert_eq!(all(&mut session).await, ("out\n".to_owned(), "err\n".to_owned(), Some(3)));
    let mut session = exec(&["true"], PIPES).await;
    assert_eq!(all(&mut session).await.2, Some(0));

    let mut session = exec(&["no-such-command"], PIPES).await;
    let (_, complaint, code) = all(&mut session).await;
    assert!(complaint.contains("\"no-such-command\": executable file not found in $PATH"), "{complaint}");
    assert_eq!(code, Some(126));

    // More than fits into any buffer on the way arrives whole.
    let mut session = exec(&["sh", "-c", "yes | head -c 1000000"], PIPES).await;
    let (out, _, code) = all(&mut session).await;
    assert_eq!((out.len(), code), (1_000_000, Some(0)));

    let mut session = exec(&["sh"], TTY).await;
    session.input.send(Input::Resize { width: 111, height: 33 }).await.expect("it listens");
    session
        .input
        .send(Input::Stdin(Bytes::from(
            "while test \"$(stty size)\" != '33 111'; do sleep 0.1; done; echo si\"\"zed\n",
        )))
        .await
        .expect("it listens");
    until(&mut session, "sized\r\n").await;
    session.input.send(Input::Stdin(Bytes::from("exit 7\n"))).await.expect("it listens");
    assert_eq!(all(&mut session).await.2, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_joins_a_container_and_tells_how_it_ended() {
    let Some(node) = Node::start().await else { return };
    let with_terminal = |config: &mut cri::ContainerConfig| (config.stdin, config.tty) = (true, true);
    let id = node.run("c", "busybox:v1", &["sh"], with_terminal).await;
    // Attach learns of the end by the runtime's events, which a node follows all the time.
    let mut events = node.runtime.events().await.expect("events");
    let following = tokio::spawn(async move { while events.next().await.is_some() {} });
    let mut session = node.runtime.attach(&id, TTY).await.expect("a session");
    session.input.send(Input::Stdin(Bytes::from("echo attach''ed\n"))).await.expect("it listens");
    until(&mut session, "attached\r\n").await;
    session.input.send(Input::Stdin(Bytes::from("exit 5\n"))).await.expect("it listens");
    assert_eq!(all(&mut session).await.2, Some(5));
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn port_forward_connects_to_the_pods_localhost_and_tells_when_nobody_listens() {
    let Some(node) = Node::start().await else { return };
    node.run("web", "nginx:latest", &[], |_| ()).await;
    let page = eventually("the page comes through the forwarded port", PATIENCE, async || {
        let mut connection = node.runtime.port_forward(&node.sandbox, 80).await.map_err(|error| error.to_string())?;
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n").await.map_err(|error| error.to_string())?;
        // That all is sent cannot be told; the answer comes all the same.
        connection.shutdown().await.map_err(|error| error.to_string())?;
        let mut page = String::new();
        connection.read_to_string(&mut page).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(page)
    })
    .await;
    assert!(page.contains("Welcome to nginx!"), "{page}");
    let mut refused =
        node.runtime.port_forward(&node.sandbox, 81).await.expect("the runtime tries only when it is asked");
    let error =
        timeout(PATIENCE, refused.read_to_end(&mut Vec::new())).await.expect("it ends").expect_err("nobody listens");
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_from_the_files_that_the_runtime_writes() {
    let Some(node) = Node::start().await else { return };
    let script = "echo one; echo two >&2; while ! test -e /go; do sleep 0.1; done; echo three; exit 4";
    let id = node.run("c", "busybox:v1", &["sh", "-c", script], |_| ()).await;
    let mut events = node.runtime.events().await.expect("events");
    let following = tokio::spawn(async move { while events.next().await.is_some() {} });

    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = node.runtime.logs(&id, follow).await.expect("a log");
    let mut next =
        async || timeout(PATIENCE, lines.next()).await.expect("the log goes on").map(|line| line.expect("a line"));
    let mut first = Vec::new();
    for _ in 0..2 {
        let line = next().await.expect("a line");
        first.push((line.stream, line.content));
    }
    first.sort_by_key(|(_, content)| content.clone());
    assert_eq!(first, [(LogStream::Stdout, Bytes::from("one\n")), (LogStream::Stderr, Bytes::from("two\n"))]);

    // Rotation: what follows goes to a new file, and who follows goes along.
    let log = PathBuf::from(node.runtime.container_status(&id).await.expect("a status").log_path);
    assert!(log.starts_with(node.folder.path()), "{} lies under the kubelet's folder", log.display());
    std::fs::rename(&log, log.with_extension("log.20260101-000000")).expect("it can be renamed");
    node.runtime.reopen_container_log(&id).await.expect("a new file");
    let mut session = node.runtime.exec(&id, words(&["touch", "/go"]), PIPES).await.expect("a session");
    assert_eq!(all(&mut session).await.2, Some(0));
    assert_eq!(next().await.expect("the last line").content, "three\n");
    assert_eq!(next().await, None, "a container that has ended says no more");
    assert!(std::fs::read_to_string(&log).expect("the new file").contains("three"));
    assert_eq!(node.runtime.container_status(&id).await.expect("a status").exit_code, 4);
    following.abort();

    // With the pod go its logs and its control group.
    node.runtime.stop_pod_sandbox(&node.sandbox).await.expect("it stops");
    node.runtime.remove_pod_sandbox(&node.sandbox).await.expect("it is removed");
    assert!(!Path::new(&node.config.log_directory).exists());
    let groups =
        ["", "memory/", "pids/"].map(|controller| format!("/sys/fs/cgroup/{controller}kubepods/besteffort/pod{UID}"));
    // The pods of the tests beside this one have the same uid, and so the same group.
    testkit::eventually("the pod's control group is gone", PATIENCE, async || {
        if groups.iter().any(|group| Path::new(group).exists()) { Err(format!("{groups:?}")) } else { Ok(()) }
    })
    .await;
    assert!(node.runtime.logs(&id, LogOptions::default()).await.err().expect("it is gone").is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_reach_a_container_by_command_and_over_its_network() {
    let Some(node) = Node::start().await else { return };
    let id = node.run("web", "nginx:latest", &[], |_| ()).await;
    let ip = node.ip().await;
    let target = Target { container_id: id, pod_ip: ip.clone() };
    let probe = async |handler: &Handler| {
        let limit = Some(Duration::from_secs(1));
        node.runtime.run(&target, handler, Purpose::Liveness, limit).await.expect("a verdict")
    };
    let get =
        |port: u16, path: &str| Handler::HttpGet { url: format!("http://{ip}:{port}/{path}"), headers: Vec::new() };
    eventually("the page is there", PATIENCE, async || match probe(&get(80, "")).await {
        Verdict::Success => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(probe(&get(80, "nothing")).await, Verdict::Failure("HTTP probe failed with statuscode: 404".to_owned()));
    assert_eq!(probe(&Handler::TcpSocket(format!("{ip}:80"))).await, Verdict::Success);
    let refused = format!("dial tcp {ip}:81: connect: connection refused");
    assert_eq!(probe(&Handler::TcpSocket(format!("{ip}:81"))).await, Verdict::Failure(refused));

    assert_eq!(probe(&Handler::Exec(words(&["true"]))).await, Verdict::Success);
    let failing = Handler::Exec(words(&["sh", "-c", "echo sick; exit 1"]));
    let Verdict::Exited(sick) = probe(&failing).await else { panic!("it is well") };
    assert_eq!(sick.output, "sick\n");
    let late = Handler::Exec(words(&["sleep", "1000"]));
    let expected = "command timed out: \"sleep 1000\" timed out after 1s";
    assert_eq!(probe(&late).await, Verdict::Failure(expected.to_owned()));
    let missing = Handler::Exec(words(&["no-such-command"]));
    let error = node.runtime.run(&target, &missing, Purpose::Liveness, None).await.expect_err("nothing ran");
    assert!(error.message.contains("executable file not found"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_spec_is_what_it_finds() {
    let Some(node) = Node::start().await else { return };
    let shared = node.folder.path().join("shared");
    std::fs::create_dir_all(&shared).expect("a folder");
    let adapt = |config: &mut cri::ContainerConfig| {
        config.envs = vec![cri::KeyValue { key: "COLOR".into(), value: "green".into() }];
        config.working_dir = "/tmp".into();
        config.mounts = vec![cri::Mount {
            container_path: "/shared".into(),
            host_path: shared.display().to_string(),
            ..Default::default()
        }];
        config.annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        config.linux = Some(cri::LinuxContainerConfig {
            resources: Some(cri::LinuxContainerResources { memory_limit_in_bytes: 64 << 20, ..Default::default() }),
            security_context: Some(cri::LinuxContainerSecurityContext {
                run_as_user: Some(cri::Int64Value { value: 1234 }),
                run_as_group: Some(cri::Int64Value { value: 2345 }),
                supplemental_groups: vec![3456],
                no_new_privs: true,
                masked_paths: vec!["/proc/kcore".into()],
                readonly_paths: vec!["/proc/sys".into()],
                ..Default::default()
            }),
        });
    };
    let id = node.run("c", "busybox:v1", &["sleep", "1000"], adapt).await;
    let ask = async |script: &str| {
        let mut session = node.runtime.exec(&id, words(&["sh", "-c", script]), PIPES).await.expect("a session");
        let (out, err, code) = all(&mut session).await;
        assert_eq!((err.as_str(), code), ("", Some(0)), "{script}");
        out.trim().to_owned()
    };
    assert_eq!(ask("id -u; id -g; id -G").await, "1234\n2345\n2345 3456");
    assert_eq!(ask("echo $COLOR; pwd; hostname").await, "green\n/tmp\nweb");
    assert_eq!(ask("grep NoNewPrivs /proc/self/status | cut -f2").await, "1");
    assert_eq!(ask("test -w /proc/sys/kernel/hostname && echo yes || echo no").await, "no");
    std::fs::write(shared.join("f"), "from the node").expect("a file");
    assert_eq!(ask("cat /shared/f").await, "from the node");
    let status = node.runtime.container_status(&id).await.expect("a status");
    assert_eq!(status.annotations["a"], "b");
    let stats = node.runtime.list_container_stats(None).await.expect("statistics");
    assert_eq!(stats.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_makes_the_control_groups_if_the_runtime_leaves_it_to_it() {
    let Some(containerd) = Containerd::start_with_systemd().await else { return };
    let node = Node::on(containerd, CgroupDriver::Systemd).await;
    node.run("c", "busybox:v1", &["sleep", "1000"], |_| ()).await;
    let process = node.containerd.processes("sleep 1000").pop().expect("it runs");
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).expect("it is in control groups");
    let slice =
        format!("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{}.slice", UID.replace('-', "_"));
    assert!(groups.contains(&format!("{slice}/cri-containerd-")), "{groups}");
    node.runtime.stop_pod_sandbox(&node.sandbox).await.expect("it stops");
    node.runtime.remove_pod_sandbox(&node.sandbox).await.expect("it is removed");
    let unit = slice.rsplit('/').next().expect("a name");
    let known = Command::new("systemctl").args(["is-active", "--", unit]).output().expect("systemctl can be started");
    assert_eq!(String::from_utf8_lossy(&known.stdout).trim(), "inactive", "systemd knows nothing of the pod any more");
    assert!(!Path::new("/sys/fs/cgroup").join(&slice[1..]).exists());
}
