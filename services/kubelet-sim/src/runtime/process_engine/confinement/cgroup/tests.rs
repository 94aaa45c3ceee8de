//! Groups on the real kernel, of whichever generation this machine has, as root.

use std::process::{Child, Command, Stdio};

use super::*;

/// A group of a test, or `None`, which is said aloud, where there are none. Removed whatever becomes of the test.
struct Group(Cgroup);

impl Group {
    fn new(name: &str, limits: &Limits) -> Option<Self> {
        if !testkit::is_root() {
            return None;
        }
        if !available() {
            testkit::skip("control groups cannot be made on this machine");
            return None;
        }
        let group = Self(Cgroup::of(&Path::new("test").join(format!("{name}-{}", std::process::id()))));
        group.0.make(limits).unwrap();
        Some(group)
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.0.trees.iter().map(|tree| self.0.folder(tree)).collect()
    }

    /// What the first of these files that is there says.
    fn says(&self, files: &[&str]) -> String {
        let mut paths = self.folders().into_iter().flat_map(|folder| files.iter().map(move |file| folder.join(file)));
        paths.find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.0.remove().unwrap();
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

#[test]
fn limits_are_written_in_the_words_of_the_machines_generation() {
    let limits =
        Limits { memory: 64 << 20, cpu_quota: 50_000, cpu_period: 100_000, cpu_shares: 1_024, ..Limits::default() };
    let Some(group) = Group::new("limits", &limits) else { return };
    let unified = group.0.trees[0].is_unified();
    assert_eq!(group.says(&["memory.max", "memory.limit_in_bytes"]), (64 << 20).to_string());
    assert_eq!(group.says(&["cpu.max", "cpu.cfs_quota_us"]), if unified { "50000 100000" } else { "50000" });
    assert_eq!(group.says(&["cpu.weight", "cpu.shares"]), if unified { "39" } else { "1024" });
    if unified {
        assert_eq!(group.says(&["memory.oom.group"]), "1", "all of a container dies together");
    }
}

/// A privileged container may make groups below its own and put processes into them.
#[test]
fn what_was_made_below_a_group_goes_with_it() {
    let Some(group) = Group::new("nested", &Limits::default()) else { return };
    let (mut above, mut below) = (sleeper(), sleeper());
    group.0.add(pid(&above)).unwrap();
    for folder in group.folders() {
        let deep = folder.join("one/two");
        fs::create_dir_all(&deep).unwrap();
        write(&deep, "cgroup.procs", below.id()).unwrap();
    }
    // Whoever waits for its children lets a group become empty.
    let waiting = std::thread::spawn(move || [above.wait().unwrap(), below.wait().unwrap()]);
    group.0.remove().unwrap();
    assert!(group.folders().iter().all(|folder| !folder.exists()));
    for status in waiting.join().unwrap() {
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}

/// As in a container with a namespace of its own for control groups: what it sees as the root has processes, and so may not have
/// controllers for what is below it.
#[test]
fn in_a_container_of_the_second_generation_groups_can_be_made() {
    let Some(group) = Group::new("container", &Limits::default()) else { return };
    if !group.0.trees[0].is_unified() {
        return testkit::skip("this machine has control groups of the first generation");
    }
    let folder = group.folders().remove(0);
    let inside = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" \
                  runtime::process_engine::confinement::tests::memory_is_limited --nocapture";
    let enter =
        format!("echo $$ >{}/cgroup.procs && exec unshare --cgroup --mount sh -c '{inside}' \"$0\"", folder.display());
    let output = Command::new("sh").arg("-c").arg(enter).arg(std::env::current_exe().unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed") && !text.contains("skipped"), "{text}");
}
