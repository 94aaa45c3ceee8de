//! How lines are shown: timestamps, and where to stop by size. Pure.

use bytes::{BufMut, Bytes, BytesMut};

use crate::runtime::LogLine;

/// Writes lines as `PodLogOptions` ask.
#[derive(Debug)]
pub(super) struct Format {
    timestamps: bool,
    /// How many bytes may still be written; `None` for all.
    left: Option<u64>,
    /// Only what begins a line gets a time; a long line comes in parts.
    begins_line: bool,
}

impl Format {
    pub(super) fn new(timestamps: bool, limit: Option<u64>) -> Self {
        Self { timestamps, left: limit, begins_line: true }
    }

    /// Whether nothing more will be written.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Writes a line, or as much of it as may be.
    pub(super) fn write(&mut self, line: &LogLine, out: &mut BytesMut) {
        if self.timestamps && self.begins_line {
            // RFC 3339 in UTC, always nine digits: lines stay below each other.
            let time = line.time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string();
            self.put(time.as_bytes(), out);
        }
        self.put(&line.content, out);
        self.begins_line = line.content.is_empty() || line.content.ends_with(b"\n");
    }

    fn put(&mut self, bytes: &[u8], out: &mut BytesMut) {
        let room = self.left.map_or(bytes.len(), |left| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        out.put_slice(&bytes[..room]);
        if let Some(left) = &mut self.left {
            *left -= room as u64;
        }
    }
}

/// Lines in one piece.
pub(super) fn together<'a>(format: &mut Format, lines: impl IntoIterator<Item = &'a LogLine>) -> Bytes {
    let mut out = BytesMut::new();
    for line in lines {
        format.write(line, &mut out);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::LogStream;

    fn line(time: &str, content: &str) -> LogLine {
        LogLine { time: time.parse().unwrap(), stream: LogStream::Stdout, content: content.to_owned().into() }
    }

    #[test]
    fn lines_are_shown_as_kubernetes_shows_them() {
        let lines = [
            line("2026-01-02T03:04:05Z", "one\n"),
            line("2026-01-02T03:04:05.120Z", "a long "),
            line("2026-01-02T03:04:05.123456789Z", "line\n"),
            line("2026-01-02T05:04:05.5+02:00", "no end"),
        ];
        let timed = "2026-01-02T03:04:05.000000000Z one\n2026-01-02T03:04:05.120000000Z a long line\n\
                     2026-01-02T03:04:05.500000000Z no end";
        let table = [
            (false, None, "one\na long line\nno end"),
            (true, None, timed),
            (false, Some(6), "one\na "),
            (false, Some(4), "one\n"),
            (true, Some(10), "2026-01-02"),
            (false, Some(1000), "one\na long line\nno end"),
        ];
        for (timestamps, limit, expected) in table {
            let mut format = Format::new(timestamps, limit);
            assert_eq!(together(&mut format, &lines), expected, "{timestamps} {limit:?}");
            assert_eq!(format.is_full(), limit.is_some_and(|limit| limit == expected.len() as u64), "{limit:?}");
        }
    }

    #[test]
    fn an_empty_record_ends_a_line() {
        let lines = [line("2026-01-02T03:04:05Z", ""), line("2026-01-02T03:04:06Z", "x\n")];
        let shown = together(&mut Format::new(true, None), &lines);
        assert_eq!(shown, "2026-01-02T03:04:05.000000000Z 2026-01-02T03:04:06.000000000Z x\n");
    }
}
