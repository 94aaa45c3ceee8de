//! Speaking to the kernel about interfaces, here or in another network namespace.
//!
//! A namespace belongs to a thread, and sockets to the namespace in which they were made. So each conversation has a thread of its own that ends
//! with it, and no thread of the kubelet is ever in the wrong place.

use std::fs::{File, OpenOptions};
use std::io;
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use rtnetlink::{Error, Handle};
use tracing::debug;

/// Only one kubelet of this machine at a time decides which range is free.
const TURN: &str = "/run/traceplane-pod-network.lock";

/// Waits for this kubelet's turn; it ends with what is answered. Where there can be no such file, all go at once.
pub(super) fn turn() -> Option<Flock<File>> {
    let file = OpenOptions::new().create(true).append(true).open(TURN);
    let turn = file.and_then(|file| Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into()));
    turn.inspect_err(|error| debug!(%error, "there is no {TURN}")).ok()
}

/// Has a conversation in `namespace`; `None` is the machine's own.
pub(super) fn on<T, W>(namespace: Option<File>, work: W) -> io::Result<T>
where
    T: Send + 'static,
    W: AsyncFnOnce(Handle) -> Result<T, Error> + Send + 'static,
{
    let talk = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()?;
            tokio::spawn(connection);
            work(handle).await.map_err(of)
        })
    };
    match namespace {
        Some(namespace) => inside(namespace, talk),
        None => on_a_thread(talk),
    }
}

/// Does something in a network namespace.
pub(super) fn inside<T: Send + 'static>(
    namespace: File,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    on_a_thread(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        work()
    })
}

fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = thread::Builder::new().name("pod-network".to_owned()).spawn(work)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the network thread panicked")))
}

/// Whether it failed because of this error of the system.
pub(super) fn is(error: &Error, kind: nix::errno::Errno) -> bool {
    matches!(error, Error::NetlinkError(message) if message.raw_code() == -(kind as i32))
}

fn of(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
