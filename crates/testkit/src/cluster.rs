//! A whole cluster for one test: etcd and all services as processes of their own, started by `tpctl up` on free ports.

use crate::collector::Collector;
use client::{Client, Kubeconfig};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// A running cluster. Dropping it stops every process and removes its state.
#[derive(Debug)]
pub struct Cluster {
    state: tempfile::TempDir,
    /// Variables for `tpctl` and, through it, for every process: flags that a test shortens.
    environment: Vec<(&'static str, String)>,
    /// Receives the spans of all its processes, and of `tpctl`.
    pub collector: Collector,
}

impl Cluster {
    /// Starts a cluster of three nodes and waits until they are ready.
    pub async fn start() -> Cluster {
        Cluster::start_with(&[]).await
    }

    /// The same with further flags of `tpctl up`.
    pub async fn start_with(flags: &[&str]) -> Cluster {
        Cluster::start_in(&[], flags).await
    }

    /// The same with flags of the services, as variables (`TRACEPLANE_...`).
    pub async fn start_in(environment: &[(&'static str, &str)], flags: &[&str]) -> Cluster {
        let cluster = Cluster {
            environment: environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            state: tempfile::tempdir().expect("a temporary directory can be made"),
            collector: Collector::start().await,
        };
        let mut arguments = vec!["up", "--ports", "free"];
        arguments.extend(flags);
        cluster.tpctl(&arguments).await.success();
        cluster
    }

    /// Runs `tpctl` against the cluster.
    pub async fn tpctl(&self, arguments: &[&str]) -> Ran {
        self.tpctl_with_input(arguments, "").await
    }

    /// The same with something on its standard input.
    pub async fn tpctl_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        use tokio::io::AsyncWriteExt as _;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tpctl can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.expect("tpctl reads its input");
        drop(stdin);
        let output = child.wait_with_output().await.expect("tpctl ends");
        Ran { command: format!("tpctl {}", arguments.join(" ")), output }
    }

    /// `tpctl` for this cluster, to be started by the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("tpctl"));
        command
            .args(arguments)
            .env("TRACEPLANE_STATE_DIR", self.state.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.endpoint())
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A client with all rights. Its calls make no spans: the test process exports none.
    pub fn client(&self) -> Client {
        let session = Kubeconfig::read(&self.kubeconfig())
            .and_then(|config| config.session(None))
            .expect("tpctl made a kubeconfig");
        Client::new(&session).expect("the kubeconfig names a server")
    }

    /// Path of the kubeconfig with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.path().join("admin.kubeconfig")
    }

    /// The state folder.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Kills a process (`scheduler`, `kubelet-node-1` ...) without warning.
    pub fn kill(&self, name: &str) {
        self.signal(name, Signal::SIGKILL);
    }

    /// Asks a process to stop.
    pub fn terminate(&self, name: &str) {
        self.signal(name, Signal::SIGTERM);
    }

    /// Stops a process without ending it: it answers nothing, and notices nothing.
    pub fn freeze(&self, name: &str) {
        self.signal(name, Signal::SIGSTOP);
    }

    /// Whether a frozen process has been sent SIGTERM.
    pub fn is_asked_to_end(&self, name: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(name))).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        pending.is_some_and(|mask| mask & 1 << (Signal::SIGTERM as i32 - 1) != 0)
    }

    fn signal(&self, name: &str, signal: Signal) {
        kill(self.pid(name), signal).unwrap_or_else(|e| panic!("{name} cannot be sent {signal}: {e}"));
    }

    fn pid(&self, name: &str) -> Pid {
        let process = self.processes().into_iter().find(|(process, _)| process == name);
        let (_, pid) = process.unwrap_or_else(|| panic!("no process {name} was started"));
        Pid::from_raw(pid)
    }

    /// Whether a process that was started has not ended yet.
    pub fn is_running(&self, name: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid(name))).unwrap_or_default();
        // Its state stands behind its name: Z has ended, and nobody has asked how.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Starts again whatever is not running, and waits until it is ready.
    pub async fn repair(&self) {
        self.tpctl(&["up"]).await.success();
    }

    /// Stops every process in good order; the state stays.
    pub async fn stop(&self) {
        self.tpctl(&["down"]).await.success();
    }

    /// Names and ids of the processes that were started.
    pub fn processes(&self) -> Vec<(String, i32)> {
        let record = self.record();
        let processes = record["processes"].as_array().expect("the record lists processes");
        let id = |process: &serde_json::Value| process["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        processes.iter().filter_map(|p| Some((p["name"].as_str()?.to_owned(), id(p)?))).collect()
    }

    /// What `tpctl up` has written down: ports above all.
    pub fn record(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.state.path().join("cluster.json")).expect("tpctl wrote a record");
        serde_json::from_str(&text).expect("the record is JSON")
    }

    /// The end of a process's log, for a failure's message.
    pub fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.state.path().join(format!("logs/{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.state.path().join("cluster.json").exists() {
            return;
        }
        let processes = self.processes();
        if std::thread::panicking() {
            for (name, _) in &processes {
                eprintln!("--- {name}\n{}", self.log(name));
            }
        }
        // What runs on real nodes is real, and only their kubelets know how to put it away. Anything else need not end in good order.
        if self.record()["engine"] != "process" {
            for (_, pid) in processes {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let down = self.command(&["down", "--purge"]).into_std().output();
        if !down.as_ref().is_ok_and(|down| down.status.success()) {
            eprintln!("tpctl down --purge: {down:?}");
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    command: String,
    output: Output,
}

impl Ran {
    /// Standard output of a command that must have succeeded.
    ///
    /// # Panics
    /// It failed.
    pub fn success(self) -> String {
        let (out, err) = (self.stdout(), self.stderr());
        assert!(self.output.status.success(), "{} failed ({}):\n{out}{err}", self.command, self.output.status);
        out
    }

    /// Standard error of a command that must have failed.
    ///
    /// # Panics
    /// It succeeded.
    pub fn failure(self) -> String {
        let (out, err) = (self.stdout(), self.stderr());
        assert!(!self.output.status.success(), "{} succeeded:\n{out}{err}", self.command);
        err
    }

    /// Its exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// What it wrote to standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// Path of a binary of this workspace.
///
/// # Panics
/// It has not been built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/debug/deps/test-1234 -> target/debug/name
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing; `cargo build --workspace` makes it", path.display());
    path
}
