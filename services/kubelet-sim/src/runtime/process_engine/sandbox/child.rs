//! From a forked process to the command: what runs between `fork` and `execve`.
//!
//! Its parent has a single thread, so this may do what any program may. It never returns to what its parent was doing: it becomes the
//! command, or says why not and ends.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{Gid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, fchown, setsid};

use super::super::spec::ContainerSpec;
use super::account::Account;
use super::mounts;
use super::wire::{Go, Progress, receive_now, send_now};

/// What is to become of a forked process.
pub(super) struct Job<'a> {
    pub(super) spec: &'a ContainerSpec,
    pub(super) argv: &'a [String],
    pub(super) tty: bool,
    /// Standard input, output and error, where there is no terminal.
    pub(super) stdio: [OwnedFd; 3],
    pub(super) place: Place<'a>,
    /// To the parent.
    pub(super) parent: OwnedFd,
}

/// Where it runs.
pub(super) enum Place<'a> {
    /// In a container that it makes.
    New {
        /// The container's.
        folder: &'a Path,
        /// The memory that containers of the pod share.
        shm: &'a Path,
        /// The machine's mount namespace.
        machine: &'a OwnedFd,
    },
    /// In one that is there: its mount and, if it has one, its user namespace.
    Joined { mounts: OwnedFd, users: Option<OwnedFd> },
}

impl Job<'_> {
    /// Becomes the command. Never returns.
    pub(super) fn run(self) -> ! {
        let Err(why) = self.become_command();
        // Without a parent there is nobody to tell.
        let _ = send_now(self.parent.as_fd(), &Progress::Failed(why), &[]);
        std::process::exit(1)
    }

    fn become_command(&self) -> Result<Infallible, String> {
        fresh_signals();
        setsid().map_err(|why| format!("setsid: {why}"))?;
        // The parent puts us into the control group first: nothing we use is unaccounted for.
        self.wait()?;
        match &self.place {
            Place::New { folder, shm, machine } => mounts::enter(self.spec, folder, shm, machine)?,
            Place::Joined { mounts, .. } => {
                setns(mounts, CloneFlags::CLONE_NEWNS).map_err(|why| format!("join mount namespace: {why}"))?;
            }
        }
        let account = self.spec.user.resolve(Path::new("/"))?;
        self.take_streams(&account)?;
        self.enter_folder()
            .map_err(|why| format!("chdir to cwd ({:?}) set in config.json failed: {}", self.spec.cwd, words(why)))?;
        self.enter_user_namespace()?;
        self.spec
            .confinement
            .apply(account.uid, account.gid, &account.groups)
            .map_err(|why| format!("cannot confine the process: {why}"))?;

        let env = self.environment(&account);
        let path = find(&self.argv[0], &env)?;
        let argv = self.argv.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>()?;
        let env = env.iter().map(|(key, value)| text(&format!("{key}={value}"))).collect::<Result<Vec<_>, _>>()?;
        // After the last change of user, which takes this back. If the parent has died before, the message finds nobody.
        set_pdeathsig(Signal::SIGKILL).map_err(|why| format!("prctl: {why}"))?;
        self.say(&Progress::Ready(account))?;
        execve(&text(&path.to_string_lossy())?, &argv, &env).map_err(|why| match why {
            Errno::ENOEXEC => format!("exec {}: exec format error", path.display()),
            why => format!("exec: {:?}: {}", self.argv[0], words(why.into())),
        })
    }

    /// Made if it is missing, as the low-level runtime does, for the container's root.
    fn enter_folder(&self) -> io::Result<()> {
        let folder = Path::new(&self.spec.cwd);
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            let confinement = &self.spec.confinement;
            chown(folder, Some(confinement.host_uid(0)), Some(confinement.host_gid(0)))?;
        }
        Ok(chdir(folder)?)
    }

    fn enter_user_namespace(&self) -> Result<(), String> {
        match &self.place {
            Place::New { .. } if self.spec.confinement.user_namespace() => {
                unshare(CloneFlags::CLONE_NEWUSER).map_err(|why| format!("unshare user namespace: {why}"))?;
                self.say(&Progress::Unshared)?;
                self.wait()
            }
            Place::Joined { users: Some(users), .. } => {
                setns(users, CloneFlags::CLONE_NEWUSER).map_err(|why| format!("join user namespace: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// Standard input, output and error, owned by whoever runs, who may open them again by name.
    fn take_streams(&self, account: &Account) -> Result<(), String> {
        let terminal = if self.tty { Some(self.open_terminal()?) } else { None };
        let [stdin, stdout, stderr] = match &terminal {
            Some(terminal) => [terminal; 3],
            None => [&self.stdio[0], &self.stdio[1], &self.stdio[2]],
        };
        let confinement = &self.spec.confinement;
        let owner =
            (Uid::from_raw(confinement.host_uid(account.uid)), Gid::from_raw(confinement.host_gid(account.gid)));
        for stream in [stdin, stdout, stderr] {
            // What is nobody's, such as /dev/null, stays as it is.
            let own = fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(stream)));
            if own.is_ok_and(|file| !is_null(&file)) {
                fchown(stream, Some(owner.0), if self.tty { None } else { Some(owner.1) })
                    .map_err(|why| format!("chown of a standard stream: {why}"))?;
            }
        }
        dup2_stdin(stdin)
            .and_then(|()| dup2_stdout(stdout))
            .and_then(|()| dup2_stderr(stderr))
            .map_err(|why| format!("dup2: {why}"))
    }

    /// The container's own terminal. The first that the leader of a session opens controls it.
    fn open_terminal(&self) -> Result<OwnedFd, String> {
        let failed = |why: io::Error| format!("open a terminal: {why}");
        let open = || -> io::Result<OwnedFd> {
            let master = nix::pty::posix_openpt(nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY)?;
            nix::pty::unlockpt(&master)?;
            let slave = OpenOptions::new().read(true).write(true).open(nix::pty::ptsname_r(&master)?)?;
            send_now(self.parent.as_fd(), &Progress::Terminal, &[master.as_fd()])?;
            Ok(slave.into())
        };
        open().map_err(failed)
    }

    fn environment(&self, account: &Account) -> Vec<(String, String)> {
        let mut env = self.spec.env.clone();
        let mut default = |key: &str, value: &str| {
            if !env.iter().any(|(known, _)| known == key) {
                env.push((key.to_owned(), value.to_owned()));
            }
        };
        default("HOME", &account.home);
        if self.tty {
            default("TERM", "xterm");
        }
        env
    }

    fn say(&self, progress: &Progress) -> Result<(), String> {
        send_now(self.parent.as_fd(), progress, &[]).map_err(|why| format!("the parent is gone: {why}"))
    }

    fn wait(&self) -> Result<(), String> {
        match receive_now::<Go>(self.parent.as_fd()) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("the parent is gone".to_owned()),
            Err(why) => Err(format!("the parent does not answer: {why}")),
        }
    }
}

/// As a process that a shell has started: nothing blocked and nothing ignored, whatever those before us did.
#[allow(unsafe_code)]
fn fresh_signals() {
    // Neither call can fail with these arguments, but for KILL and STOP, which are never handled.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    for every in Signal::iterator() {
        // SAFETY: no handler is installed, so none can do anything wrong.
        let _ = unsafe { signal(every, SigHandler::SigDfl) };
    }
}

