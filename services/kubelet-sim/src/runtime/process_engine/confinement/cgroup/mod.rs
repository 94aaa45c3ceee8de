//! Control groups: how much a container and its pod may use, and what they have used.
//!
//! A container has a group in its pod's group, below a group of ours: `/traceplane/kubepods/pod<uid>/<container>`. Both generations of the kernel's
//! interface are spoken: with the first there is a tree for each controller. A group that is left empty is removed, with
//! its parents, up to ours.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access};

use super::Limits;

const MOUNT: &str = "/sys/fs/cgroup";
/// Below which all groups of all kubelets of this machine are.
const OURS: &str = "traceplane";
/// Those that we use, by their names in the first generation. The second has no `cpuacct`: it always counts.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "cpuacct"];
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

/// Where groups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tree {
    /// The second generation: one tree for all.
    Unified,
    /// The first: the tree at this place, of this controller.
    Of(&'static str, PathBuf),
}

/// Whether groups can be made here.
pub fn available() -> bool {
    !trees().is_empty()
}

fn trees() -> Vec<Tree> {
    let mount = Path::new(MOUNT);
    if mount.join("cgroup.controllers").exists() {
        return if enable(mount).is_ok() { vec![Tree::Unified] } else { Vec::new() };
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

/// Lets the children of a group have controllers. Not possible in the root of a container's view while processes are in it.
fn enable(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.subtree_control"), "+memory +pids +cpu")
}

impl Cgroup {
    /// The group at this place below ours.
    pub(super) fn of(path: &Path) -> Self {
        Self { trees: trees(), path: Path::new(OURS).join(path) }
    }

    pub(super) fn none() -> Self {
        Self { trees: Vec::new(), path: PathBuf::new() }
    }

    /// Makes it and its pod's, with their limits.
    pub(super) fn make(&self, limits: &Limits) -> io::Result<()> {
        for tree in &self.trees {
            let group = self.folder(tree);
            let pod = group.parent().unwrap_or(&group).to_owned();
            self.make_parents(tree)?;
            if tree.has("pids") && limits.pids > 0 {
                write(&pod, "pids.max", limits.pids)?;
            }
            make(&group)?;
            tree.limit(&group, limits)?;
        }
        Ok(())
    }

    /// A group above may be removed by another pod's end at any moment, so this may take more than one attempt.
    fn make_parents(&self, tree: &Tree) -> io::Result<()> {
        let parents: Vec<&Path> = self.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        let mut attempts = 0;
        'again: loop {
            for path in parents.iter().rev() {
                let folder = tree.root().join(path);
                let made = make(&folder).and_then(|()| if *tree == Tree::Unified { enable(&folder) } else { Ok(()) });
                match made {
                    Err(gone) if gone.kind() == ErrorKind::NotFound && attempts < 8 => {
                        attempts += 1;
                        continue 'again;
                    }
                    made => made?,
                }
            }
            return Ok(());
        }
    }

    /// Puts a process into it, and with it all that it will start.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        self.trees.iter().try_for_each(|tree| write(&self.folder(tree), "cgroup.procs", pid))
    }

    /// How many of its processes the kernel has killed because memory ran out.
    pub fn oom_kills(&self) -> u64 {
        let of = |tree: &Tree| match tree {
            Tree::Unified => Some(keyed(&self.folder(tree).join("memory.events"))),
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
            let unified = *tree == Tree::Unified;
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
            let group = self.folder(tree);
            self.empty(&group)?;
            for parent in self.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()) {
                // Others are in it; or it is gone.
                if fs::remove_dir(tree.root().join(parent)).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn empty(&self, group: &Path) -> io::Result<()> {
        let deadline = Instant::now() + EMPTY_WITHIN;
        loop {
            match fs::remove_dir(group) {
                Ok(()) => return Ok(()),
                Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(()),
                Err(busy) if Instant::now() > deadline => return Err(busy),
                Err(_) => {}
            }
            let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in members.lines().filter_map(|line| line.parse().ok()) {
                // It may have ended since.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // The kernel tells nobody when a group of the first generation is empty.
            sleep(Duration::from_millis(2));
        }
    }

    fn folder(&self, tree: &Tree) -> PathBuf {
        tree.root().join(&self.path)
    }
}

impl Tree {
    fn root(&self) -> &Path {
        match self {
            Self::Unified => Path::new(MOUNT),
            Self::Of(_, root) => root,
        }
    }

    fn has(&self, controller: &str) -> bool {
        match self {
            Self::Unified => true,
            Self::Of(name, _) => *name == controller,
        }
    }

    fn limit(&self, group: &Path, limits: &Limits) -> io::Result<()> {
        let Limits { memory, cpu_quota, cpu_period, cpu_shares, .. } = *limits;
        match self {
            Self::Unified => {
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

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(there) if there.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write(group: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let path = group.join(file);
    fs::write(&path, value.to_string())
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The lines of a file such as `memory.stat`: a name and a number each.
fn keyed(path: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}
