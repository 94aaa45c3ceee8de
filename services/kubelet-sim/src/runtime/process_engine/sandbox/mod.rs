//! The sandbox process of one pod: this program, started again with a hidden first argument.
//!
//! It holds the pod's network, UTS and IPC namespaces, is the parent of all that runs in the pod, and serves the engine on a socket in the
//! sandbox's folder. It lives on when the kubelet dies, and waits for another; if none comes in time, it ends, and everything with it.
//!
//! Invariants:
//! - one thread, from the first instruction to the last: only so may it fork and do as it likes in the child;
//! - what it starts gets SIGKILL from the kernel when it dies, so nothing of a pod outlives its sandbox process, however that ends;
//! - an end is on the disk before anybody is told.
//!
//! It decides nothing: no restarts, no grace periods, no addresses. Those are the engine's and the kubelet's.

pub(super) mod account;
mod child;
mod container;
mod mounts;
mod output;
mod process;
mod serve;
pub(super) mod wire;

pub(super) use output::nonblocking;

use std::cell::RefCell;
use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chdir, dup2_stdout, sethostname, setsid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::records::{self, SPEC};
use super::spec::SandboxSpec;
use container::Container;
use process::Children;
use wire::Ended;

/// The first argument that makes a kubelet a sandbox process. Its only other argument is the sandbox's folder.
pub(super) const ARGUMENT: &str = "pod-sandbox";

/// What it prints when it serves; anything else it prints is why it cannot.
pub(super) const READY: &str = "ready";

/// How many ends a watching engine may lag behind before it is cut off, and takes up the pod anew.
const BACKLOG: usize = 256;

/// How long killed processes may take to be gone.
const DEATH: Duration = Duration::from_secs(10);

/// Runs a sandbox process if that is what this program was started as; called before anything else.
pub(crate) fn dispatch() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    Some(match live(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // To the engine, which waits for a line. If there is none, nobody is interested.
            let _ = writeln!(io::stdout(), "{why}");
            ExitCode::FAILURE
        }
    })
}

fn live(folder: &Path) -> Result<(), String> {
    let failed = |what: &'static str| move |why: io::Error| format!("{what}: {why}");
    chdir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let spec: SandboxSpec = records::read(Path::new(SPEC)).map_err(failed("read the sandbox's description"))?;
    // A signal to the kubelet's terminal is not meant for its pods.
    setsid().map_err(|why| format!("setsid: {why}"))?;
    keep_descriptors_to_ourselves().map_err(failed("close inherited files"))?;
    set_child_subreaper(true).map_err(|why| format!("become a reaper: {why}"))?;
    let machine = File::open("/proc/self/ns/mnt").map_err(failed("open the machine's mount namespace"))?.into();
    let shm = namespaces(&spec, folder)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("start"))?;
    LocalSet::new().block_on(&runtime, async {
        let listener = wire::serve().map_err(failed("listen"))?;
        let children = Children::new().map_err(failed("open our process namespace"))?;
        let init = if spec.shared_pid {
            Some(children.start_init().map_err(failed("start the pod's first process"))?)
        } else {
            None
        };
        let patience = Duration::from_millis(spec.adoption_timeout);
        let sandbox = Rc::new(Sandbox {
            id: spec.id,
            shm,
            machine,
            init,
            children,
            containers: RefCell::default(),
            ended: broadcast::Sender::new(BACKLOG),
            quiet: Notify::new(),
            watchers: watch::Sender::new(0),
            stop: CancellationToken::new(),
        });
        let reaping = Rc::clone(&sandbox);
        tokio::task::spawn_local(async move { reaping.children.wait().await });
        let mut terminated = signal(SignalKind::terminate()).map_err(failed("wait for signals"))?;
        println!("{READY}");
        stdout_to_nowhere().map_err(failed("let go of standard output"))?;

        tokio::select! {
            () = Rc::clone(&sandbox).serve(listener) => {}
            () = sandbox.orphaned(patience) => {}
            () = sandbox.stop.cancelled() => {}
            _ = terminated.recv() => {}
        }
        sandbox.end().await;
        Ok(())
    })
}

