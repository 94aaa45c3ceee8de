//! What containers have printed.
//!
//! The seam answers lines with their times; which container is meant, how lines are shown, and where to stop by size is decided above.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;

use super::Result;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line, or a part of a line that is too long for one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was printed.
    pub time: Timestamp,
    /// Where.
    pub stream: LogStream,
    /// The bytes, with the newline where the process printed one.
    pub content: Bytes,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only lines printed at this time or later.
    pub since: Option<Timestamp>,
    /// Only so many lines from the end of what there is now; lines that follow are not counted.
    pub tail: Option<u64>,
    /// Go on until the container has ended and all of it was told.
    pub follow: bool,
}

/// Lines in the order in which they were printed. Reading slowly delays nobody but the reader.
pub type Lines = BoxStream<'static, Result<LogLine>>;

/// Answers what containers have printed.
#[async_trait]
pub trait ContainerLogs: Send + Sync + 'static {
    /// The lines of one attempt at a container, by the id that the runtime gave it. `NotFound`: the runtime does not know it any more.
    async fn logs(&self, container_id: &str, options: LogOptions) -> Result<Lines>;
}
