//! Log files as the Container Runtime Interface lays them down: written by the runtime, read and rotated by the kubelet.
//!
//! One record per line: `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`. `P` is a part of a line that goes on in the next
//! record of its stream. This module knows the format; [`read`] answers what a file says, [`Rotation`] keeps files small.
//! Nothing here asks a runtime about containers except the rotation.

mod reader;
mod rotation;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::str;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;

use super::{LogLine, LogStream};

pub use reader::{last_lines, read};
pub use rotation::Rotation;

/// How much of a line fits into one record, as in containerd.
pub const RECORD_BYTES: usize = 16 * 1_024;

/// Appends one record to `out`.
pub fn encode(out: &mut Vec<u8>, time: Timestamp, stream: LogStream, complete: bool, text: &[u8]) {
    let stream = match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let tag = if complete { 'F' } else { 'P' };
    // Writing to memory does not fail.
    let _ = write!(out, "{time:.9} {stream} {tag} ");
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Reads one record, without its newline. `None`: it is none.
pub fn decode(record: &[u8]) -> Option<LogLine> {
    let mut fields = record.splitn(4, |&byte| byte == b' ');
    let time = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let stream = match fields.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    // More tags may follow the first, after colons.
    let complete = fields.next()?.split(|&byte| byte == b':').next()? != b"P";
    let text = fields.next()?;
    let content = if complete {
        let mut line = BytesMut::with_capacity(text.len() + 1);
        line.put(text);
        line.put_u8(b'\n');
        line.freeze()
    } else {
        Bytes::copy_from_slice(text)
    };
    Some(LogLine { time, stream, content })
}

/// Cuts what a stream prints into records.
#[derive(Debug, Default)]
pub struct Splitter {
    begun: Vec<u8>,
}

impl Splitter {
    /// Takes in what was printed; answers each record that is full, as its text and whether the line ends with it.
    pub fn take(&mut self, mut printed: &[u8], mut record: impl FnMut(bool, &[u8])) {
        while !printed.is_empty() {
            let room = RECORD_BYTES - self.begun.len();
            let newline = printed.iter().take(room + 1).position(|&byte| byte == b'\n');
            let (text, complete) = match newline {
                Some(end) => (&printed[..end], true),
                None => (&printed[..room.min(printed.len())], false),
            };
            self.begun.extend_from_slice(text);
            printed = &printed[text.len() + usize::from(complete)..];
            if complete || (self.begun.len() == RECORD_BYTES && !printed.is_empty()) {
                record(complete, &self.begun);
                self.begun.clear();
            }
        }
    }

    /// The stream has ended. A last line without a newline is a part of one.
    pub fn finish(&mut self, mut record: impl FnMut(bool, &[u8])) {
        if !self.begun.is_empty() {
            record(false, &self.begun);
            self.begun.clear();
        }
    }
}
