//! The kernel's trees of control groups, and the files in which the two generations say the same things.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access};

use super::super::Limits;

const MOUNT: &str = "/sys/fs/cgroup";
/// Those that we use, by their names in the first generation. The second has no `cpuacct`: it always counts.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "cpuacct"];
/// The same for the second. All of them or none: what the kernel does not limit for a group is limited for each process.
const ENABLED: &str = "+memory +pids +cpu";
/// Where the processes of a container that we run in go, as other programs that make groups in a container have it.
const LEAF: &str = "init";

/// Where groups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// The second generation: one tree for all.
    Unified(PathBuf),
    /// The first: the tree at this place, of this controller.
    Of(&'static str, PathBuf),
}

/// The trees of this machine, whether or not groups can be made in them.
pub(super) fn all() -> Vec<Tree> {
    let mount = Path::new(MOUNT);
    if mount.join("cgroup.controllers").exists() {
        return vec![Tree::Unified(mount.to_owned())];
    }
    let mut trees: Vec<Tree> = Vec::new();
    for name in CONTROLLERS {
        // Two of them may share a tree, under two names.
        let Ok(root) = fs::canonicalize(mount.join(name)) else { continue };
        if access(&root, AccessFlags::W_OK).is_ok() {
            trees.push(Tree::Of(name, root));
        }
    }
    trees
}

/// Whether groups can be made, which the second generation may have to be prepared for.
pub(super) fn usable() -> bool {
    match all().as_slice() {
        [] => false,
        [Tree::Unified(root)] => open(root).is_ok(),
        _ => true,
    }
}

/// Lets the groups right below the root have controllers.
///
/// A group with processes cannot, unless it is the machine's root. What a container sees as the root is none: so the processes of the container
/// that we run in, among them this one, go into a group of their own.
fn open(root: &Path) -> io::Result<()> {
    let leaf = root.join(LEAF);
    let mut opened = enable(root);
    for _ in 0..8 {
        match opened {
            Err(busy) if busy.kind() == ErrorKind::ResourceBusy => {}
            opened => return opened,
        }
        make(&leaf)?;
        for pid in members(root) {
            // It may have ended since, or have started another.
            let _ = write(&leaf, "cgroup.procs", pid);
        }
        opened = enable(root);
    }
    opened
}

/// Lets the children of a group have controllers.
fn enable(group: &Path) -> io::Result<()> {
    write(group, "cgroup.subtree_control", ENABLED)
}

impl Tree {
    pub(super) fn root(&self) -> &Path {
        match self {
            Self::Unified(root) | Self::Of(_, root) => root,
        }
    }

    pub(super) fn is_unified(&self) -> bool {
        matches!(self, Self::Unified(_))
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        match self {
            Self::Unified(_) => true,
            Self::Of(name, _) => *name == controller,
        }
    }

    /// Makes groups, each in the one before, so that groups in the last can have limits.
    ///
    /// That it was done before counts for nothing: who looks after the machine's groups (systemd) takes controllers away that nobody uses.
    pub(super) fn make_all<'a>(&self, groups: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        let prepare = |group: &Path| if self.is_unified() { enable(group) } else { Ok(()) };
        prepare(self.root())?;
        for group in groups.map(|group| self.root().join(group)) {
            make(&group)?;
            prepare(&group)?;
        }
        Ok(())
    }

    pub(super) fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()> {
        let Limits { memory, cpu_quota, cpu_period, cpu_shares, .. } = *limits;
        match self {
            Self::Unified(_) => {
                if memory > 0 {
                    write(group, "memory.max", memory)?;
                    // Kernels without swap have no such file; all of a container dies together, as Kubernetes wants it.
                    let _ = write(group, "memory.swap.max", 0);
                    let _ = write(group, "memory.oom.group", 1);
                }
                if cpu_quota > 0 {
                    write(group, "cpu.max", format!("{cpu_quota} {cpu_period}"))?;
                }
                if cpu_shares > 0 {
                    // From 2..262144 to 1..10000, as runtimes do it.
                    let weight = 1 + (cpu_shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
                    write(group, "cpu.weight", weight)?;
                }
            }
            Self::Of("memory", _) if memory > 0 => {
                write(group, "memory.limit_in_bytes", memory)?;
                let _ = write(group, "memory.memsw.limit_in_bytes", memory);
            }
            Self::Of("cpu", _) => {
                if cpu_quota > 0 {
                    write(group, "cpu.cfs_period_us", cpu_period)?;
                    write(group, "cpu.cfs_quota_us", cpu_quota)?;
                }
                if cpu_shares > 0 {
                    write(group, "cpu.shares", cpu_shares.max(2))?;
                }
            }
            Self::Of(..) => {}
        }
        Ok(())
    }
}

/// Kills all in a group and in those below it. Who is born meanwhile may be missed, if the kernel is older than 5.14.
pub(super) fn kill_all(group: &Path) {
    if write(group, "cgroup.kill", 1).is_ok() {
        return;
    }
    for pid in members(group) {
        // It may have ended since.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for child in children(group) {
        kill_all(&child);
    }
}

/// Removes a group with those below it, which a privileged container may have made. Fails while a process is in any of them.
pub(super) fn remove_all(group: &Path) -> io::Result<()> {
    match fs::remove_dir(group) {
        Err(busy) if busy.kind() == ErrorKind::ResourceBusy => {
            children(group).iter().try_for_each(|child| remove_all(child))?;
            fs::remove_dir(group)
        }
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn children(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn members(group: &Path) -> Vec<i32> {
    let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // A process that this namespace does not know is 0.
    list.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

pub(super) fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(there) if there.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

pub(super) fn write(group: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let path = group.join(file);
    fs::write(&path, value.to_string())
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

pub(super) fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The lines of a file such as `memory.stat`: a name and a number each.
pub(super) fn keyed(path: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}
