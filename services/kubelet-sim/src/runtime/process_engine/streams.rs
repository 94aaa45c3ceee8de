//! Sessions of users: what the sandbox process opened, carried to and from two channels.
//!
//! The descriptors of a session are ours once it has begun: bytes do not pass through the sandbox process. A pipe that nobody reads is
//! full at some time, and then a command that `exec` runs waits; a container does not, as it never shares its pipes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use super::sandbox::nonblocking;
use super::sandbox::wire::{self, Reply, Request};
use super::{ProcessEngine, new_id, no_such};
use crate::runtime::{Connection, Input, Output, PodStreams, Result, RuntimeError, SESSION_BUFFER, Session, Terminal};

/// How much is read at a time.
const BLOCK: usize = 32 * 1_024;

#[async_trait]
impl PodStreams for ProcessEngine {
    async fn exec(&self, container_id: &str, command: Vec<String>, terminal: Terminal) -> Result<Session> {
        let refused = |why: String| {
            RuntimeError::unknown(format!(
                "failed to exec in container: failed to start exec {:?}: OCI runtime exec failed: exec failed: \
                 unable to start container process: {why}: unknown",
                new_id()
            ))
        };
        if command.is_empty() {
            return Err(refused("exec: no command".to_owned()));
        }
        let sandbox = self.running(container_id)?.0;
        let request = Request::Exec { container: container_id.to_owned(), argv: command, terminal: terminal.into() };
        let (link, descriptors) = self.open_session(&sandbox, &request).await?.map_err(refused)?;
        let ends = Ends::of(descriptors, terminal, true).map_err(failed)?;
        Ok(carry(link, ends))
    }

    async fn attach(&self, container_id: &str, terminal: Terminal) -> Result<Session> {
        let (sandbox, tty) = self.running(container_id)?;
        let request = Request::Attach { container: container_id.to_owned(), terminal: terminal.into() };
        let opened = self.open_session(&sandbox, &request).await?;
        let (link, descriptors) = opened.map_err(|why| RuntimeError::unknown(format!("failed to attach: {why}")))?;
        let ends = Ends::of(descriptors, Terminal { tty, ..terminal }, false).map_err(failed)?;
        Ok(carry(link, ends))
    }

    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Box<dyn Connection>> {
        {
            let state = self.state.lock();
            let sandbox = state.sandboxes.get(sandbox_id).ok_or_else(|| no_such("sandbox", sandbox_id))?;
            if !sandbox.record.ready {
                return Err(RuntimeError::unknown(format!("sandbox container {sandbox_id:?} is not running")));
            }
        }
        let opened = self.open_session(sandbox_id, &Request::Connect { port }).await?;
        let (_, descriptors) = opened.map_err(|why| {
            RuntimeError::unknown(format!("failed to execute portforward in network namespace: {why}"))
        })?;
        let socket = descriptors.into_iter().next().ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?;
        // Connected in the pod's network, where it stays, whoever uses it.
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Box::new(tokio::net::TcpStream::from_std(socket).map_err(failed)?))
    }
}

impl ProcessEngine {
    /// The sandbox of a running container, and whether the container has a terminal.
    fn running(&self, id: &str) -> Result<(String, bool)> {
        let state = self.state.lock();
        let container = state.containers.get(id).ok_or_else(|| no_such("container", id))?;
        if !container.is_running() {
            return Err(RuntimeError::unknown(format!("container {id} is not running")));
        }
        Ok((container.record.sandbox.clone(), container.record.config.tty))
    }

    /// Asks for a session. The inner error is the sandbox process's.
    async fn open_session(
        &self,
        sandbox: &str,
        request: &Request,
    ) -> Result<std::result::Result<(UnixStream, Vec<OwnedFd>), String>> {
        let link = wire::dial(&self.records.sandbox(sandbox)).map_err(failed)?;
        wire::send(&link, request, &[]).await.map_err(failed)?;
        match wire::receive(&link).await.map_err(failed)? {
            Some((Reply::Session, descriptors)) => Ok(Ok((link, descriptors))),
            Some((Reply::Failed(why), _)) => Ok(Err(why)),
            _ => Err(RuntimeError::unknown(format!("sandbox {sandbox} has ended"))),
        }
    }
}

fn failed(why: io::Error) -> RuntimeError {
    RuntimeError::unknown(format!("the sandbox process does not answer: {why}"))
}

