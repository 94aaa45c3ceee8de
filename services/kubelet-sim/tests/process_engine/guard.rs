//! Nothing may be left of an engine when its test ends: no process, mount, interface or control group.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::eventually;

/// Looks for what a state folder's engine has left.
pub(crate) struct Leftovers {
    root: PathBuf,
}

impl Leftovers {
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: fs::canonicalize(root).unwrap() }
    }

    /// Waits until nothing is left; fails naming what is.
    pub(crate) async fn none(&self) {
        eventually("nothing is left of the pods", Duration::from_secs(30), || async {
            let left = self.list();
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        })
        .await;
    }

    /// The network interfaces of this engine, by name.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let root = self.root.display().to_string();
        let ours = |link: &fs::DirEntry| {
            fs::read_to_string(link.path().join("ifalias")).is_ok_and(|alias| alias.contains(&root))
        };
        let links = fs::read_dir("/sys/class/net").unwrap().flatten().filter(ours);
        links.map(|link| link.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The sandbox processes of this engine.
    pub(crate) fn sandbox_processes(&self) -> Vec<i32> {
        let root = self.root.display().to_string();
        processes()
            .filter(|pid| {
                let words = words(*pid);
                words.get(1).is_some_and(|word| word == "pod-sandbox")
                    && words.get(2).is_some_and(|word| word.starts_with(&root))
            })
            .collect()
    }

    fn list(&self) -> Vec<String> {
        let root = self.root.display().to_string();
        let mut left = Vec::new();
        for pid in processes() {
            // A container's processes see their own layer as the root of all mounts; so they are told by it.
            let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            let command = words(pid).join(" ");
            if pid != i32::try_from(std::process::id()).unwrap() && mounts.contains(&root) && !command.is_empty() {
                left.push(format!("process {pid}: {command}"));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(&root)).map(|line| format!("mount {line}")));
        left
    }
}

/// What people may still find under a folder of control groups.
pub(crate) fn control_groups_named(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(id) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn words(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}
