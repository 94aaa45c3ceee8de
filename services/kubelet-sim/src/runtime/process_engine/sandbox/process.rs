//! Processes of a pod: started with a fork, followed until they are the command, waited for until they end.
//!
//! Invariant: every child is waited for here and nowhere else. Forking and expecting a child's end happen without an await between
//! them, in the only thread there is, so no end is missed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, close, fork, pause};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::account::Account;
use super::child::Job;
use super::wire::{self, Go, Progress};

/// In which process namespace a child runs.
pub(super) enum Processes {
    /// In a new one, as its first process.
    New,
    /// In one that is there.
    Joined(OwnedFd),
}

/// A child that has become its command.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) account: Account,
    /// Our side of its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
    /// How it ends: 128 + n after signal n.
    pub(super) exit: oneshot::Receiver<i32>,
}

/// Waits for children.
pub(super) struct Children {
    /// Our own process namespace, to come back to.
    own: File,
    waiting: RefCell<HashMap<Pid, oneshot::Sender<i32>>>,
}

impl Children {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { own: File::open("/proc/self/ns/pid")?, waiting: RefCell::default() })
    }

    /// Waits for whatever ends, for as long as it is polled. What nobody expects was left behind by a child that has ended.
    pub(super) async fn wait(&self) -> io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        loop {
            loop {
                let (pid, code) = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                    Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                    Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                    Ok(_) | Err(Errno::EINTR) => continue,
                    Err(why) => return Err(why.into()),
                };
                if let Some(waiting) = self.waiting.borrow_mut().remove(&pid) {
                    // Who has stopped waiting does not want to know.
                    let _ = waiting.send(code);
                }
            }
            ended.recv().await;
        }
    }

    /// Starts a process and follows it until it is its command. `account_for` is called before it does anything.
    ///
    /// The error is what it said, or what it died of.
    pub(super) async fn start<'a>(
        &self,
        processes: Processes,
        job: impl FnOnce(OwnedFd) -> Job<'a>,
        account_for: impl FnOnce(Pid) -> io::Result<()>,
        map_users: impl FnOnce(Pid) -> io::Result<()>,
    ) -> Result<Process, String> {
        let (ours, theirs) = wire::pair().map_err(|why| format!("socketpair: {why}"))?;
        let job = job(theirs);
        let parents_end = ours.as_raw_fd();
        let forked = self.fork(&processes, move || {
            // Otherwise the child would hold the parent's end, too, and never see that its parent is gone.
            let _ = close(parents_end);
            job.run()
        });
        let (pid, mut exit) = forked.map_err(|why| format!("fork: {why}"))?;
        match follow(ours, pid, account_for, map_users).await {
            Ok((account, terminal)) => Ok(Process { pid, account, terminal, exit }),
            Err(why) => {
                // It may have ended already.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = (&mut exit).await;
                Err(why)
            }
        }
    }

    /// A process that does nothing but be the first of a process namespace, for a pod whose containers share one.
    pub(super) fn start_init(&self) -> io::Result<Pid> {
        Ok(self.fork(&Processes::New, || init())?.0)
    }

    #[allow(unsafe_code)]
    fn fork(&self, processes: &Processes, child: impl FnOnce()) -> io::Result<(Pid, oneshot::Receiver<i32>)> {
        match processes {
            Processes::New => unshare(CloneFlags::CLONE_NEWPID)?,
            Processes::Joined(namespace) => setns(namespace, CloneFlags::CLONE_NEWPID)?,
        }
        // SAFETY: this process has a single thread, so the child finds no lock held and may allocate.
        let forked = unsafe { fork() };
        if let Ok(ForkResult::Child) = forked {
            // Must not come back into the parent's code, even by a panic.
            let _ = catch_unwind(AssertUnwindSafe(child));
            std::process::abort();
        }
        // Later children are not to be born where this one was.
        setns(&self.own, CloneFlags::CLONE_NEWPID)?;
        let Ok(ForkResult::Parent { child }) = forked else { return Err(Errno::last().into()) };
        let (ended, exit) = oneshot::channel();
        self.waiting.borrow_mut().insert(child, ended);
        Ok((child, exit))
    }
}

async fn follow(
    ours: OwnedFd,
    pid: Pid,
    account_for: impl FnOnce(Pid) -> io::Result<()>,
    map_users: impl FnOnce(Pid) -> io::Result<()>,
) -> Result<(Account, Option<OwnedFd>), String> {
    let lost = |why: io::Error| format!("the process does not answer: {why}");
    let stream = std::os::unix::net::UnixStream::from(ours);
    stream.set_nonblocking(true).map_err(lost)?;
    let stream = UnixStream::from_std(stream).map_err(lost)?;
    account_for(pid).map_err(|why| format!("cannot put the process into its control group: {why}"))?;
    wire::send(&stream, &Go, &[]).await.map_err(lost)?;
    let mut map_users = Some(map_users);
    let (mut account, mut terminal) = (None, None);
    while let Some((progress, descriptors)) = wire::receive(&stream).await.map_err(lost)? {
        match progress {
            Progress::Terminal => terminal = descriptors.into_iter().next(),
            Progress::Unshared => {
                if let Some(map) = map_users.take() {
                    map(pid).map_err(|why| format!("cannot map the users of the container: {why}"))?;
                }
                wire::send(&stream, &Go, &[]).await.map_err(lost)?;
            }
            Progress::Ready(found) => account = Some(found),
            Progress::Failed(why) => return Err(why),
        }
    }
    // The socket was closed by `execve`, or by death.
    let account = account.ok_or("the process died before it became the command")?;
    Ok((account, terminal))
}

/// The first process of a namespace: takes in orphans and ends with its parent.
#[allow(unsafe_code)]
fn init() -> ! {
    let unwatched = SigAction::new(SigHandler::SigIgn, SaFlags::SA_NOCLDWAIT, SigSet::empty());
    // SAFETY: no handler is installed. Children are then reaped by the kernel.
    let prepared = unsafe { sigaction(Signal::SIGCHLD, &unwatched) }.and_then(|_| set_pdeathsig(Signal::SIGKILL));
    if prepared.is_err() {
        std::process::exit(1);
    }
    loop {
        pause();
    }
}
