//! Durations in a few numbers.

use serde::Serialize;
use std::time::Duration;

/// How long things took, and how many of them there were per second. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// How many.
    pub(crate) count: usize,
    /// Per second, over the whole time.
    pub(crate) rate: f64,
    /// Half took at most this long.
    pub(crate) p50: f64,
    /// Nine of ten.
    pub(crate) p90: f64,
    /// 99 of a hundred.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Stats {
    /// The numbers of durations that were measured in `elapsed`; `None` of no duration.
    pub(crate) fn of(mut durations: Vec<Duration>, elapsed: Duration) -> Option<Stats> {
        durations.sort_unstable();
        let milliseconds = |duration: &Duration| duration.as_secs_f64() * 1_000.0;
        // The nearest rank: the smallest that so many are not above.
        let percentile = |part: f64| {
            let rank = (part * durations.len() as f64).ceil() as usize;
            durations.get(rank.saturating_sub(1)).map(milliseconds)
        };
        Some(Stats {
            count: durations.len(),
            rate: durations.len() as f64 / elapsed.as_secs_f64().max(1e-9),
            p50: percentile(0.50)?,
            p90: percentile(0.90)?,
            p99: percentile(0.99)?,
            max: durations.last().map(milliseconds)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred = (1..=100).rev().map(Duration::from_millis).collect();
        let stats = Stats::of(hundred, Duration::from_secs(2)).unwrap();
        assert_eq!((stats.p50, stats.p90, stats.p99, stats.max, stats.rate), (50.0, 90.0, 99.0, 100.0, 50.0));
        let one = Stats::of(vec![Duration::from_millis(7)], Duration::from_secs(1)).unwrap();
        assert_eq!((one.p50, one.p99, one.count), (7.0, 7.0, 1));
        assert_eq!(Stats::of(Vec::new(), Duration::from_secs(1)), None);
    }
}
