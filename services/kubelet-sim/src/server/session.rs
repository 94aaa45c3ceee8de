//! Exec and attach: a session of the runtime, as messages.
//!
//! Output is read from the session only as fast as the client takes it. Input is passed on by a task of its own that ends with the
//! answer, so that a process that does not read cannot hold up what it prints.

use api::rpc::{SessionInput, SessionOutput, SessionStart, session_input, session_output};
use api::{Error, Reason};
use futures::{Stream, stream};
use service_kit::rpc_status::to_status;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::choose;
use super::lookup::Found;
use crate::runtime::{Input, Output, RuntimeError, Session, Terminal};

/// What the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exec,
    Attach,
}

impl Kind {
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Exec => "Exec",
            Self::Attach => "Attach",
        }
    }
}

/// Opens the session that `start` asks for.
pub(super) async fn open(
    found: &Found,
    kind: Kind,
    start: SessionStart,
    messages: Streaming<SessionInput>,
) -> api::Result<impl Stream<Item = Result<SessionOutput, Status>> + use<>> {
    let observed = found.observe().await?;
    let id = choose::running(&observed, &start.container)?;
    let SessionStart { stdin, stdout, stderr, tty, container, command, .. } = start;
    let terminal = Terminal { stdin, stdout, stderr, tty };
    let streams = &found.runtime.streams;
    let failed =
        |what: &str, RuntimeError { message, .. }| Error::internal(format!("error {what} container: {message}"));
    let session = match kind {
        Kind::Exec => streams.exec(id, command, terminal).await.map_err(|error| failed("executing command in", error)),
        Kind::Attach => streams.attach(id, terminal).await.map_err(|error| failed("attaching to", error)),
    }?;
    Ok(outputs(session, stdin, messages, container))
}

struct Running {
    output: Receiver<Output>,
    /// The task that passes the client's messages on; none once it has ended.
    passing: Option<AbortOnDropHandle<Result<(), Status>>>,
    /// Kept where the client has no input: to drop it would close the container's own.
    _kept: Option<Sender<Input>>,
    container: String,
}

fn outputs(
    Session { input, output }: Session,
    stdin: bool,
    messages: Streaming<SessionInput>,
    container: String,
) -> impl Stream<Item = Result<SessionOutput, Status>> {
    let kept = (!stdin).then(|| input.clone());
    let passing = Some(AbortOnDropHandle::new(tokio::spawn(pass(messages, input, stdin))));
    let running = Running { output, passing, _kept: kept, container };
    stream::unfold(Some(running), async |running| {
        let mut running = running?;
        let piece = running.next().await;
        let last = matches!(&piece, Err(_) | Ok(SessionOutput { output: Some(session_output::Output::ExitCode(_)) }));
        Some((piece, (!last).then_some(running)))
    })
}

impl Running {
    async fn next(&mut self) -> Result<SessionOutput, Status> {
        loop {
            let passing = async {
                match &mut self.passing {
                    Some(passing) => passing.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                piece = self.output.recv() => return match piece {
                    Some(piece) => Ok(message(piece)),
                    None => Err(to_status(&Error::unavailable(format!("lost connection to container {:?}", self.container)))),
                },
                passed = passing => {
                    self.passing = None;
                    // It can only have been aborted with us, or have panicked.
                    passed.unwrap_or_else(|error| Err(to_status(&Error::internal(error))))?;
                }
            }
        }
    }
}

fn message(piece: Output) -> SessionOutput {
    let output = match piece {
        Output::Stdout(bytes) => session_output::Output::Stdout(bytes),
        Output::Stderr(bytes) => session_output::Output::Stderr(bytes),
        Output::Exited(code) => session_output::Output::ExitCode(code),
    };
    SessionOutput { output: Some(output) }
}

/// Passes the client's messages on until it has no more, or the process takes no more. An error ends the session.
async fn pass(mut messages: Streaming<SessionInput>, input: Sender<Input>, stdin: bool) -> Result<(), Status> {
    while let Some(SessionInput { input: message }) = messages.message().await? {
        let piece = match message {
            Some(session_input::Input::Stdin(bytes)) if stdin => Input::Stdin(bytes),
            Some(session_input::Input::Stdin(_)) => {
                return Err(wrong("input was sent to a session that was opened without stdin"));
            }
            Some(session_input::Input::Resize(size)) => {
                let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
                Input::Resize { width: side(size.width), height: side(size.height) }
            }
            Some(session_input::Input::Start(_)) => return Err(wrong("a session starts once")),
            None => continue,
        };
        if input.send(piece).await.is_err() {
            return Ok(());
        }
    }
    if stdin {
        // Nobody listens any more: then it needs not be told.
        let _ = input.send(Input::CloseStdin).await;
    }
    Ok(())
}

fn wrong(why: &str) -> Status {
    to_status(&Error::new(Reason::BadRequest, why))
}
