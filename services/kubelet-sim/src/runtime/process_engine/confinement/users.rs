//! Ranges of the machine's users, one for each pod.
//!
//! A pod's users 0 to 65,535 are 65,536 users of the machine that nobody else is: no login, no other pod, and no pod of another kubelet of this
//! machine. Who has which range is written down machine-wide, a file for each, so that kubelets agree; it is forgotten by a reboot, as
//! are the pods. A range whose kubelet's folder is gone is free.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::unistd::Pid;

/// Users in a range.
const SIZE: u32 = 65_536;
/// The last user of a range, who stands for all beyond it.
pub(super) const NOBODY: u32 = SIZE - 2;
/// Where the ranges begin: far above users of people and of systemd's containers' first ranges, below what a signed number can hold.
const FIRST: u32 = 0x4000_0000;
/// How many ranges there are.
const COUNT: u32 = (0x8000_0000 - FIRST) / SIZE;
const REGISTER: &str = "/run/traceplane/users";

/// The ranges of one kubelet's pods.
#[derive(Debug)]
pub struct UserRanges {
    /// The kubelet's folder.
    owner: PathBuf,
    register: PathBuf,
}

impl UserRanges {
    /// Those of the kubelet with this folder.
    pub fn open(owner: &Path) -> Self {
        Self::in_register(owner, Path::new(REGISTER))
    }

    pub(super) fn in_register(owner: &Path, register: &Path) -> Self {
        let owner = fs::canonicalize(owner).unwrap_or_else(|_| owner.to_owned());
        Self { owner, register: register.to_owned() }
    }

    /// The first user of a pod's range: the same for the pod's whole life.
    pub(super) fn take(&self, pod_uid: &str) -> io::Result<u32> {
        let (first, count) = usable(&fs::read_to_string("/proc/self/uid_map")?).ok_or_else(|| {
            io::Error::other("this machine (or the container that we run in) has no 65536 users to spare for a pod")
        })?;
        fs::create_dir_all(&self.register)?;
        let entry = self.entry(pod_uid);
        for (range, held) in self.entries()? {
            if held == entry {
                return Ok(range);
            }
        }
        // Written aside first, where nobody else writes: an entry appears complete or not at all.
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        let aside = self.register.join(format!(".{}.{}", std::process::id(), TAKEN.fetch_add(1, Ordering::Relaxed)));
        fs::write(&aside, &entry)?;
        let taken = self.first_free(first, count, hash(pod_uid), &aside, &entry);
        fs::remove_file(&aside)?;
        taken
    }

    fn first_free(&self, first: u32, count: u32, start: u32, aside: &Path, entry: &str) -> io::Result<u32> {
        for step in 0..count {
            let range = first + (start.wrapping_add(step) % count) * SIZE;
            let path = self.register.join(range.to_string());
            if is_stale(&path) {
                let _ = fs::remove_file(&path);
            }
            match fs::hard_link(aside, &path) {
                Ok(()) => return Ok(range),
                // Two containers of a pod may be made at the same time: they look at the same ranges in the same order.
                Err(taken) if taken.kind() == ErrorKind::AlreadyExists => {
                    if fs::read_to_string(&path).is_ok_and(|held| held == entry) {
                        return Ok(range);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("all {count} ranges of users are taken ({})", self.register.display())))
    }

    pub(super) fn release(&self, pod_uid: &str) {
        let entry = self.entry(pod_uid);
        self.remove(|held| *held == entry);
    }

    pub(super) fn retain(&self, pod_uids: &[&str]) {
        let kept: Vec<String> = pod_uids.iter().map(|uid| self.entry(uid)).collect();
        let ours = self.entry("");
        self.remove(|held| held.starts_with(&ours) && !kept.contains(held));
    }

    fn remove(&self, which: impl Fn(&String) -> bool) {
        for (range, _) in self.entries().unwrap_or_default().into_iter().filter(|(_, held)| which(held)) {
            // Gone already is gone.
            let _ = fs::remove_file(self.register.join(range.to_string()));
        }
    }

    fn entry(&self, pod_uid: &str) -> String {
        format!("{}\n{pod_uid}", self.owner.display())
    }

    fn entries(&self) -> io::Result<Vec<(u32, String)>> {
        let files = fs::read_dir(&self.register)?.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
        Ok(files
            .filter_map(|range: u32| Some((range, fs::read_to_string(self.register.join(range.to_string())).ok()?)))
            .collect())
    }
}

/// Says which users of the machine those in the new namespace of `pid` are.
pub(super) fn map(pid: Pid, first: u32) -> io::Result<()> {
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{file}"), format!("0 {first} {SIZE}\n"))?;
    }
    Ok(())
}

fn is_stale(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|held| held.lines().next().is_some_and(|owner| !Path::new(owner).exists()))
}

