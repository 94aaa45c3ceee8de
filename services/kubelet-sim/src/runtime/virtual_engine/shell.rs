//! A session with one command, or with a prompt that takes one after another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::VirtualEngine;
use super::access::Answer;
use super::inside::{Machine, Program, Step, nothing_runs};
use super::streams::for_terminal;
use crate::runtime::{Input, Output, Terminal};

const PROMPT: &str = "/ # ";
const INTERRUPT: u8 = 3;
const END_OF_INPUT: u8 = 4;
const ESCAPE: u8 = 0x1b;

/// The exit code after an interrupt.
const INTERRUPTED: i32 = 130;
/// The exit code when the container has gone.
const KILLED: i32 = 137;
/// The exit code of what cannot be run.
const NOT_FOUND: i32 = 127;

/// One session.
pub(super) struct Shell {
    engine: Arc<VirtualEngine>,
    container: String,
    machine: Machine,
    terminal: Terminal,
    input: mpsc::Receiver<Input>,
    output: mpsc::Sender<Output>,
    /// Typed and not read yet.
    typed: VecDeque<u8>,
    closed: bool,
}

/// Why a command is not gone on with.
enum Cut {
    /// Somebody pressed ^C.
    Interrupt,
    /// The container is gone.
    Killed,
    /// Nobody listens.
    HungUp,
}

/// What came of reading a line.
enum Typed {
    Line(String),
    Interrupt,
    End,
}

impl Shell {
    pub(super) fn new(
        engine: Arc<VirtualEngine>,
        container: String,
        machine: Machine,
        terminal: Terminal,
        input: mpsc::Receiver<Input>,
        output: mpsc::Sender<Output>,
    ) -> Self {
        Self { engine, container, machine, terminal, input, output, typed: VecDeque::new(), closed: false }
    }

    /// Runs one command and ends.
    pub(super) async fn run(mut self, program: Program) -> Option<i32> {
        let code = match self.command(program).await {
            Ok(code) => code,
            Err(Cut::Interrupt) => INTERRUPTED,
            Err(Cut::Killed) => KILLED,
            Err(Cut::HungUp) => return None,
        };
        self.exit(code).await
    }

    /// Gives the answer that settings ask for.
    pub(super) async fn answer(self, answer: Answer) -> Option<i32> {
        self.engine.sleep_inside(&self.container, answer.after).await;
        self.print(&answer.output, false).await?;
        self.exit(answer.exit_code).await
    }

    /// Says why a command is not run.
    pub(super) async fn refuse(self, why: &str) -> Option<i32> {
        self.print(why, true).await?;
        self.exit(NOT_FOUND).await
    }

    /// Takes commands, line after line, until somebody leaves. Answers the exit code, unless nobody listened to the end.
    pub(super) async fn interact(mut self) -> Option<i32> {
        let mut last = 0;
        loop {
            if self.terminal.tty {
                self.print(PROMPT, false).await?;
            }
            let line = match self.read_line().await {
                Ok(Typed::Line(line)) => line,
                Ok(Typed::Interrupt) => {
                    last = INTERRUPTED;
                    continue;
                }
                Ok(Typed::End) => return self.exit(last).await,
                Err(Cut::Killed) => return self.exit(KILLED).await,
                Err(_) => return None,
            };
            if line.trim().is_empty() {
                continue;
            }
            if line.trim() == "exit" {
                return self.exit(last).await;
            }
            let Some(program) = Program::script(&line) else {
                self.print(&nothing_runs("sh: this line"), true).await?;
                last = NOT_FOUND;
                continue;
            };
            let leaves = program.exits();
            match self.command(program).await {
                Ok(code) if leaves => return self.exit(code).await,
                Ok(code) => last = code,
                Err(Cut::Interrupt) => last = INTERRUPTED,
                Err(Cut::Killed) => return self.exit(KILLED).await,
                Err(Cut::HungUp) => return None,
            }
        }
    }

    async fn command(&mut self, program: Program) -> Result<i32, Cut> {
        self.machine.go_on_with(program);
        if self.terminal.stdin {
            self.machine.open_input();
        }
        loop {
            match self.engine.step(&self.container, &mut self.machine, false) {
                None => return Err(Cut::Killed),
                Some(Step::Ran { out, err, .. }) => {
                    self.print(&out, false).await.ok_or(Cut::HungUp)?;
                    self.print(&err, true).await.ok_or(Cut::HungUp)?;
                }
                Some(Step::Exited(code)) => return Ok(code),
                Some(Step::Sleeps(time)) => self.pause(time).await?,
                Some(Step::Again) => self.pause(Duration::from_millis(1)).await?,
                Some(Step::Stays) => self.pause(Duration::MAX).await?,
                Some(Step::Reads) => self.feed().await?,
            }
        }
    }

