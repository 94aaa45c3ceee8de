//! What confined processes see and cannot do, on the real kernel, as root; and what is refused.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::*;

/// A policy whose ranges of users are a test's own.
fn policy(allow_privileged: bool) -> (Policy, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let users = UserRanges::in_register(root.path(), &root.path().join("users"));
    (Policy { allow_privileged, pod_max_pids: 32, users, control_groups: cgroup::available() }, root)
}

fn pod(options: cri::NamespaceOption) -> cri::PodSandboxConfig {
    let metadata =
        cri::PodSandboxMetadata { uid: format!("test-{}-{}", std::process::id(), unique()), ..Default::default() };
    let security = cri::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    let linux = cri::LinuxPodSandboxConfig {
        cgroup_parent: format!("/test/pod{}", metadata.uid),
        security_context: Some(security),
        ..Default::default()
    };
    cri::PodSandboxConfig { metadata: Some(metadata), linux: Some(linux), ..Default::default() }
}

fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn container(security: cri::LinuxContainerSecurityContext, memory: i64) -> cri::ContainerConfig {
    let resources = cri::LinuxContainerResources {
        memory_limit_in_bytes: memory,
        cpu_quota: 50_000,
        cpu_period: 100_000,
        cpu_shares: 512,
        ..Default::default()
    };
    let linux = cri::LinuxContainerConfig { resources: Some(resources), security_context: Some(security) };
    cri::ContainerConfig { linux: Some(linux), ..Default::default() }
}

/// Runs a shell script confined, in a group, as a container's first process would be.
#[allow(unsafe_code)]
fn run(confinement: &Confinement, group: &Cgroup, (uid, gid): (u32, u32), script: &str) -> Output {
    let (mut born, tell) = pipe();
    let (go, mut release) = pipe();
    let confined = confinement.clone();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let prepare = move || {
        let (mut tell, mut go) = (&tell, &go);
        if confined.user_namespace() {
            unshare(CloneFlags::CLONE_NEWUSER)?;
        }
        tell.write_all(&std::process::id().to_le_bytes())?;
        go.read_exact(&mut [0])?;
        confined.apply(uid, gid, &[gid, 4242])
    };
    // SAFETY: between fork and exec of a test; glibc keeps its allocator usable there.
    unsafe { command.pre_exec(prepare) };
    let (confinement, group) = (confinement.clone(), group.clone());
    let parent = thread::spawn(move || {
        let mut pid = [0; 4];
        born.read_exact(&mut pid).unwrap();
        let pid = Pid::from_raw(i32::from_le_bytes(pid));
        group.add(pid).unwrap();
        confinement.map_users(pid).unwrap();
        release.write_all(b"!").unwrap();
    });
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    parent.join().unwrap();
    output
}

#[allow(unsafe_code)]
fn pipe() -> (File, File) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    // SAFETY: both were just opened and belong to nobody else.
    unsafe { (File::from_raw_fd(reader.into_raw_fd()), File::from_raw_fd(writer.into_raw_fd())) }
}

/// Removes the group, whatever becomes of the test.
struct Removed(Cgroup);

