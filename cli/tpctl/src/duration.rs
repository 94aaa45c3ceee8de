//! Durations as they are typed.

use anyhow::{Context, Result};
use service_kit::flags;
use std::time::Duration;

/// A duration as kubectl takes it: `30s`, `1m30s`, `500ms`, or a plain number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let refuse = || format!("{text:?} is not a duration; write it like 30s, 1m30s or 500ms");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).with_context(refuse);
    }
    flags::duration_or_zero(text).ok().with_context(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("0", 0),
            ("5", 5_000),
            ("2h", 7_200_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in ["", "soon", "3x", "s", "-1s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }
}
