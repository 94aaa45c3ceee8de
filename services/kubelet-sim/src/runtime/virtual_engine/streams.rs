//! Exec and attach: sessions with commands that are read, and with what a container prints.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::VirtualEngine;
use super::inside::{Program, nothing_runs};
use super::shell::Shell;
use super::state::Life;
use crate::runtime::{LogStream, Output, Result, RuntimeError, SESSION_BUFFER, Session, Terminal};

impl VirtualEngine {
    /// Runs a command for somebody who reads what it prints.
    pub(super) fn open_exec(&self, id: &str, command: &[String], terminal: Terminal) -> Result<Session> {
        let Some(name) = command.first() else {
            return Err(RuntimeError { code: tonic::Code::InvalidArgument, message: "there is no command".to_owned() });
        };
        let canned = self.inside(id, |container, _| container.canned())?;
        let (session, shell) = self.shell(id, terminal, Program::default())?;
        let program = Program::of(command);
        let name = name.clone();
        tokio::spawn(async move {
            match (canned, program) {
                (Some(answer), _) => shell.answer(answer).await,
                (None, Some(program)) if program.is_interactive() => shell.interact().await,
                (None, Some(program)) => shell.run(program).await,
                (None, None) => shell.refuse(&nothing_runs(&name)).await,
            };
        });
        Ok(session)
    }

    /// Joins what a container's own process reads and prints.
    pub(super) fn open_attach(&self, id: &str, terminal: Terminal) -> Result<Session> {
        if self.inside(id, |container, _| container.is_interactive())? {
            // The process is a shell, and this is its terminal.
            let (session, shell) = self.shell(id, terminal, Program::default())?;
            let (engine, id) = (self.me.clone(), id.to_owned());
            tokio::spawn(async move {
                if let (Some(code), Some(engine)) = (shell.interact().await, engine.upgrade()) {
                    engine.leave(&id, code);
                }
            });
            return Ok(session);
        }
        let mut lines = self.following_from_now(id)?;
        let (input, mut typed) = mpsc::channel(SESSION_BUFFER);
        let (output, printed) = mpsc::channel(SESSION_BUFFER);
        let (engine, id) = (self.me.clone(), id.to_owned());
        tokio::spawn(async move {
            // What is typed is read by nobody, and must not stop whoever types.
            let swallow = async { while typed.recv().await.is_some() {} };
            let show = async {
                while let Some(Ok(line)) = lines.next().await {
                    let piece = match line.stream {
                        LogStream::Stderr if !terminal.tty && terminal.stderr => Output::Stderr(line.content),
                        LogStream::Stderr if !terminal.tty => continue,
                        _ if !terminal.stdout => continue,
                        _ if terminal.tty => Output::Stdout(Bytes::from(for_terminal(&line.content))),
                        _ => Output::Stdout(line.content),
                    };
                    // A container never waits for a reader: what is not taken is lost.
                    if matches!(output.try_send(piece), Err(mpsc::error::TrySendError::Closed(_))) {
                        return;
                    }
                }
                let code = engine.upgrade().and_then(|engine| engine.exit_code(&id));
                if let Some(code) = code {
                    let _ = output.send(Output::Exited(code)).await;
                }
            };
            tokio::select! {
                () = show => {}
                () = output.closed() => {}
                () = async { swallow.await; std::future::pending().await } => {}
            }
        });
        Ok(Session { input, output: printed })
    }

    fn shell(&self, id: &str, terminal: Terminal, program: Program) -> Result<(Session, Shell)> {
        let machine = self.begin(id, program)?;
        let engine = self.me.upgrade().ok_or_else(|| RuntimeError::unknown("the runtime is being stopped"))?;
        let (input, typed) = mpsc::channel(SESSION_BUFFER);
        let (output, printed) = mpsc::channel(SESSION_BUFFER);
        Ok((Session { input, output: printed }, Shell::new(engine, id.to_owned(), machine, terminal, typed, output)))
    }

    /// The container's own shell was left.
    fn leave(self: &Arc<Self>, id: &str, code: i32) {
        let mut state = self.state.lock();
        let exit = super::state::Exit::new(self.now(), code);
        self.exit(&mut state, id, exit);
    }

    fn exit_code(&self, id: &str) -> Option<i32> {
        match &self.state.lock().containers.get(id)?.life {
            Life::Exited { exit, .. } => Some(exit.code),
            _ => None,
        }
    }
}

/// Lines as a terminal wants them.
pub(super) fn for_terminal(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len() + 1);
    for &byte in text {
        if byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(byte);
    }
    shown
}