/// Our ends of a session.
#[derive(Default)]
struct Ends {
    /// For its size.
    terminal: Option<OwnedFd>,
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Ends {
    /// Sorts descriptors as they come from the sandbox process: a terminal first, which `own` says is read from directly.
    fn of(descriptors: Vec<OwnedFd>, wanted: Terminal, own: bool) -> io::Result<Self> {
        descriptors.iter().try_for_each(nonblocking)?;
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        let mut ends = Self::default();
        if wanted.tty {
            let terminal = next()?;
            if wanted.stdin {
                ends.stdin = Some(pipe::Sender::from_owned_fd_unchecked(terminal.try_clone()?)?);
            }
            if own {
                ends.stdout = Some(pipe::Receiver::from_owned_fd_unchecked(terminal.try_clone()?)?);
            }
            ends.terminal = Some(terminal);
        } else if wanted.stdin {
            ends.stdin = Some(pipe::Sender::from_owned_fd_unchecked(next()?)?);
        }
        if wanted.stdout && ends.stdout.is_none() {
            ends.stdout = Some(pipe::Receiver::from_owned_fd_unchecked(next()?)?);
        }
        if wanted.stderr && !wanted.tty {
            ends.stderr = Some(pipe::Receiver::from_owned_fd_unchecked(next()?)?);
        }
        Ok(ends)
    }
}

/// Carries a session until it ends: by itself, or because nobody takes its output any more. Then the sandbox process sees our
/// connection end, and kills what `exec` ran.
fn carry(link: UnixStream, ends: Ends) -> Session {
    let (input, typed) = mpsc::channel(SESSION_BUFFER);
    let (printed, output) = mpsc::channel(SESSION_BUFFER);
    tokio::spawn(async move {
        let unwanted = printed.clone();
        tokio::select! {
            () = run(&link, ends, typed, printed) => {}
            () = unwanted.closed() => {}
        }
    });
    Session { input, output }
}

async fn run(link: &UnixStream, ends: Ends, typed: mpsc::Receiver<Input>, printed: mpsc::Sender<Output>) {
    let Ends { terminal, stdin, stdout, stderr } = ends;
    let (over, ended) = watch::channel(false);
    let exit = async {
        let code = match wire::receive(link).await {
            Ok(Some((Reply::Exited(code), _))) => Some(code),
            _ => None,
        };
        over.send_replace(true);
        code
    };
    let reading = async {
        tokio::join!(
            exit,
            read(stdout, Output::Stdout, &printed, ended.clone()),
            read(stderr, Output::Stderr, &printed, ended.clone())
        )
        .0
    };
    let mut writing = std::pin::pin!(write(link, terminal, stdin, typed));
    let mut reading = std::pin::pin!(reading);
    let code = tokio::select! {
        code = &mut reading => code,
        () = &mut writing => reading.await,
    };
    if let Some(code) = code {
        // Nobody reads any more: then nobody wants to know.
        let _ = printed.send(Output::Exited(code)).await;
    }
}

/// Reads to the end, or, once the process has ended, what it left: others that hold the pipe are not waited for.
async fn read(
    from: Option<pipe::Receiver>,
    wrap: fn(Bytes) -> Output,
    to: &mpsc::Sender<Output>,
    mut ended: watch::Receiver<bool>,
) {
    let Some(mut from) = from else { return };
    let mut block = vec![0; BLOCK];
    loop {
        // An error is the end, too: that of a terminal that nobody has open.
        let got = tokio::select! {
            biased;
            got = from.read(&mut block) => got.unwrap_or(0),
            // Asked of the kernel itself: tokio may not have heard yet that there is something.
            _ = ended.wait_for(|ended| *ended) => nix::unistd::read(&from, &mut block).unwrap_or(0),
        };
        if got == 0 || to.send(wrap(Bytes::copy_from_slice(&block[..got]))).await.is_err() {
            return;
        }
    }
}

async fn write(
    link: &UnixStream,
    terminal: Option<OwnedFd>,
    mut stdin: Option<pipe::Sender>,
    mut typed: mpsc::Receiver<Input>,
) {
    while let Some(input) = typed.recv().await {
        match input {
            Input::Stdin(bytes) => {
                let Some(to) = &mut stdin else { continue };
                // It has closed its input, or has ended: what is typed goes nowhere.
                if to.write_all(&bytes).await.is_err() {
                    stdin = None;
                }
            }
            Input::CloseStdin => break,
            Input::Resize { width, height } => {
                if let Some(terminal) = &terminal {
                    resize(terminal, width, height);
                }
            }
        }
    }
    // A terminal has no end of input.
    if terminal.is_none() && stdin.take().is_some() {
        // For an attachment: the container's input may have to end as well. An `exec` takes it for nothing.
        let _ = wire::send(link, &Request::CloseStdin, &[]).await;
    }
    if let Some(terminal) = terminal {
        while let Some(input) = typed.recv().await {
            if let Input::Resize { width, height } = input {
                resize(&terminal, width, height);
            }
        }
    }
}

#[allow(unsafe_code)]
fn resize(terminal: &OwnedFd, width: u16, height: u16) {
    nix::ioctl_write_ptr_bad!(set_size, nix::libc::TIOCSWINSZ, nix::pty::Winsize);
    let size = nix::pty::Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open, and the kernel reads one `Winsize`.
    // A terminal that has hung up has no size.
    let _ = unsafe { set_size(terminal.as_raw_fd(), &size) };
}
