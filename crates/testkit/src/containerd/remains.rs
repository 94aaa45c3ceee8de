//! Ending what a containerd has left: containers outlive it, and so do mounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long processes that were killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The host's ids of all processes in the containers of a containerd whose folder this is.
pub(super) fn containers(folder: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    let mut parents = shims(folder);
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            found.push(child);
            parents.push(child);
        }
    }
    found
}

/// Ends all containers, takes mounts back, and removes the control groups that were made for pods.
pub(super) fn end(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    let groups = control_groups(folder);
    loop {
        let (shims, containers) = (shims(folder), containers(folder));
        if (shims.is_empty() && containers.is_empty()) || Instant::now() > deadline {
            break;
        }
        // While its shim lives, a container is found by it.
        let victims = if containers.is_empty() { shims } else { containers };
        for pid in victims {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for mount in mounts(folder) {
        let _ = umount2(&mount, MntFlags::MNT_DETACH);
    }
    for group in groups {
        // The container's, then its pod's.
        let _ = fs::remove_dir(&group);
        let _ = group.parent().map(fs::remove_dir);
    }
}

pub(super) fn command_line(pid: i32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

/// A shim is the parent of a pod's containers; it names its containerd's socket.
fn shims(folder: &Path) -> Vec<i32> {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = command_line(*pid);
        line.contains("containerd-shim") && line.contains(&folder)
    })
    .collect()
}

fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The control groups of the containers, in every hierarchy.
fn control_groups(folder: &Path) -> Vec<PathBuf> {
    let mut groups = Vec::new();
    let hierarchies: Vec<PathBuf> =
        fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    for pid in containers(folder) {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        for path in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|path| path.contains("kubepods"))
        {
            let path = path.trim_start_matches('/');
            let roots = hierarchies.iter().cloned().chain([PathBuf::from("/sys/fs/cgroup")]);
            groups.extend(roots.map(|root| root.join(path)).filter(|group| group.is_dir()));
        }
    }
    groups.sort();
    groups.dedup();
    groups
}

/// Mounts below a folder, the innermost first.
fn mounts(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split_whitespace().nth(4)).map(PathBuf::from);
    let mut mounts: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    mounts.reverse();
    mounts
}
