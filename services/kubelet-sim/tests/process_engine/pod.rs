//! A node with an engine, and pods on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::StreamExt;
use service_kit::Clock;
use tempfile::TempDir;
use testkit::eventually;
use traceplane_kubelet_sim::cri;
use traceplane_kubelet_sim::runtime::catalogue::Catalogue;
use traceplane_kubelet_sim::runtime::process_engine::{Options, ProcessEngine};
use traceplane_kubelet_sim::runtime::{
    ContainerLogs, ImageService, Input, LogOptions, Output, PodStreams, Result, RuntimeService, Session, Terminal,
};

use crate::guard::Leftovers;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One node.
pub(crate) struct Node {
    pub(crate) engine: Arc<ProcessEngine>,
    pub(crate) root: TempDir,
    pub(crate) pod: cri::PodSandboxConfig,
    cidr: String,
    /// Each container that is created has a log file of its own.
    attempts: AtomicU8,
}

/// What a container is made of, over a busybox that does nothing special.
#[derive(Clone, Default)]
pub(crate) struct Spec {
    pub(crate) command: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) memory: i64,
    /// It shares its pod's process namespace.
    pub(crate) shared_pid: bool,
    pub(crate) user: Option<i64>,
    pub(crate) mounts: Vec<cri::Mount>,
    pub(crate) annotations: Vec<(&'static str, &'static str)>,
    pub(crate) working_dir: String,
}

/// A busybox that runs a script.
pub(crate) fn script(text: &str) -> Spec {
    Spec { command: vec!["sh".into(), "-c".into(), text.into()], ..Spec::default() }
}

impl Node {
    /// A node, or `None`, which is said aloud, where this machine cannot have one.
    pub(crate) async fn new() -> Option<Self> {
        if !testkit::is_root() {
            return None;
        }
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let (process, number) = (std::process::id() % 50 + 150, NEXT.fetch_add(1, Ordering::Relaxed));
        let root = tempfile::tempdir().unwrap();
        let cidr = format!("10.{process}.{number}.0/24");
        let engine = open(root.path(), &cidr, Duration::from_secs(60)).await;
        let metadata =
            cri::PodSandboxMetadata { name: "web".into(), uid: "u1".into(), namespace: "default".into(), attempt: 0 };
        let pod = cri::PodSandboxConfig {
            metadata: Some(metadata),
            hostname: "web".into(),
            log_directory: root.path().join("logs").display().to_string(),
            linux: Some(linux(false)),
            ..Default::default()
        };
        Some(Self { engine, root, pod, cidr, attempts: AtomicU8::new(0) })
    }

    /// Another engine with the same state, as after a restart of the kubelet. The one before must not be used any more.
    pub(crate) async fn restart(&mut self, adoption_timeout: Duration) {
        self.engine.abandon();
        self.engine = open(self.root.path(), &self.cidr, adoption_timeout).await;
    }

    pub(crate) fn leftovers(&self) -> Leftovers {
        Leftovers::of(self.root.path())
    }

    /// Ends the node, and sees that nothing is left.
    pub(crate) async fn end(self) {
        self.engine.shutdown().await;
        assert_eq!(self.leftovers().interfaces(), Vec::<String>::new());
        self.leftovers().none().await;
    }

    pub(crate) async fn sandbox(&self) -> String {
        let request = cri::RunPodSandboxRequest { config: Some(self.pod.clone()), runtime_handler: String::new() };
        self.engine.run_pod_sandbox(request).await.unwrap()
    }

