//! Keeping log files small, as Kubernetes' kubelet does it for its runtime.
//!
//! A file that has grown too large gets the time as a suffix and the runtime begins a new one; what was rotated before is compressed, and
//! the oldest are removed. Sizes are looked at every ten seconds, as there: a watch per file would tell of each line.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use service_kit::Clock;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::cri;
use crate::runtime::{Runtime, RuntimeService};

/// How often sizes are looked at.
const PERIOD: Duration = Duration::from_secs(10);

/// How large log files become, and how many are kept.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// A file that is larger is rotated, in bytes.
    pub max_size: u64,
    /// Files per container, the current one among them; at least 2.
    pub max_files: usize,
}

impl Rotation {
    /// Rotates the logs of a runtime's running containers for as long as it is polled.
    pub async fn keep(&self, runtime: &Runtime, clock: &Clock) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.rotate_all(runtime.containers.as_ref(), clock).await;
        }
    }

    /// One look at all running containers.
    pub async fn rotate_all(&self, containers: &dyn RuntimeService, clock: &Clock) {
        let running = cri::ContainerStateValue { state: cri::ContainerState::ContainerRunning.into() };
        let filter = cri::ContainerFilter { state: Some(running), ..Default::default() };
        let Ok(list) = containers.list_containers(Some(filter)).await else { return };
        for container in list {
            // A container that has gone meanwhile has nothing to rotate.
            let Ok(status) = containers.container_status(&container.id).await else { continue };
            let path = PathBuf::from(status.log_path);
            let size = if path.is_absolute() { fs::metadata(&path).map_or(0, |file| file.len()) } else { 0 };
            if size > self.max_size
                && let Err(why) = self.rotate(containers, &container.id, &path, clock).await
            {
                warn!(container = container.id, "cannot rotate {}: {why}", path.display());
            }
        }
    }

    async fn rotate(&self, containers: &dyn RuntimeService, id: &str, path: &Path, clock: &Clock) -> io::Result<()> {
        let (this, log) = (self.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || this.make_room(&log)).await??;
        let rotated = suffixed(path, &clock.now().strftime("%Y%m%d-%H%M%S").to_string());
        fs::rename(path, &rotated)?;
        if let Err(error) = containers.reopen_container_log(id).await {
            // The runtime still writes to the file that it has: give it its name back, and try again later.
            fs::rename(&rotated, path)?;
            return Err(io::Error::other(error));
        }
        Ok(())
    }

    /// Removes what is too old and compresses the rest, so that one more can be added.
    fn make_room(&self, path: &Path) -> io::Result<()> {
        let mut rotated = rotated_files(path)?;
        // The current file, and the one that it becomes, are not among them.
        let excess = rotated.len().saturating_sub(self.max_files.saturating_sub(2));
        for old in rotated.drain(..excess) {
            fs::remove_file(old)?;
        }
        rotated.iter().filter(|file| file.extension().is_none_or(|e| e != "gz")).try_for_each(|file| compress(file))
    }
}

/// A container's earlier files, oldest first; what a rotation that was cut short has left is removed.
fn rotated_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Vec::new()) };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&prefix) {
            continue;
        }
        if name.ends_with(".tmp") {
            fs::remove_file(entry.path())?;
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn compress(file: &Path) -> io::Result<()> {
    let unfinished = suffixed(file, "tmp");
    let mut packed = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    io::copy(&mut File::open(file)?, &mut packed)?;
    packed.finish()?;
    fs::rename(&unfinished, suffixed(file, "gz"))?;
    fs::remove_file(file)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