/// The first range and how many there are, of the users that we know. In a container they may be few.
fn usable(uid_map: &str) -> Option<(u32, u32)> {
    let segments = uid_map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>().ok());
        let start = numbers.next()??;
        Some((start, start + numbers.nth(1)??))
    });
    let fits = |(start, end): (u64, u64)| {
        let range = u64::from(SIZE);
        let last = u64::from(FIRST) + u64::from(COUNT) * range;
        if start <= u64::from(FIRST) && last <= end {
            return Some((FIRST, COUNT));
        }
        // Leaves out what the first users of the machine are.
        let first = start.max(1).next_multiple_of(range);
        let count = end.saturating_sub(first) / range;
        (count > 0).then(|| Some((u32::try_from(first).ok()?, u32::try_from(count).ok()?.min(COUNT)))).flatten()
    };
    segments.filter_map(fits).max_by_key(|(_, count)| *count)
}

/// FNV-1a.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn each_pod_has_a_range_of_its_own_for_its_whole_life() {
        let (register, one, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ranges = UserRanges::in_register(one.path(), register.path());
        let first = ranges.take("a").unwrap();
        assert_eq!(first % SIZE, 0);
        assert_eq!(ranges.take("a").unwrap(), first);
        let neighbour = UserRanges::in_register(other.path(), register.path());
        let same_pod = neighbour.take("a").unwrap();
        assert_ne!(same_pod, first, "another kubelet's pod has other users, whatever it is called");
        assert_ne!(ranges.take("b").unwrap(), first);

        // The next life of the kubelet knows what its pods have, and forgets those that are no more.
        let next = UserRanges::in_register(one.path(), register.path());
        next.retain(&["a"]);
        assert_eq!(next.take("a").unwrap(), first);
        assert_eq!(fs::read_dir(register.path()).unwrap().count(), 2, "b's is free, the neighbour's is not ours");
        next.release("a");
        next.release("a");
        assert_eq!(fs::read_dir(register.path()).unwrap().count(), 1);

        // Both want the same range for a pod of this name; the neighbour has it until it is gone.
        let wanted = neighbour.take("c").unwrap();
        assert_ne!(next.take("c").unwrap(), wanted);
        next.release("c");
        drop(other);
        assert_eq!(next.take("c").unwrap(), wanted);
    }

    #[test]
    fn containers_of_a_pod_that_are_made_at_the_same_time_have_the_same_users() {
        let register = tempfile::tempdir().unwrap();
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let nodes = folders.each_ref().map(|node| UserRanges::in_register(node.path(), register.path()));
        for round in 0..50 {
            let pod = format!("pod-{round}");
            let start = Barrier::new(8);
            let take = |node: &UserRanges| {
                start.wait();
                node.take(&pod).unwrap()
            };
            let (take, nodes) = (&take, &nodes);
            let taken = thread::scope(|scope| {
                let takers: Vec<_> = (0..8).map(|i| scope.spawn(move || take(&nodes[i % 2]))).collect();
                takers.into_iter().map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
            });
            let of_node = |node: usize| taken.iter().skip(node).step_by(2).collect::<BTreeSet<_>>();
            assert!(of_node(0).len() == 1 && of_node(1).len() == 1 && of_node(0) != of_node(1), "{taken:?}");
        }
    }

    #[test]
    fn in_a_container_there_may_be_few_users() {
        assert_eq!(usable("0 0 4294967295\n"), Some((FIRST, COUNT)));
        assert_eq!(usable("0 100000 65536\n"), None);
        assert_eq!(usable("0 1000 1\n1 100000 262144\n"), Some((65_536, 3)));
        assert_eq!(usable(""), None);
    }
}
