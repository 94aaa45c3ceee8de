//! The streams of exec and attach between the user's terminal and a container.

use std::io::{self, ErrorKind, Write};

use crate::failure::{Exit, OutputClosed};
use crate::terminal::{self, Raw};
use anyhow::{Context, Result, anyhow};
use api::rpc::{SessionInput, SessionOutput, TerminalSize, session_input, session_output};
use api::{Error, Reason};
use client::{PodStream, Sender};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which of our streams the session gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) struct Stdio {
    /// Our input.
    pub(in crate::commands) stdin: bool,
    /// Our terminal, raw.
    pub(in crate::commands) tty: bool,
}

impl Stdio {
    /// What `-i` and `-t` come to, as in kubectl: a terminal needs input, and input that is one.
    pub(in crate::commands) fn wanted(stdin: bool, tty: bool, quiet: bool) -> Stdio {
        let is_terminal = !(stdin && tty) || terminal::is_terminal();
        if !is_terminal && !quiet {
            eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        Stdio { stdin, tty: stdin && tty && is_terminal }
    }
}

/// Runs an open session to its end; the exit code, if it was told one. The terminal is as before afterwards, however it ends.
///
/// `redraw` shows a program that is already drawing another size first, so that it draws everything anew.
pub(in crate::commands) async fn run(
    stdio: Stdio,
    redraw: bool,
    sender: Sender<SessionInput>,
    mut answers: PodStream<SessionOutput>,
) -> Result<Option<i32>> {
    // In raw mode Ctrl-C is a key like others; what ends us from outside must not leave the terminal behind.
    let mut end = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let raw = if stdio.tty { Some(Raw::enter().context("the terminal cannot be made raw")?) } else { None };
    let mut sending = std::pin::pin!(send(stdio, redraw, sender));
    let mut sent = false;
    let code = loop {
        let answer = tokio::select! {
            answer = answers.next() => answer,
            () = &mut sending, if !sent => {
                sent = true;
                continue;
            }
            signal = ended(&mut end) => {
                return Err(Exit { code: 128 + u8::try_from(signal.as_raw_value()).unwrap_or(0), message: String::new() }.into());
            }
        };
        match answer {
            None => break None,
            Some(Err(error)) => return Err(explain(error)),
            Some(Ok(SessionOutput { output })) => match output {
                Some(session_output::Output::Stdout(bytes)) => write(&mut io::stdout().lock(), &bytes)?,
                Some(session_output::Output::Stderr(bytes)) => write(&mut io::stderr().lock(), &bytes)?,
                Some(session_output::Output::ExitCode(code)) => break Some(code),
                None => {}
            },
        }
    };
    drop(raw);
    Ok(code)
}

/// Returns when a signal has come that ends us.
async fn ended(signals: &mut [io::Result<Signal>; 2]) -> SignalKind {
    let [terminate, hangup] = signals;
    let of = async |signal: &mut io::Result<Signal>| match signal {
        Ok(signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = of(terminate) => SignalKind::terminate(),
        () = of(hangup) => SignalKind::hangup(),
    }
}

/// Passes on what is typed and how large the terminal is, until the input ends. Without input there is nothing to pass on.
async fn send(stdio: Stdio, redraw: bool, sender: Sender<SessionInput>) {
    if !stdio.stdin {
        return;
    }
    let mut resized = if stdio.tty { signal(SignalKind::window_change()).ok() } else { None };
    if let Some((width, height)) = terminal::size().filter(|_| stdio.tty) {
        if redraw && sender.send(resize(width.saturating_add(1), height.saturating_add(1))).await.is_err() {
            return;
        }
        if sender.send(resize(width, height)).await.is_err() {
            return;
        }
    }
    let mut input = terminal::input();
    loop {
        let changed = async {
            match &mut resized {
                Some(resized) => drop(resized.recv().await),
                None => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            piece = input.recv() => match piece {
                Some(piece) => SessionInput { input: Some(session_input::Input::Stdin(piece.into())) },
                // Our side of the stream ends, and with it the input of the other.
                None => return,
            },
            () = changed => match terminal::size() {
                Some((width, height)) => resize(width, height),
                None => continue,
            },
        };
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

fn resize(width: u16, height: u16) -> SessionInput {
    let size = TerminalSize { width: width.into(), height: height.into() };
    SessionInput { input: Some(session_input::Input::Resize(size)) }
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => Ok(written?),
    }
}

/// An error of a session as kubectl shows it: what the kubelet says is no `Error from server`.
pub(in crate::commands) fn explain(error: Error) -> anyhow::Error {
    match error.reason {
        Reason::NotFound if error.details.kind.is_empty() => anyhow!("unable to upgrade connection: {error}"),
        Reason::InternalError => anyhow!("{error}"),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kubelet_says_is_told_from_what_the_apiserver_says() {
        let shown = |error| crate::failure::lines(&explain(error)).join("\n");
        assert_eq!(
            shown(Error::new(Reason::NotFound, "container not found (\"a\")")),
            "error: unable to upgrade connection: container not found (\"a\")"
        );
        assert_eq!(
            shown(Error::internal("error executing command in container: no such file")),
            "error: Internal error occurred: error executing command in container: no such file"
        );
        assert_eq!(shown(Error::not_found("", "pods", "w")), "Error from server (NotFound): pods \"w\" not found");
    }
}
