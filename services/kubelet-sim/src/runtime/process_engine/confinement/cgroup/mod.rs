//! Control groups: how much a container and its pod may use, and what they have used.
//!
//! A container has a group in its pod's group, below a group of ours: `/traceplane/kubepods/pod<uid>/<container>`. Both generations of the kernel's
//! interface are spoken: with the first there is a tree for each controller. A group that is left empty is removed, with
//! its parents, up to ours.

#[cfg(test)]
mod tests;
mod tree;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::Limits;
use tree::{Tree, keyed, make, number, write};

/// Below which all groups of all kubelets of this machine are.
const OURS: &str = "traceplane";
/// How long a group may take to become empty after all in it were killed.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// A container's group. Where there are none, every call does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    trees: Vec<Tree>,
    path: PathBuf,
}

/// What a container has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of CPU time since it began.
    pub cpu_nanos: u64,
    /// Bytes of memory that cannot be taken back under pressure: what Kubernetes calls the working set.
    pub memory_working_set: u64,
    /// Bytes of memory, with what could be taken back.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Whether groups can be made here. For them to be, in a container of the second generation its processes are moved into a group of their own.
pub fn available() -> bool {
    tree::usable()
}

impl Cgroup {
    /// The group at this place below ours.
    pub(super) fn of(path: &Path) -> Self {
        Self { trees: tree::all(), path: Path::new(OURS).join(path) }
    }

    pub(super) fn none() -> Self {
        Self { trees: Vec::new(), path: PathBuf::new() }
    }

    /// Makes it and its pod's, with their limits.
    pub(super) fn make(&self, limits: &Limits) -> io::Result<()> {
        self.trees.iter().try_for_each(|tree| {
            let mut made = self.make_in(tree, limits);
            // A group above may be removed by another container's end at any moment.
            for _ in 0..8 {
                match made {
                    Err(gone) if gone.kind() == ErrorKind::NotFound => made = self.make_in(tree, limits),
                    made => return made,
                }
            }
            made
        })
    }

    fn make_in(&self, tree: &Tree, limits: &Limits) -> io::Result<()> {
        let group = self.folder(tree);
        tree.make_all(self.parents().rev())?;
        if let Some(pod) = group.parent().filter(|_| tree.has("pids") && limits.pids > 0) {
            write(pod, "pids.max", limits.pids)?;
        }
        make(&group)?;
        tree.limit(&group, limits)
    }

    /// Puts a process into it, and with it all that it will start.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        self.trees.iter().try_for_each(|tree| write(&self.folder(tree), "cgroup.procs", pid))
    }

    /// How many of its processes the kernel has killed because memory ran out.
    pub fn oom_kills(&self) -> u64 {
        let of = |tree: &Tree| match tree {
            Tree::Unified(_) => Some(keyed(&self.folder(tree).join("memory.events"))),
            Tree::Of("memory", _) => Some(keyed(&self.folder(tree).join("memory.oom_control"))),
            Tree::Of(..) => None,
        };
        self.trees.iter().find_map(of).and_then(|counts| counts.get("oom_kill").copied()).unwrap_or(0)
    }

    /// What it has used; `None` where there are no groups, or this one is gone.
    pub fn usage(&self) -> Option<Usage> {
        let mut usage = Usage::default();
        for tree in &self.trees {
            let group = self.folder(tree);
            let unified = tree.is_unified();
            if tree.has("memory") {
                usage.memory = number(&group.join(if unified { "memory.current" } else { "memory.usage_in_bytes" }))?;
                let stat = keyed(&group.join("memory.stat"));
                let idle = stat.get(if unified { "inactive_file" } else { "total_inactive_file" }).copied();
                usage.memory_working_set = usage.memory.saturating_sub(idle.unwrap_or(0));
            }
            if tree.has("pids") {
                usage.pids = number(&group.join("pids.current"))?;
            }
            if unified {
                let micros = keyed(&group.join("cpu.stat")).get("usage_usec").copied()?;
                usage.cpu_nanos = micros.saturating_mul(1_000);
            } else if tree.has("cpuacct") {
                usage.cpu_nanos = number(&group.join("cpuacct.usage"))?;
            }
        }
        (!self.trees.is_empty()).then_some(usage)
    }

    /// Kills what is in it and removes it, and its parents if they are empty then. Blocks until it is empty, for seconds at most. Idempotent.
    pub fn remove(&self) -> io::Result<()> {
        for tree in &self.trees {
            end(&self.folder(tree))?;
            for parent in self.parents() {
                // Others are in it; or it is gone.
                if fs::remove_dir(tree.root().join(parent)).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The groups above it that are ours, from its pod's up.
    fn parents(&self) -> impl DoubleEndedIterator<Item = &Path> {
        let parents: Vec<&Path> = self.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        parents.into_iter()
    }

    fn folder(&self, tree: &Tree) -> PathBuf {
        tree.root().join(&self.path)
    }
}

/// Kills what is in a group and removes it.
fn end(group: &Path) -> io::Result<()> {
    let deadline = Instant::now() + EMPTY_WITHIN;
    loop {
        match tree::remove_all(group) {
            Err(busy) if Instant::now() > deadline => return Err(busy),
            Err(_) => tree::kill_all(group),
            Ok(()) => return Ok(()),
        }
        // The kernel tells nobody when a group of the first generation is empty.
        sleep(Duration::from_millis(2));
    }
}
