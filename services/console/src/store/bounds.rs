//! Where spans lie in time.

use opentelemetry_proto::tonic::trace::v1::Span;

/// The extent of some spans, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Start of the span that starts first.
    pub start: u64,
    /// Start of the span that starts last.
    pub last_start: u64,
    /// End of the span that ends last.
    pub end: u64,
}

impl Bounds {
    /// The extent of no spans: including anything gives that.
    pub(crate) const NOTHING: Bounds = Bounds { start: u64::MAX, last_start: 0, end: 0 };

    pub(crate) fn of(span: &Span) -> Bounds {
        let start = span.start_time_unix_nano;
        Bounds {
            start,
            last_start: start,
            // A span whose clock was set back ends where it starts.
            end: span.end_time_unix_nano.max(start),
        }
    }

    pub(crate) fn include(&mut self, other: Bounds) {
        self.start = self.start.min(other.start);
        self.last_start = self.last_start.max(other.last_start);
        self.end = self.end.max(other.end);
    }
}