impl Drop for Removed {
    fn drop(&mut self) {
        self.0.remove().unwrap();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn confined(root: cri::LinuxContainerSecurityContext, memory: i64) -> (Confinement, Removed, tempfile::TempDir) {
    let (policy, folder) = policy(false);
    let confinement = Confinement::of(&policy, &pod(Default::default()), &container(root, memory)).unwrap();
    let group = Removed(confinement.prepare("c1").unwrap());
    (confinement, group, folder)
}

const FACTS: &str =
    "id -u; id -g; id -G; sed -n 's/^\\(Cap\\|NoNew\\)//p' /proc/self/status; cat /proc/self/uid_map; ulimit -n";

#[test]
fn root_of_a_container_is_nobody_on_the_machine() {
    if !testkit::is_root() {
        return;
    }
    let (confinement, group, folder) = confined(Default::default(), 0);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the machine").unwrap();
    let script = format!("{FACTS}; cat {}; chown 0 {}", secret.display(), folder.path().display());
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let seen = text(&run(&confinement, &group.0, (0, 0), &script));
    let first = confinement.host_uid(0);
    assert!(first >= 65_536, "{first}");
    assert!(seen.starts_with("0\n0\n0 4242\n"), "it says root inside: {seen}");
    let map: Vec<&str> = seen.lines().find(|line| line.ends_with(" 65536")).unwrap().split_whitespace().collect();
    assert_eq!(map, ["0", &first.to_string(), "65536"]);
    let usual = format!("{:016x}", confinement.capabilities);
    assert!(seen.contains(&format!("Eff:\t{usual}")) && seen.contains(&format!("Bnd:\t{usual}")), "{seen}");
    assert!(seen.contains("Privs:\t1"), "{seen}");
    assert!(!seen.contains("of the machine"), "it reads what is root's: {seen}");
}

#[test]
fn another_user_has_no_capabilities_and_gets_none_back() {
    if !testkit::is_root() {
        return;
    }
    let (confinement, group, _folder) = confined(Default::default(), 0);
    let seen = text(&run(&confinement, &group.0, (101, 102), FACTS));
    assert!(seen.starts_with("101\n102\n102 4242\n"), "{seen}");
    for set in ["Inh", "Prm", "Eff", "Amb"] {
        assert!(seen.contains(&format!("{set}:\t0000000000000000")), "{set}: {seen}");
    }
    assert_eq!(
        (confinement.host_uid(101), confinement.host_uid(70_000)),
        (confinement.host_uid(0) + 101, confinement.host_uid(0) + 65_534)
    );
}

#[test]
fn processes_are_limited_in_number() {
    if !testkit::is_root() {
        return;
    }
    let (confinement, group, _folder) = confined(Default::default(), 0);
    let bomb = "i=0; while [ $i -lt 100 ]; do sleep 30 >/dev/null 2>&1 & i=$((i+1)); done; echo all";
    let seen = text(&run(&confinement, &group.0, (0, 0), bomb));
    assert!(!seen.contains("all") && seen.contains("fork"), "{seen}");
}

/// OOMKilled of S3: the kernel's kill is told from any other.
#[test]
fn memory_is_limited_and_the_kill_is_known() {
    if !testkit::is_root() || !has_control_groups() {
        return;
    }
    let (confinement, group, _folder) = confined(Default::default(), 16 << 20);
    assert_eq!(group.0.oom_kills(), 0);
    let greedy = "exec dd if=/dev/zero of=/dev/null bs=256M count=4";
    let output = run(&confinement, &group.0, (0, 0), greedy);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{}", text(&output));
    assert!(group.0.oom_kills() > 0);
}

#[test]
fn what_is_used_is_counted_and_nothing_is_left() {
    if !testkit::is_root() || !has_control_groups() {
        return;
    }
    let (confinement, group, _folder) = confined(Default::default(), 64 << 20);
    let busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600 >/dev/null 2>&1 & echo begun";
    assert_eq!(text(&run(&confinement, &group.0, (0, 0), busy)), "begun\n");
    let usage = group.0.usage().unwrap();
    assert!(usage.cpu_nanos > 0 && usage.pids == 1 && usage.memory >= usage.memory_working_set, "{usage:?}");
    let folders: Vec<PathBuf> = cgroup_folders(&group.0);
    assert!(folders.iter().all(|folder| folder.exists()) && !folders.is_empty());
    group.0.remove().unwrap();
    assert!(folders.iter().all(|folder| !folder.exists() && !folder.parent().unwrap().exists()), "{folders:?}");
    assert_eq!(group.0.usage(), None);
}

fn has_control_groups() -> bool {
    let has = cgroup::available();
    if !has {
        testkit::skip("control groups cannot be made on this machine");
    }
    has
}

fn cgroup_folders(group: &Cgroup) -> Vec<PathBuf> {
    // What its processes say is where it is.
    let text = format!("{group:?}");
    let path = text.rsplit("path: \"").next().unwrap().trim_end_matches("\" }").to_owned();
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu"];
    mounts.iter().map(|mount| Path::new(mount).join(&path)).filter(|folder| folder.exists()).collect()
}

#[test]
fn without_control_groups_processes_are_limited_one_by_one() {
    if !testkit::is_root() {
        return;
    }
    let (mut policy, _folder) = policy(false);
    policy.control_groups = false;
    let confinement =
        Confinement::of(&policy, &pod(Default::default()), &container(Default::default(), 64 << 20)).unwrap();
    let group = confinement.prepare("c1").unwrap();
    assert_eq!(group, Cgroup::none());
    let seen = text(&run(&confinement, &group, (0, 0), "cat /proc/self/limits"));
    let limit = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((limit("Max processes").as_str(), limit("Max data size").as_str()), ("32 32", "67108864 67108864"));
    assert_eq!((group.usage(), group.oom_kills()), (None, 0));
    group.remove().unwrap();
}

/// S3: CreateContainerError, and a sandbox that cannot be made, name the field and the flag.
#[test]
fn what_reaches_the_machine_takes_the_operators_permission() {
    let node = i32::from(cri::NamespaceMode::Node);
    let users = cri::UserNamespace { mode: node, ..Default::default() };
    let asks = [
        ("hostNetwork", cri::NamespaceOption { network: node, ..Default::default() }),
        ("hostPID", cri::NamespaceOption { pid: node, ..Default::default() }),
        ("hostIPC", cri::NamespaceOption { ipc: node, ..Default::default() }),
        ("hostUsers", cri::NamespaceOption { userns_options: Some(users), ..Default::default() }),
    ];
    let ((strict, _one), (lenient, _other)) = (policy(false), policy(true));
    for (field, options) in asks {
        let pod = pod(options);
        let refused = strict.admit(&pod).unwrap_err();
        assert_eq!(refused.code, Code::PermissionDenied);
        assert!(refused.message.starts_with(&format!("spec.{field}: true is not allowed")), "{refused}");
        assert!(refused.message.contains("--allow-privileged"), "{refused}");
        lenient.admit(&pod).unwrap();
        let allowed = Confinement::of(&lenient, &pod, &container(Default::default(), 0)).unwrap();
        assert!(!allowed.user_namespace(), "the machine's own users go with {field}");
    }
    let privileged = || container(cri::LinuxContainerSecurityContext { privileged: true, ..Default::default() }, 0);
    let refused = Confinement::of(&strict, &pod(Default::default()), &privileged()).unwrap_err();
    assert!(refused.message.starts_with("securityContext.privileged: true is not allowed"), "{refused}");
    let allowed = Confinement::of(&lenient, &pod(Default::default()), &privileged()).unwrap();
    assert_eq!(allowed.capabilities, capabilities::all());
    assert!(!allowed.user_namespace());
}

#[test]
fn a_confinement_crosses_to_the_sandbox_process_unchanged() {
    let (policy, _folder) = policy(false);
    let confinement =
        Confinement::of(&policy, &pod(Default::default()), &container(Default::default(), 1 << 20)).unwrap();
    let text = serde_json::to_string(&confinement).unwrap();
    assert_eq!(serde_json::from_str::<Confinement>(&text).unwrap(), confinement);
    assert!(confinement.user_namespace());
}