    /// Gives the command what is typed next, or the end of it.
    async fn feed(&mut self) -> Result<(), Cut> {
        if self.terminal.tty {
            match self.read_line().await? {
                Typed::Line(line) => self.machine.give(&(line + "\n")),
                Typed::Interrupt => return Err(Cut::Interrupt),
                Typed::End => self.machine.close_input(),
            }
            return Ok(());
        }
        loop {
            // A character may come in two parts.
            let whole = match std::str::from_utf8(self.typed.make_contiguous()) {
                Err(error) if error.error_len().is_none() && !self.closed => error.valid_up_to(),
                _ => self.typed.len(),
            };
            if whole > 0 || self.closed {
                let bytes: Vec<u8> = self.typed.drain(..whole).collect();
                self.machine.give(&String::from_utf8_lossy(&bytes));
                if self.closed {
                    self.machine.close_input();
                }
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// Waits, unless somebody interrupts, hangs up, or stops the container.
    async fn pause(&mut self, time: Duration) -> Result<(), Cut> {
        let (engine, container) = (Arc::clone(&self.engine), self.container.clone());
        let (sleep, ended) = (engine.clock.sleep(time), engine.ended(&container));
        tokio::pin!(sleep, ended);
        loop {
            tokio::select! {
                () = &mut sleep => return Ok(()),
                () = &mut ended => return Err(Cut::Killed),
                () = self.output.closed() => return Err(Cut::HungUp),
                input = self.input.recv(), if !self.closed => {
                    self.take(input);
                    if self.terminal.tty && self.typed.contains(&INTERRUPT) {
                        self.typed.clear();
                        self.print("^C\n", false).await.ok_or(Cut::HungUp)?;
                        return Err(Cut::Interrupt);
                    }
                }
            }
        }
    }

    fn take(&mut self, input: Option<Input>) {
        match input {
            Some(Input::Stdin(bytes)) => self.typed.extend(bytes),
            Some(Input::Resize { .. }) => {}
            Some(Input::CloseStdin) | None => self.closed = true,
        }
    }

    async fn read_line(&mut self) -> Result<Typed, Cut> {
        let mut line = Vec::new();
        loop {
            while let Some(byte) = self.typed.pop_front() {
                match byte {
                    b'\n' | b'\r' => {
                        if self.terminal.tty {
                            self.print("\n", false).await.ok_or(Cut::HungUp)?;
                        }
                        return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
                    }
                    byte if !self.terminal.tty => line.push(byte),
                    INTERRUPT => {
                        self.print("^C\n", false).await.ok_or(Cut::HungUp)?;
                        return Ok(Typed::Interrupt);
                    }
                    END_OF_INPUT if line.is_empty() => return Ok(Typed::End),
                    0x08 | 0x7f => {
                        if line.pop().is_some() {
                            self.print("\u{8} \u{8}", false).await.ok_or(Cut::HungUp)?;
                        }
                    }
                    ESCAPE => self.skip_escape(),
                    byte if byte < b' ' => {}
                    byte => {
                        line.push(byte);
                        let echo = Output::Stdout(Bytes::copy_from_slice(&[byte]));
                        self.output.send(echo).await.map_err(|_| Cut::HungUp)?;
                    }
                }
            }
            if self.closed {
                let end = line.is_empty();
                return Ok(if end { Typed::End } else { Typed::Line(String::from_utf8_lossy(&line).into_owned()) });
            }
            self.more().await?;
        }
    }

    /// Waits for something to be typed.
    async fn more(&mut self) -> Result<(), Cut> {
        let (engine, container) = (Arc::clone(&self.engine), self.container.clone());
        tokio::select! {
            input = self.input.recv() => self.take(input),
            () = engine.ended(&container) => return Err(Cut::Killed),
            () = self.output.closed() => return Err(Cut::HungUp),
        }
        Ok(())
    }

    /// Arrow keys and their like do nothing here.
    fn skip_escape(&mut self) {
        if self.typed.front() == Some(&b'[') {
            self.typed.pop_front();
            while self.typed.pop_front().is_some_and(|byte| !byte.is_ascii_alphabetic() && byte != b'~') {}
        }
    }

    /// Sends what was printed, if it is wanted. `None`: nobody listens any more.
    async fn print(&self, text: &str, complaint: bool) -> Option<()> {
        let terminal = &self.terminal;
        let wanted = if complaint && !terminal.tty { terminal.stderr } else { terminal.stdout };
        if text.is_empty() || !wanted {
            return Some(());
        }
        let piece = if terminal.tty {
            Output::Stdout(Bytes::from(for_terminal(text.as_bytes())))
        } else if complaint {
            Output::Stderr(Bytes::copy_from_slice(text.as_bytes()))
        } else {
            Output::Stdout(Bytes::copy_from_slice(text.as_bytes()))
        };
        self.output.send(piece).await.ok()
    }

    async fn exit(self, code: i32) -> Option<i32> {
        // Whoever left before the end does not want to know.
        let _ = self.output.send(Output::Exited(code)).await;
        Some(code)
    }
}
