//! Processes that outlive the command that started them.

use super::plan::Launch;
use super::record::ProcessRecord;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// How often a stopping process is looked at; nobody tells a stranger when a process ends.
const LOOK: Duration = Duration::from_millis(20);

/// A process that we have just started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) record: ProcessRecord,
    child: Child,
}

/// Where a process writes its log.
pub(crate) fn log_path(state: &Path, name: &str) -> PathBuf {
    state.join("logs").join(format!("{name}.log"))
}

/// Starts a process in a group of its own, so that Ctrl-C in this terminal does not reach it.
pub(crate) fn start(state: &Path, launch: &Launch) -> Result<Started> {
    let log = log_path(state, &launch.name);
    let open = || {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))
    };
    let child = Command::new(&launch.program)
        .args(&launch.args)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(open()?)
        .stderr(open()?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", launch.program.display()))?;
    let pid = i32::try_from(child.id()).expect("process ids fit");
    let record = ProcessRecord { name: launch.name.clone(), pid, started: start_time(pid).unwrap_or(0) };
    Ok(Started { record, child })
}

impl Started {
    /// Why the process has ended, if it has: the last words of its log.
    pub(crate) fn failure(&mut self, state: &Path) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = log_path(state, &self.record.name);
        let text = fs::read_to_string(&log).unwrap_or_default();
        // The error that ended it, if it wrote one: wrong flags are followed by advice.
        let error = text.lines().rev().take(10).find_map(|line| line.strip_prefix("error: "));
        let last =
            error.or_else(|| text.lines().rev().find(|line| !line.trim().is_empty())).unwrap_or("it wrote nothing");
        Some(format!("{} ended ({status}): {last} (its log is {})", self.record.name, log.display()))
    }
}

/// Whether the recorded process still runs. A later process of the same id is another one.
pub(crate) fn is_running(process: &ProcessRecord) -> bool {
    start_time(process.pid).is_some_and(|started| process.started == 0 || started == process.started)
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(process: &ProcessRecord, signal: Signal) {
    if is_running(process) {
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

/// Stops a process: TERM, and KILL after `grace`. True if it ended by itself.
pub(crate) async fn stop(process: &ProcessRecord, grace: Duration) -> bool {
    signal(process, Signal::SIGTERM);
    if ended(process, grace).await {
        return true;
    }
    signal(process, Signal::SIGKILL);
    ended(process, Duration::from_secs(5)).await;
    false
}

async fn ended(process: &ProcessRecord, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while is_running(process) {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// When the kernel started a process (field 22 of /proc/PID/stat); `None` if there is none, or only its exit code is left.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, started) = (fields.first()?, fields.get(19)?);
    if matches!(*state, "Z" | "X") { None } else { started.parse().ok() }
}
