//! A real containerd for one test: its own folders, socket, network and images, gone when the test is.
//!
//! It shares nothing with a containerd that the machine has (Docker's, for example): root, state, runc's state, CNI configuration, bridge and
//! addresses are its own, and its images come from this machine's busybox, not from a registry. Needs root.

mod images;
mod network;
mod remains;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::{eventually, has, is_root, skip};
use network::PodNetwork;

/// How long containerd may take to come up, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running containerd. Dropping it ends all its containers and removes what they had.
#[derive(Debug)]
pub struct Containerd {
    process: Child,
    network: PodNetwork,
    folder: tempfile::TempDir,
}

impl Containerd {
    /// Starts containerd with images `busybox:v1` and `nginx` (a stand-in), or says what this machine lacks.
    ///
    /// # Panics
    /// If it does not come up; the message ends with its log.
    pub async fn start() -> Option<Self> {
        Self::start_with(false).await
    }

    /// The same with systemd, if the machine runs it, as who makes control groups.
    ///
    /// # Panics
    /// If it does not come up; the message ends with its log.
    pub async fn start_with_systemd() -> Option<Self> {
        if !Path::new("/run/systemd/system").exists() {
            skip("this machine does not run systemd");
            return None;
        }
        Self::start_with(true).await
    }

    async fn start_with(systemd: bool) -> Option<Self> {
        if !is_root() || !["containerd", "ctr", "runc", "busybox", "ip", "tar"].into_iter().all(has) {
            return None;
        }
        let Some(plugins) = network::plugins() else {
            skip("there are no CNI plugins on this machine");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let network = PodNetwork::free().expect("the machine has addresses that are free");
        network.write(&folder.path().join("cni"), folder.path()).expect("a configuration can be written");
        let config = configuration(folder.path(), plugins, systemd);
        fs::write(folder.path().join("config.toml"), config).expect("a configuration can be written");
        let process = launch(folder.path());
        let mut containerd = Self { process, network, folder };
        containerd.answers().await;
        for archive in images::build(&containerd.folder.path().join("images")) {
            containerd.ctr(&["images", "import", &archive.display().to_string()]).await;
        }
        Some(containerd)
    }

    /// What a kubelet is told: `unix://...`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Kills the process without warning, and waits until it is gone. What runs in containers goes on.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("containerd can be killed");
    }

    /// Starts it again on what it had.
    pub async fn restart(&mut self) {
        self.process = launch(self.folder.path());
        self.answers().await;
    }

    /// Host processes of its containers whose command line contains `text`.
    pub fn processes(&self, text: &str) -> Vec<i32> {
        let inside = remains::containers(self.folder.path());
        inside.into_iter().filter(|pid| remains::command_line(*pid).contains(text)).collect()
    }

    /// Runs `ctr` in the kubelet's namespace and answers what it prints.
    async fn ctr(&self, arguments: &[&str]) -> String {
        let output = Command::new("ctr")
            .args(["--address", &self.socket().display().to_string(), "--namespace", "k8s.io"])
            .args(arguments)
            .output()
            .await
            .expect("ctr can be started");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "ctr {arguments:?}: {out}{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        out
    }

    /// The end of its log, for a failure's message.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("c.sock")
    }

    async fn answers(&mut self) {
        let socket = self.socket();
        eventually("containerd answers", PATIENCE, async || match self.process.try_wait() {
            Ok(None) => UnixStream::connect(&socket).await.map(drop).map_err(|error| error.to_string()),
            ended => Err(format!("it has ended ({ended:?}):\n{}", self.log())),
        })
        .await;
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- containerd\n{}", self.log());
        }
        // First who would start or restart anything, then what runs, then what it leaves in the kernel.
        if let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        remains::end(self.folder.path());
        self.network.remove();
    }
}

fn launch(folder: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log can be written");
    Command::new("containerd")
        .arg("--config")
        .arg(folder.join("config.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("containerd can be started")
}

fn configuration(folder: &Path, plugins: &str, systemd: bool) -> String {
    let folder = folder.display();
    format!(
        r#"
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{folder}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.9"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  # Some machines allow nobody to make a process less likely to be killed.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    # Works on every file system, and our images are small.
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{folder}/runc"
        SystemdCgroup = {systemd}
"#
    )
}
