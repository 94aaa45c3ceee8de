//! Durations and times as kubectl writes them: `5s`, `3m12s`, `2d4h`.

use api::meta::v1::Time;
use jiff::{SignedDuration, Timestamp};

/// What stands for a time that is not set.
pub(crate) const UNKNOWN: &str = "<unknown>";

/// How long ago something was: its two largest units where they matter.
pub(crate) fn since(time: Option<&Time>, now: Timestamp) -> String {
    match time.and_then(Time::timestamp) {
        Some(time) => duration(now.duration_since(time)),
        None => UNKNOWN.to_owned(),
    }
}

/// A duration in Kubernetes' short form.
pub(crate) fn duration(duration: SignedDuration) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let seconds = duration.as_secs();
    // Clocks differ a little between machines; more than a second in the future is a mistake worth seeing.
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let two = |large: i64, unit: &str, rest: i64, small: &str| match rest {
        0 => format!("{large}{unit}"),
        rest => format!("{large}{unit}{rest}{small}"),
    };
    match seconds {
        ..0 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, "m", s % MINUTE, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, "h", s % HOUR / MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, "d", s % DAY / HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, "y", s % YEAR / DAY, "d"),
        s => format!("{}y", s / YEAR),
    }
}

/// `Mon, 02 Jan 2006 15:04:05 +0000`, in the user's time zone.
pub(crate) fn date(time: Option<&Time>) -> String {
    match time.and_then(Time::timestamp) {
        Some(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string(),
        None => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_the_units_that_matter() {
        const M: i64 = 60;
        const H: i64 = 60 * M;
        const D: i64 = 24 * H;
        const Y: i64 = 365 * D;
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (2 * M + 1, "2m1s"),
            (10 * M - 1, "9m59s"),
            (10 * M, "10m"),
            (3 * H - 1, "179m"),
            (3 * H, "3h"),
            (3 * H + 5 * M, "3h5m"),
            (8 * H, "8h"),
            (2 * D - 1, "47h"),
            (2 * D, "2d"),
            (2 * D + 3 * H, "2d3h"),
            (8 * D, "8d"),
            (2 * Y - 1, "729d"),
            (2 * Y + 10 * D, "2y10d"),
            (8 * Y + 10 * D, "8y"),
        ] {
            assert_eq!(duration(SignedDuration::from_secs(seconds)), expected, "{seconds}");
        }
        assert_eq!(since(None, Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
