//! How the values of settings are written, one function per form. Every error says what would be right.

use std::fmt::Debug;
use std::time::Duration;

use service_kit::flags;

use super::steps::Steps;
use crate::cri::Signal;

/// A probe's answer that a setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Refused, or an answer that says no.
    Fail,
    /// No answer before the probe's timeout.
    Hang,
}

pub(super) fn number<N: std::str::FromStr>(value: &str) -> Result<N, String> {
    value.trim().parse().map_err(|_| format!("{value:?} is not a whole number in range"))
}

/// Any text; none at all takes the setting back.
pub(super) fn text(value: &str) -> Result<Option<String>, String> {
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// Lines of text.
pub(super) fn lines(value: &str) -> Result<Vec<String>, String> {
    Ok(value.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Paths with their contents, a line for each: `/path=content`.
pub(super) fn files(value: &str) -> Result<Vec<(String, String)>, String> {
    let file = |line: &str| {
        let (path, content) = line.split_once('=').unwrap_or((line, ""));
        let content = if content.is_empty() { String::new() } else { format!("{}\n", content.replace("\\n", "\n")) };
        let right = path.starts_with('/') && !path.ends_with('/');
        right
            .then(|| (path.to_owned(), content))
            .ok_or_else(|| format!("{line:?} is not a file such as /index.html=Hello"))
    };
    value.lines().map(str::trim).filter(|line| !line.is_empty()).map(file).collect()
}

pub(super) fn time(value: &str) -> Result<Duration, String> {
    flags::duration_or_zero(value).map_err(|_| format!("{value:?} is not a time such as 250ms, 1.5s or 2m"))
}

/// A time that something can be repeated after.
pub(super) fn interval(value: &str) -> Result<Duration, String> {
    time(value).and_then(|time| {
        let wrong = || format!("{value:?} is too often; 1ms is the shortest");
        (time >= Duration::from_millis(1)).then_some(time).ok_or_else(wrong)
    })
}

pub(super) fn time_or(value: &str, unlimited: &str) -> Result<Option<Duration>, String> {
    if value == unlimited {
        return Ok(None);
    }
    time(value).map(Some).map_err(|problem| format!("{problem}, nor {unlimited:?}"))
}

pub(super) fn bytes(value: &str) -> Result<u64, String> {
    let wrong = || format!("{value:?} is not a size such as 72Mi");
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &value[digits.len()..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

/// CPUs, in billionths: `250m` or `2`.
pub(super) fn cpu(value: &str) -> Result<u64, String> {
    let wrong = || format!("{value:?} is not an amount of CPU such as 250m or 2");
    let (digits, unit) = value.strip_suffix('m').map_or((value, 1_000_000_000), |digits| (digits, 1_000_000));
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

pub(super) fn outcome(value: &str) -> Result<Outcome, String> {
    match value {
        "pass" => Ok(Outcome::Pass),
        "fail" => Ok(Outcome::Fail),
        "hang" => Ok(Outcome::Hang),
        _ => Err(format!("{value:?} is not pass, fail or hang")),
    }
}

/// Values over time; none at all takes the setting back.
pub(super) fn steps<T: Clone + Debug>(
    value: &str,
    one: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<Steps<T>>, String> {
    if value.is_empty() { Ok(None) } else { Steps::parse(value, one).map(Some) }
}

/// One value for each attempt at a container; the last one stands for all that follow.
pub(super) fn per_attempt<T>(value: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').map(str::trim).filter(|value| !value.is_empty()).map(one).collect()
}

pub(super) fn ports(value: &str) -> Result<Option<Vec<u16>>, String> {
    if value == "any" {
        return Ok(None);
    }
    let port =
        |p: &str| p.trim().parse().map_err(|_| format!("{value:?} is not a list of ports such as 80,443, nor \"any\""));
    value.split(',').filter(|p| !p.trim().is_empty()).map(port).collect::<Result<_, _>>().map(Some)
}

pub(super) fn signal(value: &str) -> Result<Signal, String> {
    Signal::from_str_name(value).ok_or_else(|| format!("{value:?} is not a signal such as SIGTERM"))
}
