//! What a runtime leaves to the kubelet: the folders of log files, and the control groups of pods.
//!
//! Folders must be there before the runtime writes to them. With a container go its log files; with the last sandbox of a pod go the pod's
//! folder and its control group, which the runtime has made on its way to the container's but does not remove.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use tracing::warn;

use super::{RemoteRuntime, cgroups};
use crate::cri;
use crate::runtime::{Result, RuntimeError, RuntimeService};

/// Where control groups are, in version 2 or with a folder per controller in version 1.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A pod whose sandbox is about to be removed.
pub(super) struct Left(Option<cri::PodSandboxMetadata>);

impl RemoteRuntime {
    /// Makes the folder of a log file (or of a pod, if no file is named).
    pub(super) fn make_log_folder(&self, sandbox: Option<&cri::PodSandboxConfig>, log_path: &str) -> Result<()> {
        let Some(sandbox) = sandbox.filter(|sandbox| !sandbox.log_directory.is_empty()) else { return Ok(()) };
        let file = Path::new(&sandbox.log_directory).join(log_path);
        let folder = if log_path.is_empty() { Some(file.as_path()) } else { file.parent() };
        let made = folder.map_or(Ok(()), fs::create_dir_all);
        made.map_err(|error| RuntimeError::unknown(format!("cannot make the folder of {}: {error}", file.display())))
    }

    /// Where a container is logged, if it is known.
    pub(super) async fn log_of(&self, id: &str) -> Option<PathBuf> {
        let status = self.container_status(id).await.ok()?;
        Some(PathBuf::from(status.log_path)).filter(|path| path.starts_with(&self.logs))
    }

    /// Removes a container's log with all that was rotated.
    pub(super) async fn remove_log(&self, log: Option<PathBuf>) {
        let Some(log) = log else { return };
        let _ = spawn_blocking(move || remove_beside(&log)).await;
    }

    /// Whose sandbox this is.
    pub(super) async fn left_by(&self, sandbox: &str) -> Result<Left> {
        match self.pod_sandbox_status(sandbox).await {
            Ok(answer) => Ok(Left(answer.status.and_then(|status| status.metadata))),
            Err(error) if error.is_not_found() => Ok(Left(None)),
            Err(error) => Err(error),
        }
    }

    /// Removes what is left of a pod, if that was its last sandbox.
    pub(super) async fn clear(&self, left: Left) -> Result<()> {
        let Left(Some(pod)) = left else { return Ok(()) };
        let sandboxes = self.list_pod_sandbox(None).await?;
        if sandboxes.iter().any(|other| other.metadata.as_ref().is_some_and(|other| other.uid == pod.uid)) {
            return Ok(());
        }
        let logs = self.logs.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid));
        let cleared = spawn_blocking(move || {
            absent_is_fine(fs::remove_dir_all(&logs))?;
            cgroups::remove(Path::new(CGROUPS), &pod.uid)
        });
        // A pod's end does not wait for a folder; what is left takes space and does no harm.
        if let Ok(Err(error)) = cleared.await {
            warn!(%error, "something of a pod that is gone cannot be removed");
        }
        Ok(())
    }
}

/// Removes a log and what was rotated away from it.
fn remove_beside(log: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Ok(()) };
    let rotated = format!("{}.", name.to_string_lossy());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == name || entry.file_name().to_string_lossy().starts_with(&rotated) {
            absent_is_fine(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

pub(super) fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_container_go_its_logs_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["0.log", "0.log.20260101-000000", "0.log.20260101-000000.gz", "1.log", "10.log"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_beside(&folder.path().join("0.log")).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["1.log", "10.log"]);
    }
}