/// One pod.
pub(super) struct Sandbox {
    id: String,
    /// The folder that is `/dev/shm` in all containers.
    shm: PathBuf,
    /// The machine's mount namespace.
    machine: OwnedFd,
    /// The first process of the process namespace that the containers share, if they do.
    init: Option<Pid>,
    children: Children,
    /// Those that run.
    containers: RefCell<HashMap<String, Rc<Container>>>,
    ended: broadcast::Sender<Ended>,
    /// Something has ended.
    quiet: Notify,
    /// How many engines watch.
    watchers: watch::Sender<usize>,
    stop: CancellationToken,
}

impl Sandbox {
    /// Returns when nobody has watched for so long.
    async fn orphaned(&self, patience: Duration) {
        let mut watchers = self.watchers.subscribe();
        loop {
            // The sender is ours: it does not go away.
            let _ = watchers.wait_for(|count| *count == 0).await;
            if timeout(patience, watchers.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    /// Kills everything, and returns when all of it is recorded.
    async fn end(&self) {
        self.stop.cancel();
        let dead = async {
            loop {
                let quiet = self.quiet.notified();
                if self.containers.borrow().is_empty() {
                    return;
                }
                for container in self.containers.borrow().values() {
                    // It may have ended a moment ago.
                    let _ = kill(container.pid(), Signal::SIGKILL);
                }
                quiet.await;
            }
        };
        // What does not die now waits for the kernel, which kills it when we are gone.
        let _ = timeout(DEATH, dead).await;
    }
}

/// Makes the pod's namespaces, and answers the folder that its containers share as memory.
fn namespaces(spec: &SandboxSpec, folder: &Path) -> Result<PathBuf, String> {
    let own = [
        (true, CloneFlags::CLONE_NEWNS),
        (!spec.host_network, CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS),
        (!spec.host_ipc, CloneFlags::CLONE_NEWIPC),
    ];
    let own = own.into_iter().filter(|(own, _)| *own).fold(CloneFlags::empty(), |all, (_, flag)| all | flag);
    unshare(own).map_err(|why| format!("unshare namespaces: {why}"))?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_SLAVE | MsFlags::MS_REC, nothing)
        .map_err(|why| format!("mount /: {why}"))?;
    if !spec.host_network {
        sethostname(&spec.hostname).map_err(|why| format!("set the hostname {:?}: {why}", spec.hostname))?;
        // As containerd sets them: who has no privileges may serve on every port and ping.
        let defaults = [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];
        for (name, value) in defaults.into_iter().filter(|(name, _)| !spec.sysctls.contains_key(*name)) {
            set(name, value)?;
        }
    }
    for (name, value) in &spec.sysctls {
        set(name, value)?;
    }
    if spec.host_ipc {
        return Ok("/dev/shm".into());
    }
    let shm = folder.join("shm");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mounted = fs::create_dir_all(&shm)
        .and_then(|()| Ok(mount(Some("shm"), &shm, Some("tmpfs"), flags, Some("mode=1777,size=65536k"))?));
    mounted.map_err(|why| format!("mount /dev/shm: {why}"))?;
    Ok(shm)
}

fn set(sysctl: &str, value: &str) -> Result<(), String> {
    let file = Path::new("/proc/sys").join(sysctl.replace('.', "/"));
    fs::write(&file, value).map_err(|why| format!("write sysctl {sysctl} = {value}: {why}"))
}

/// Whatever the kubelet was started with, containers do not get it.
#[allow(unsafe_code)]
fn keep_descriptors_to_ourselves() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd > 2) else {
            continue;
        };
        // SAFETY: only a flag is set; a number that is no descriptor any more, as that of this very folder, is an error and no harm.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
    Ok(())
}

fn stdout_to_nowhere() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    debug_assert!(nowhere.as_raw_fd() > 2);
    dup2_stdout(&nowhere)?;
    Ok(())
}