    pub(crate) async fn create(&self, sandbox: &str, spec: &Spec) -> Result<String> {
        let image = cri::ImageSpec { image: "docker.io/library/busybox:latest".to_owned(), ..Default::default() };
        let pull =
            cri::PullImageRequest { image: Some(image.clone()), auth: None, sandbox_config: Some(self.pod.clone()) };
        self.engine.pull_image(pull).await?;
        let namespace_options = Some(processes(spec.shared_pid));
        let security = cri::LinuxContainerSecurityContext {
            namespace_options,
            masked_paths: vec!["/proc/kcore".into(), "/sys/firmware".into()],
            readonly_paths: vec!["/proc/sys".into()],
            run_as_user: spec.user.map(|value| cri::Int64Value { value }),
            ..Default::default()
        };
        let resources = cri::LinuxContainerResources { memory_limit_in_bytes: spec.memory, ..Default::default() };
        let config = cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: "main".into(), attempt: 0 }),
            image: Some(image),
            command: spec.command.clone(),
            working_dir: spec.working_dir.clone(),
            log_path: format!("main/{}.log", self.attempts.fetch_add(1, Ordering::Relaxed)),
            tty: spec.tty,
            stdin: spec.stdin,
            stdin_once: spec.stdin_once,
            mounts: spec.mounts.clone(),
            annotations: spec.annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            linux: Some(cri::LinuxContainerConfig { resources: Some(resources), security_context: Some(security) }),
            ..Default::default()
        };
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(self.pod.clone()),
        };
        self.engine.create_container(request).await
    }

    /// A container that has been started, in the sandbox.
    pub(crate) async fn start(&self, sandbox: &str, spec: &Spec) -> String {
        let id = self.create(sandbox, spec).await.unwrap();
        self.engine.start_container(&id).await.unwrap();
        id
    }

    /// The same in a sandbox of its own.
    pub(crate) async fn run(&self, spec: &Spec) -> String {
        self.start(&self.sandbox().await, spec).await
    }

    pub(crate) async fn status(&self, id: &str) -> cri::ContainerStatus {
        self.engine.container_status(id).await.unwrap()
    }

    /// How the container ends.
    pub(crate) async fn end_of(&self, id: &str) -> cri::ContainerStatus {
        eventually("the container ends", PATIENCE, || async {
            let status = self.status(id).await;
            if status.finished_at > 0 { Ok(status) } else { Err(format!("{:?}", status.state())) }
        })
        .await
    }

    /// All that the container has printed until it ends.
    pub(crate) async fn printed(&self, id: &str) -> String {
        self.log(id, LogOptions { follow: true, ..LogOptions::default() }).await
    }

    pub(crate) async fn log(&self, id: &str, options: LogOptions) -> String {
        let mut lines = self.engine.logs(id, options).await.unwrap();
        let mut text = Vec::new();
        while let Some(line) = lines.next().await {
            text.extend_from_slice(&line.unwrap().content);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until the container has printed a line.
    pub(crate) async fn has_printed(&self, id: &str, line: &str) {
        let mut lines = self.engine.logs(id, LogOptions { follow: true, ..LogOptions::default() }).await.unwrap();
        let wanted = format!("{line}\n");
        let found = async {
            while let Some(printed) = lines.next().await {
                if printed.unwrap().content == wanted.as_bytes() {
                    return;
                }
            }
            panic!("the container has ended and never printed {line:?}");
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap();
    }

    pub(crate) async fn exec(&self, id: &str, script: &str, terminal: Terminal) -> Session {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.engine.exec(id, command, terminal).await.unwrap()
    }

    /// What a script in the container prints, and its exit code.
    pub(crate) async fn ask(&self, id: &str, script: &str) -> (String, i32) {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = cri::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 60 };
        let answer = self.engine.exec_sync(request).await.unwrap();
        (String::from_utf8(answer.stdout).unwrap() + &String::from_utf8(answer.stderr).unwrap(), answer.exit_code)
    }
}

/// Namespaces as the kubelet asks for them.
fn processes(shared: bool) -> cri::NamespaceOption {
    let pid = if shared { cri::NamespaceMode::Pod } else { cri::NamespaceMode::Container };
    cri::NamespaceOption { pid: pid.into(), ..Default::default() }
}

/// The same for a whole pod.
pub(crate) fn linux(shared_pid: bool) -> cri::LinuxPodSandboxConfig {
    let namespace_options = Some(processes(shared_pid));
    let security_context = Some(cri::LinuxSandboxSecurityContext { namespace_options, ..Default::default() });
    cri::LinuxPodSandboxConfig { security_context, ..Default::default() }
}

async fn open(root: &Path, cidr: &str, adoption_timeout: Duration) -> Arc<ProcessEngine> {
    let options = Options {
        node: "n1".to_owned(),
        root: root.to_owned(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_kubelet-sim")),
        adoption_timeout,
        catalogue: Arc::new(Catalogue::built_in()),
        busybox: None,
        allow_privileged: false,
        pod_max_pids: 0,
    };
    let engine = ProcessEngine::open(options, Clock::system()).await.unwrap();
    let network_config = Some(cri::NetworkConfig { pod_cidr: cidr.to_owned() });
    let runtime_config = Some(cri::RuntimeConfig { network_config });
    engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
    engine
}

/// Reads a session to its end.
pub(crate) async fn finish(mut session: Session) -> (String, String, i32) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match tokio::time::timeout(PATIENCE, session.output.recv()).await.unwrap().expect("an exit code comes last") {
            Output::Stdout(bytes) => out.extend_from_slice(&bytes),
            Output::Stderr(bytes) => err.extend_from_slice(&bytes),
            Output::Exited(code) => return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), code),
        }
    }
}

/// Reads until a text has come, and answers all that came.
pub(crate) async fn until(session: &mut Session, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        match tokio::time::timeout(PATIENCE, session.output.recv()).await {
            Ok(Some(Output::Stdout(bytes))) => seen += &String::from_utf8_lossy(&bytes),
            other => panic!("{other:?} where {text:?} was awaited; so far {seen:?}"),
        }
    }
    seen
}

/// Types a text.
pub(crate) async fn enter(session: &Session, text: &str) {
    session.input.send(Input::Stdin(text.to_owned().into())).await.unwrap();
}
