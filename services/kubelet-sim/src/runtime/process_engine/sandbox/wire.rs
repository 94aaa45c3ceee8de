//! What the engine and a sandbox process say to each other, and a process that is being started to its parent.
//!
//! Messages are JSON, one per packet of a `SOCK_SEQPACKET` socket, so that none is torn and descriptors arrive with the message they belong to.
//! A connection carries one request. What must end with its asker (an `exec`, an attachment) ends when the connection does: so
//! nothing of it outlives a kubelet that dies.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect,
    listen, recvmsg, sendmsg, socket, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use super::account::Account;
use crate::runtime::Terminal;

/// Name of the socket in a sandbox's folder.
const SOCKET: &str = "sock";

/// The most descriptors that come with a message.
const DESCRIPTORS: usize = 4;

/// What the engine asks of a sandbox process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The engine is there: answers [`Reply::Running`], and then each [`Reply::Ended`] as it happens.
    Watch,
    /// Start the container whose `spec.json` lies in this folder.
    Start { id: String, folder: String },
    /// Run a command in a container. Answers [`Reply::Session`], then [`Reply::Exited`].
    Exec { container: String, argv: Vec<String>, terminal: Terms },
    /// Join a container's streams. Answers [`Reply::Session`], then [`Reply::Exited`].
    Attach { container: String, terminal: Terms },
    /// Within an attachment: the client's input has ended.
    CloseStdin,
    /// Connect to a port of the pod's own network. Answers [`Reply::Session`] with the connection.
    Connect { port: u16 },
    /// Send a signal to a container's first process. One that has ended gets none, and that is no error.
    Signal { container: String, signal: i32 },
    /// Begin a new log file.
    ReopenLog { container: String },
    /// Kill all that runs in the pod and end.
    Stop,
}

/// What a sandbox process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// It cannot be done.
    Failed(String),
    /// A container has been started.
    Started(Started),
    /// What runs now.
    Running(Vec<Started>),
    /// A container has ended; its exit is on the disk.
    Ended(Ended),
    /// The descriptors of the session: those of standard input, output and error that were asked for, or the terminal, or the connection.
    Session,
    /// The command or container has ended: 128 + n after signal n.
    Exited(i32),
}

/// Which streams are wanted: [`Terminal`] as it travels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
}

impl From<Terminal> for Terms {
    fn from(Terminal { stdin, stdout, stderr, tty }: Terminal) -> Self {
        Self { stdin, stdout, stderr, tty }
    }
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) id: String,
    /// Of its first process, as the machine counts.
    pub(crate) pid: i32,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    /// Who it runs as.
    pub(crate) account: Account,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) id: String,
    /// 0: it never ran.
    pub(crate) started_at: i64,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    /// 128 + n after signal n.
    pub(crate) code: i32,
    /// In a word.
    pub(crate) reason: String,
    /// What it left in its termination message file, or why it could not start.
    pub(crate) message: String,
}

/// What a process says to its parent before it becomes the command.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Progress {
    /// It has a terminal, whose other side comes along.
    Terminal,
    /// It has left its parent's user namespace and needs maps.
    Unshared,
    /// Nothing is left to do but `execve`.
    Ready(Account),
    /// It gives up. Always the last.
    Failed(String),
}

/// What a parent says to a process that waits: go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Go;

/// Two connected ends.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Listens in the current folder. The name is relative, as the whole path may be longer than an address can be.
pub(super) fn serve() -> io::Result<UnixListener> {
    match std::fs::remove_file(SOCKET) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(SOCKET)?)?;
    listen(&socket, Backlog::new(64)?)?;
    UnixListener::from_std(socket.into())
}

/// Connects to the sandbox process that serves in `folder`.
pub(crate) fn dial(folder: &Path) -> io::Result<UnixStream> {
    let folder = std::fs::File::open(folder)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    // By way of the open folder, for the same reason.
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    connect(socket.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
    UnixStream::from_std(socket.into())
}

/// Sends a message with descriptors.
pub(crate) async fn send(to: &UnixStream, message: &impl Serialize, with: &[BorrowedFd<'_>]) -> io::Result<()> {
    to.async_io(Interest::WRITABLE, || send_now(to.as_fd(), message, with)).await
}

/// Receives a message. `None`: there will be no more.
pub(crate) async fn receive<T: DeserializeOwned>(from: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    from.async_io(Interest::READABLE, || receive_now(from.as_fd())).await
}

/// [`send`] on a descriptor as it is, blocking or not.
pub(super) fn send_now(to: BorrowedFd<'_>, message: &impl Serialize, with: &[BorrowedFd<'_>]) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    let descriptors: Vec<RawFd> = with.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let control = if with.is_empty() { &[][..] } else { &rights };
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(&packet)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// [`receive`] on a descriptor as it is, blocking or not.
#[allow(unsafe_code)]
pub(super) fn receive_now<T: DeserializeOwned>(from: BorrowedFd<'_>) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let socket = from.as_raw_fd();
    // How long is it? Zero bytes are the end: an empty packet is never sent.
    let peek = || nix::sys::socket::recv(socket, &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC);
    let length = match peek() {
        // Whoever ended without reading everything: the kernel says so once, before what was sent last.
        Err(Errno::ECONNRESET) => peek(),
        length => length,
    };
    let length = match length {
        Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
        length => length?,
    };
    let mut packet = vec![0; length];
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = recvmsg::<()>(socket, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for control in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(rights) = control {
            // SAFETY: the kernel has just opened these descriptors for us; nobody else knows them.
            descriptors.extend(rights.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok(Some((serde_json::from_slice(&packet)?, descriptors)))
}
