//! The sandbox process's socket: one connection, one request.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;

use super::Sandbox;
use super::container::Container;
use super::wire::{Reply, Request, Terms, receive, send};

impl Sandbox {
    /// Answers for as long as it is polled.
    pub(super) async fn serve(self: Rc<Self>, listener: UnixListener) {
        loop {
            // Out of descriptors, for example: the next may succeed.
            let Ok((connection, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let sandbox = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                // Whoever went away before the answer does not need it.
                let _ = sandbox.answer(connection).await;
            });
        }
    }

    async fn answer(self: Rc<Self>, connection: UnixStream) -> std::io::Result<()> {
        let Some((request, _)) = receive::<Request>(&connection).await? else { return Ok(()) };
        let container = |id: &str| self.containers.borrow().get(id).cloned();
        let missing = |id: &str| Reply::Failed(format!("container {id} is not running"));
        let reply = match request {
            Request::Watch => return self.watched(&connection).await,
            Request::Start { .. } if self.stop.is_cancelled() => Reply::Failed("the sandbox is ending".to_owned()),
            Request::Start { id, folder } => match self.start(&id, Path::new(&folder)).await {
                Ok(started) => Reply::Started(started),
                Err(why) => Reply::Failed(why),
            },
            Request::Exec { container: id, argv, terminal } => match container(&id) {
                Some(container) => return self.execute(&connection, &container, &argv, terminal).await,
                None => missing(&id),
            },
            Request::Attach { container: id, terminal } => match container(&id) {
                Some(container) => return attached(&connection, &container, terminal).await,
                None => missing(&id),
            },
            Request::Connect { port } => match connect(port, &self.id).await {
                Ok(stream) => return send(&connection, &Reply::Session, &[stream.as_fd()]).await,
                Err(why) => Reply::Failed(why),
            },
            Request::Signal { container: id, signal } => {
                match container(&id).map(|container| send_signal(&container, signal)) {
                    Some(Ok(())) | Some(Err(Errno::ESRCH)) | None => Reply::Done,
                    Some(Err(why)) => Reply::Failed(format!("cannot send signal {signal} to container {id}: {why}")),
                }
            }
            Request::ReopenLog { container: id } => match container(&id) {
                Some(container) => {
                    container.output.reopen().map_or_else(|why| Reply::Failed(why.to_string()), |()| Reply::Done)
                }
                None => missing(&id),
            },
            Request::Stop => {
                self.stop.cancel();
                // The connection ends when we do.
                return std::future::pending().await;
            }
            Request::CloseStdin => Reply::Failed("nothing is attached here".to_owned()),
        };
        send(&connection, &reply, &[]).await
    }

    async fn watched(&self, engine: &UnixStream) -> std::io::Result<()> {
        let _counted = Counted::new(self);
        // Before the list is made, so that nothing is missed between the two.
        let mut ended = self.ended.subscribe();
        let running = self.containers.borrow().values().map(|container| container.started.clone()).collect();
        send(engine, &Reply::Running(running), &[]).await?;
        loop {
            tokio::select! {
                end = ended.recv() => match end {
                    Ok(end) => send(engine, &Reply::Ended(end), &[]).await?,
                    // It is cut off, and comes again.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(()),
                },
                gone = receive::<Request>(engine) => if gone?.is_none() { return Ok(()) },
            }
        }
    }

    async fn execute(
        &self,
        client: &UnixStream,
        container: &Container,
        argv: &[String],
        terminal: Terms,
    ) -> std::io::Result<()> {
        let (process, descriptors) = match self.exec(container, argv, terminal).await {
            Ok(started) => started,
            Err(why) => return send(client, &Reply::Failed(why), &[]).await,
        };
        let (pid, mut exit) = (process.pid, process.exit);
        let told = send(client, &Reply::Session, &borrowed(&descriptors)).await;
        drop(descriptors);
        let code = tokio::select! {
            code = &mut exit, if told.is_ok() => code.unwrap_or(137),
            () = gone(client) => {
                // Nobody wants it any more. Its end is awaited, so that its number is not another's by now.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = exit.await;
                return told;
            }
        };
        send(client, &Reply::Exited(code), &[]).await
    }
}

async fn attached(client: &UnixStream, container: &Container, terminal: Terms) -> std::io::Result<()> {
    let tty = container.spec.tty;
    let descriptors = match container.attach(Terms { tty, ..terminal }) {
        Ok(descriptors) => descriptors,
        Err(why) => return send(client, &Reply::Failed(format!("cannot attach: {why}")), &[]).await,
    };
    send(client, &Reply::Session, &borrowed(&descriptors)).await?;
    drop(descriptors);
    let mut exit = container.exit.subscribe();
    loop {
        tokio::select! {
            code = exit.wait_for(Option::is_some) => {
                let code = code.ok().and_then(|code| *code).unwrap_or(137);
                return send(client, &Reply::Exited(code), &[]).await;
            }
            request = receive::<Request>(client) => {
                if terminal.stdin {
                    container.detach_stdin();
                }
                if !matches!(request, Ok(Some(_))) {
                    return Ok(());
                }
            }
        }
    }
}

/// Returns when the other side is gone.
async fn gone(connection: &UnixStream) {
    while let Ok(Some(_)) = receive::<Request>(connection).await {}
}

/// Connects within the pod's network, which is ours. The error is containerd's.
async fn connect(port: u16, sandbox: &str) -> Result<TcpStream, String> {
    let four = match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => return Ok(stream),
        Err(why) => why,
    };
    let six = match TcpStream::connect(("::1", port)).await {
        Ok(stream) => return Ok(stream),
        Err(why) => why,
    };
    let words = |why: std::io::Error| match why.raw_os_error() {
        Some(errno) => format!("connect: {}", Errno::from_raw(errno).desc().to_lowercase()),
        None => why.to_string(),
    };
    Err(format!(
        "failed to connect to localhost:{port} inside namespace {sandbox:?}, IPv4: dial tcp4 127.0.0.1:{port}: {} IPv6 dial tcp6 [::1]:{port}: {}",
        words(four),
        words(six)
    ))
}

/// Any signal, those among them that have no name.
#[allow(unsafe_code)]
fn send_signal(container: &Container, signal: i32) -> nix::Result<()> {
    // SAFETY: takes two numbers and touches no memory.
    Errno::result(unsafe { nix::libc::kill(container.pid().as_raw(), signal) }).map(drop)
}

fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(OwnedFd::as_fd).collect()
}

/// An engine that watches.
struct Counted<'a>(&'a Sandbox);

impl<'a> Counted<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        sandbox.watchers.send_modify(|count| *count += 1);
        Self(sandbox)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.watchers.send_modify(|count| *count -= 1);
    }
}
