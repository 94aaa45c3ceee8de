//! Streams into a running container: exec, attach, and connections to a port of its pod.
//!
//! The seam is the same for every runtime: a [`Session`] is two bounded channels, whatever carries them. Backpressure is part of the
//! contract: a session whose output is not read stops reading from the command that it runs (exec), or loses what it did not take
//! (attach); a container never waits for a slow reader.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::Result;

/// How many pieces of input or output may wait in a session.
pub const SESSION_BUFFER: usize = 16;

/// Which streams a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// What the client types is wanted.
    pub stdin: bool,
    /// What the process prints is wanted.
    pub stdout: bool,
    /// What the process complains about is wanted. With a tty it comes as output.
    pub stderr: bool,
    /// The process has a terminal: one stream, with sizes and control characters.
    pub tty: bool,
}

/// What goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes for the process.
    Stdin(Bytes),
    /// The end of its input.
    CloseStdin,
    /// The size of the client's terminal, in characters. Means nothing without a tty.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Printed.
    Stdout(Bytes),
    /// Complained.
    Stderr(Bytes),
    /// The command has ended (exec), or the container has (attach): 128 + n after signal n. Always the last piece.
    Exited(i32),
}

/// A session under way. Dropping `input` closes the process's input; dropping `output` ends the session, and kills what `exec` ran.
#[derive(Debug)]
pub struct Session {
    /// To the process.
    pub input: mpsc::Sender<Input>,
    /// From the process. A channel that ends without [`Output::Exited`] has lost its container.
    pub output: mpsc::Receiver<Output>,
}

/// A connection to a port.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Opens streams. All calls are cancel-safe: a dropped call has opened nothing that stays.
#[async_trait]
pub trait PodStreams: Send + Sync + 'static {
    /// Runs a command in a running container.
    async fn exec(&self, container_id: &str, command: Vec<String>, terminal: Terminal) -> Result<Session>;
    /// Joins the streams of a running container's own process, from now on.
    async fn attach(&self, container_id: &str, terminal: Terminal) -> Result<Session>;
    /// Connects to a port in the network of a sandbox, as `localhost` there.
    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Box<dyn Connection>>;
}
