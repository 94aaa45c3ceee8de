//! How the values of flags are written, where several services write them alike: clap value parsers.
//!
//! Durations are those of Go, because every flag of Kubernetes that takes a time takes it so. A parser refuses what no service can use; what a
//! value means beside other flags is its service's concern.

use std::time::Duration;

use clap::builder::RangedU64ValueParser;

/// A duration as Go writes it, longer than zero: numbers with units, such as `500ms`, `15s`, `1m30s`, `1.5h`.
///
/// # Errors
/// What a value must be. clap adds the flag and the value that was given.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

/// Like [`duration()`], for flags to which `0s` (or `0`) says something of its own, such as "never".
///
/// # Errors
/// What a value must be.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    let refuse = || "must be a duration such as 500ms, 15s or 1m30s".to_owned();
    nanoseconds(text).map(Duration::from_nanos).ok_or_else(refuse)
}

/// A number of things of which none would be too few.
pub fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The sum of numbers with units, in any order.
fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut total, mut rest) = (0_u64, text);
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (name, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        total = total.checked_add(part(number, unit(name)?)?)?;
        if after.is_empty() {
            // Go counts in 63 bits, so that a longer time (292 years) would be no flag of Kubernetes.
            return Some(total).filter(|total| i64::try_from(*total).is_ok());
        }
        rest = after;
    }
}

/// One number, in nanoseconds. Its whole part is never rounded.
fn part(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    whole.checked_mul(unit)?.checked_add((fraction * unit as f64).round() as u64)
}

/// Nanoseconds of a unit.
fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // Go takes the micro sign and the Greek letter, which look alike.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units_as_in_go() {
        const SECOND: u64 = 1_000_000_000;
        for (text, nanos) in [
            ("500ms", SECOND / 2),
            ("40s", 40 * SECOND),
            ("1m30s", 90 * SECOND),
            ("2m", 120 * SECOND),
            ("1h", 3600 * SECOND),
            ("1.5s", SECOND + SECOND / 2),
            (".5s", SECOND / 2),
            ("5.s", 5 * SECOND),
            ("1.1ms", 1_100_000),
            ("0.5h1m", 31 * 60 * SECOND),
            ("1s1h", 3601 * SECOND),
            ("7us", 7_000),
            ("7\u{b5}s7\u{3bc}s", 14_000),
            ("5000000000ns", 5 * SECOND),
            ("9223372036854775807ns", i64::MAX.unsigned_abs()),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn other_notations_are_refused_with_an_example() {
        for text in "|40|s|.s|-1s|+|40x|1.2.3s|1 s| 1s|1s |s1|1s2|1d|PT5S|5 minutes|soon".split('|') {
            let error = duration_or_zero(text).unwrap_err();
            assert_eq!(error, "must be a duration such as 500ms, 15s or 1m30s", "{text:?}");
            assert_eq!(duration(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn durations_beyond_gos_are_refused() {
        for text in
            ["9223372036854775808ns", "9223372037s", "99999999999999999999s", "9999999999999999999m", "2562047h48m"]
        {
            assert!(duration_or_zero(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zero_is_refused_unless_it_says_something() {
        for text in ["0", "0s", "0h0m0s", "0.0ms"] {
            assert_eq!(duration(text).unwrap_err(), "must be longer than zero", "{text}");
            assert_eq!(duration_or_zero(text), Ok(Duration::ZERO), "{text}");
        }
    }

    #[test]
    fn none_is_less_than_one() {
        let parse = |count: &str| {
            let command = clap::Command::new("x").arg(clap::Arg::new("n").value_parser(at_least_one()));
            command.try_get_matches_from(["x", count]).ok()?.get_one::<usize>("n").copied()
        };
        assert_eq!((parse("1"), parse("64"), parse("0"), parse("-1")), (Some(1), Some(64), None, None));
    }
}
