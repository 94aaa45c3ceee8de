//! Processes that outlive the command that started them.

use super::plan::Launch;
use super::record::ProcessRecord;
use anyhow::{Context, Result, bail};
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
    let record = ProcessRecord { name: launch.name.clone(), pid, started: stat(pid).map_or(0, |stat| stat.started) };
    Ok(Started { record, child })
}

/// Starts a process and waits for its end, which must be a good one.
pub(crate) async fn run(state: &Path, launch: &Launch, within: Duration) -> Result<()> {
    let mut started = start(state, launch)?;
    if !ended(&started.record, within).await {
        stop(&started.record, Duration::ZERO).await;
        bail!(
            "{} has not ended within {within:?}; its log is {}",
            launch.name,
            log_path(state, &launch.name).display()
        );
    }
    match started.child.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("{}", started.failure(state).unwrap_or_default()),
    }
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
    stat(process.pid).is_some_and(|stat| is_same(process, &stat) && !stat.is_dead)
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

/// Waits until nothing of a process is left, its ports included; false if something still is after `within`.
pub(crate) async fn ended(process: &ProcessRecord, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while has_remains(process) {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

/// Whether the recorded process runs, or is dead with threads that have not ended yet: those hold its files and ports.
fn has_remains(process: &ProcessRecord) -> bool {
    stat(process.pid).is_some_and(|stat| is_same(process, &stat) && (!stat.is_dead || stat.threads > 1))
}

fn is_same(process: &ProcessRecord, stat: &Stat) -> bool {
    process.started == 0 || stat.started == process.started
}

/// What the kernel tells of a process in /proc/PID/stat.
struct Stat {
    /// Only its exit code is left, and perhaps threads that are still ending.
    is_dead: bool,
    threads: u64,
    /// Clock ticks since boot.
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; the third, the state, comes first here.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        is_dead: matches!(*fields.first()?, "Z" | "X"),
        threads: fields.get(17)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_known_by_its_start_and_gone_when_it_was_killed() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = ProcessRecord { name: "sleep".to_owned(), pid, started: stat(pid).unwrap().started };
        assert!(is_running(&process));
        assert!(!is_running(&ProcessRecord { started: process.started + 1, ..process.clone() }), "another process");
        assert!(!ended(&process, Duration::ZERO).await);
        signal(&process, Signal::SIGKILL);
        // Nobody has asked for its exit code yet.
        assert!(ended(&process, Duration::from_secs(10)).await);
        assert!(!is_running(&process));
        child.wait().unwrap();
    }
}
