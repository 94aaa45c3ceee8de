//! What a container prints: into its log file, and to whoever is attached.
//!
//! The container's pipes are always read, whoever else is slow: an attached reader that does not keep up loses output.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read, write};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::wire::Terms;
use crate::runtime::LogStream;
use crate::runtime::log_files::{Splitter, encode};

/// How much is read from a container at a time.
const BLOCK: usize = 32 * 1_024;

/// Where a container's output goes.
pub(super) struct Output {
    path: Option<PathBuf>,
    log: RefCell<Option<File>>,
    listeners: RefCell<Vec<Listener>>,
}

/// Somebody attached.
struct Listener {
    stream: LogStream,
    pipe: OwnedFd,
}

impl Output {
    /// Begins, or goes on with, a log file.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let log = path.map(open_log).transpose()?;
        Ok(Self { path: path.map(Path::to_owned), log: RefCell::new(log), listeners: RefCell::default() })
    }

    /// The log file was renamed.
    pub(super) fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            *self.log.borrow_mut() = Some(open_log(path)?);
        }
        Ok(())
    }

    /// Pipes on which output comes from now on: standard output, then standard error, as far as they are wanted.
    pub(super) fn attach(&self, wanted: Terms) -> io::Result<Vec<OwnedFd>> {
        let streams = [(wanted.stdout, LogStream::Stdout), (wanted.stderr && !wanted.tty, LogStream::Stderr)];
        let mut theirs = Vec::new();
        for (_, stream) in streams.into_iter().filter(|(wanted, _)| *wanted) {
            let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            self.listeners.borrow_mut().push(Listener { stream, pipe: write });
            theirs.push(read);
        }
        Ok(theirs)
    }

    /// Whoever is attached sees the end.
    pub(super) fn end(&self) {
        self.listeners.borrow_mut().clear();
    }

    /// Reads what a container prints until it ends. When the container has, that is all that is there: nobody else is waited for who
    /// holds the pipe.
    pub(super) async fn pump(self: Rc<Self>, source: OwnedFd, stream: LogStream, mut ended: watch::Receiver<bool>) {
        let Ok(mut source) = nonblocking(&source).and_then(|()| pipe::Receiver::from_owned_fd_unchecked(source)) else {
            return;
        };
        let mut splitter = Splitter::default();
        let mut block = vec![0; BLOCK];
        loop {
            let got = tokio::select! {
                biased;
                // An error is the end, too: that of a terminal that nobody has open.
                got = source.read(&mut block) => got.unwrap_or(0),
                // Asked of the kernel itself: tokio may not have heard yet that there is something.
                _ = ended.wait_for(|ended| *ended) => read(&source, &mut block).unwrap_or(0),
            };
            if got == 0 {
                break;
            }
            self.print(stream, &mut splitter, &block[..got]);
        }
        let mut records = Vec::new();
        splitter.finish(|complete, text| encode(&mut records, Timestamp::now(), stream, complete, text));
        self.write(&records);
    }

    fn print(&self, stream: LogStream, splitter: &mut Splitter, printed: &[u8]) {
        let mut records = Vec::with_capacity(printed.len() + 64);
        splitter.take(printed, |complete, text| encode(&mut records, Timestamp::now(), stream, complete, text));
        self.write(&records);
        self.listeners.borrow_mut().retain(|listener| {
            listener.stream != stream || !matches!(write(&listener.pipe, printed), Err(why) if why != Errno::EAGAIN)
        });
    }

    fn write(&self, records: &[u8]) {
        if let Some(log) = self.log.borrow_mut().as_mut() {
            // A disk that is full loses the log; it does not stop the container.
            let _ = log.write_all(records);
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// Lets reads and writes of our side return at once; the container's side is not touched.
pub(crate) fn nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
