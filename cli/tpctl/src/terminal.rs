//! The terminal that tpctl runs in: raw mode, its size, and what is typed.

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{IsTerminal as _, Read as _, stdin};
use terminal_size::{Height, Width, terminal_size_of};
use tokio::sync::mpsc;

/// How much is read of the input at once.
const PIECE: usize = 32 << 10;
/// How many pieces of input may wait.
const WAITING: usize = 4;

/// Raw mode: every key goes to the other side, none to this machine. Dropping it restores what was.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Enters raw mode.
    pub(crate) fn enter() -> nix::Result<Raw> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before) {
            tracing::debug!(%error, "the terminal could not be restored");
        }
    }
}

/// Whether somebody types our input.
pub(crate) fn is_terminal() -> bool {
    stdin().is_terminal()
}

/// Columns and rows, if this is a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    terminal_size_of(stdin()).map(|(Width(width), Height(height))| (width, height))
}

/// Standard input, piece by piece, to its end.
///
/// Read by a thread that nobody waits for: a read of a terminal cannot be called off, and must not keep the process from ending.
pub(crate) fn input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = stdin().lock().read(&mut buffer) {
            if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    pieces
}