fn is_null(file: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::rdev(file) == nix::sys::stat::makedev(1, 3)
}

/// The file of a command, and what the low-level runtime says of one that is not to be had.
fn find(name: &str, env: &[(String, String)]) -> Result<PathBuf, String> {
    let runnable = |path: &Path| -> io::Result<()> {
        let file = fs::metadata(path)?;
        if file.is_dir() {
            return Err(Errno::EISDIR.into());
        }
        if file.permissions().mode() & 0o111 == 0 {
            return Err(Errno::EACCES.into());
        }
        Ok(())
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match runnable(&path) {
            Ok(()) => Ok(path),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                Err(format!("exec: {name:?}: stat {name}: no such file or directory"))
            }
            Err(why) => Err(format!("exec: {name:?}: {}", words(why))),
        };
    }
    let path = env.iter().find(|(key, _)| key == "PATH").map_or("", |(_, path)| path);
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|path| runnable(path).is_ok());
    found.ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

/// An error of the system in the words of the runtime's language.
fn words(why: io::Error) -> String {
    match why.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES) => "permission denied".to_owned(),
        Some(Errno::ENOENT) => "no such file or directory".to_owned(),
        Some(Errno::EISDIR) => "is a directory".to_owned(),
        Some(errno) => errno.desc().to_lowercase(),
        None => why.to_string(),
    }
}

fn text(word: &str) -> Result<CString, String> {
    CString::new(word).map_err(|_| format!("{word:?} has a zero byte in it"))
}
