//! Ids of traces and spans as fixed arrays: copied, compared and hashed without touching the heap.

use std::{fmt, str::FromStr};

/// The id of a trace: 16 bytes, never all zero (W3C Trace Context).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span inside its trace: 8 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id in these bytes, unless their number is not 16 or all are zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<TraceId> {
        let id: [u8; 16] = bytes.try_into().ok()?;
        (id != [0; 16]).then_some(TraceId(id))
    }
}

impl SpanId {
    /// The id in these bytes, unless their number is not 8 or all are zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<SpanId> {
        let id: [u8; 8] = bytes.try_into().ok()?;
        (id != [0; 8]).then_some(SpanId(id))
    }
}

/// The text is not a trace id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a trace id is 1 to 32 hexadecimal digits, not all zero")]
pub struct InvalidTraceId;

impl FromStr for TraceId {
    type Err = InvalidTraceId;

    /// Leading zeros may be missing, as Jaeger prints 64-bit ids without them.
    fn from_str(text: &str) -> Result<TraceId, InvalidTraceId> {
        // `from_str_radix` alone would also take a sign.
        let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 32 || !hexadecimal {
            return Err(InvalidTraceId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidTraceId)?;
        TraceId::from_bytes(&number.to_be_bytes()).ok_or(InvalidTraceId)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_reads_as_it_prints_and_may_lack_leading_zeros() {
        let full = "0000000000000000a1b2c3d4e5f60718";
        let id: TraceId = full.parse().unwrap();
        assert_eq!(id.to_string(), full);
        assert_eq!("a1b2c3d4e5f60718".parse(), Ok(id));
        assert_eq!("A1B2C3D4E5F60718".parse(), Ok(id));
    }

    #[test]
    fn what_is_no_trace_id_is_refused() {
        for text in ["", "0", "+1", "-1", "xyz", "1 ", &"1".repeat(33), &"0".repeat(32)] {
            assert_eq!(text.parse::<TraceId>(), Err(InvalidTraceId), "{text:?}");
        }
        assert_eq!(TraceId::from_bytes(&[1; 8]), None);
        assert_eq!(TraceId::from_bytes(&[0; 16]), None);
        assert_eq!(SpanId::from_bytes(&[0; 8]), None);
        assert_eq!(SpanId::from_bytes(&[1; 16]), None);
    }
}
