//! Values over time: `100Mi, 30s:500Mi, 1m:2Gi`.
//!
//! The one way in which settings say that something changes while a container runs. A value holds from its time, counted from the
//! process's start, until the next one's; one without a time holds from the start. Commas or spaces stand between them.

use std::time::Duration;

/// A value for each moment from the first step on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps<T>(Vec<(Duration, T)>);

impl<T: Clone> Steps<T> {
    /// The same value at all times.
    pub fn constant(value: T) -> Self {
        Self(vec![(Duration::ZERO, value)])
    }

    /// Reads steps, each value by `one`.
    ///
    /// # Errors
    /// Which step is wrong, and what would be right.
    pub fn parse(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Self, String> {
        let mut steps: Vec<(Duration, T)> = Vec::new();
        for step in text.split([',', ' ', '\t', '\n']).filter(|step| !step.is_empty()) {
            let (from, value) = match step.split_once(':') {
                Some((from, value)) => (super::values::time(from)?, one(value)?),
                None if steps.is_empty() => (Duration::ZERO, one(step)?),
                None => return Err(format!("{step:?} needs the time from which it holds, such as 30s:{step}")),
            };
            if steps.last().is_some_and(|(before, _)| *before >= from) {
                return Err(format!("{step:?} is not later than the step before it"));
            }
            steps.push((from, value));
        }
        if steps.is_empty() { Err("there is no value".to_owned()) } else { Ok(Self(steps)) }
    }

    /// The value at an age; `None` before the first step.
    pub fn at(&self, age: Duration) -> Option<&T> {
        self.0.iter().rev().find(|(from, _)| *from <= age).map(|(_, value)| value)
    }

    /// The age from which a value first is as asked for.
    pub fn first(&self, wanted: impl Fn(&T) -> bool) -> Option<Duration> {
        self.0.iter().find(|(_, value)| wanted(value)).map(|(from, _)| *from)
    }

    /// The steps up to an age, as spans of time with the value in each.
    pub fn until(&self, age: Duration) -> impl Iterator<Item = (Duration, &T)> {
        self.0.iter().enumerate().filter(move |(_, (from, _))| *from < age).map(move |(index, (from, value))| {
            let end = self.0.get(index + 1).map_or(age, |(next, _)| (*next).min(age));
            (end - *from, value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Steps<u32>, String> {
        Steps::parse(text, |value| value.parse().map_err(|_| format!("{value:?} is not a number")))
    }

    #[test]
    fn values_hold_from_their_time_on() {
        /// Steps, and the values at 0 s, 9 s, 10 s and 100 s.
        type Case = (&'static str, [Option<u32>; 4]);
        let cases: [Case; 4] = [
            ("7", [Some(7); 4]),
            ("1, 10s:2, 1m:3", [Some(1), Some(1), Some(2), Some(3)]),
            ("10s:2 20s:4", [None, None, Some(2), Some(4)]),
            ("0:1,9.5s:2", [Some(1), Some(1), Some(2), Some(2)]),
        ];
        for (text, expected) in cases {
            let steps = parse(text).unwrap();
            let at = [0, 9, 10, 100].map(|age| steps.at(Duration::from_secs(age)).copied());
            assert_eq!(at, expected, "{text}");
        }
        let steps = parse("1, 10s:5, 1m:3").unwrap();
        assert_eq!(steps.first(|value| *value > 2), Some(Duration::from_secs(10)));
        assert_eq!(steps.first(|value| *value > 5), None);
        let spans: Vec<_> =
            steps.until(Duration::from_secs(15)).map(|(span, value)| (span.as_secs(), *value)).collect();
        assert_eq!(spans, [(10, 1), (5, 5)]);
    }

    #[test]
    fn a_wrong_step_is_named() {
        for (text, problem) in [
            ("", "there is no value"),
            ("1, 2", "\"2\" needs the time from which it holds, such as 30s:2"),
            ("1, 5s:2, 5s:3", "\"5s:3\" is not later than the step before it"),
            ("0s:1, 0:2", "\"0:2\" is not later than the step before it"),
            ("1, soon:2", "\"soon\" is not a time such as 250ms, 1.5s or 2m"),
            ("many", "\"many\" is not a number"),
        ] {
            assert_eq!(parse(text).unwrap_err(), problem, "{text}");
        }
    }
}
