//! How long to wait before trying again: exponential back-off, for one thing ([`Backoff`]) or per key ([`KeyedBackoff`]).
//!
//! Nothing here sleeps or reads a clock; a back-off is a sequence of durations. Who waits, and what counts as success, is the
//! caller's affair (`retry`, the supervisor, the work queue of `controller`).

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// A sequence of delays that grows by a factor up to a cap: `initial`, `initial * factor`, ... `cap`, `cap` ...
///
/// With jitter `j` each delay is stretched by a random part of up to `j` of itself, so that many clients that failed together
/// do not come back together. The cap bounds the delay before jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    cap: Duration,
    factor: f64,
    jitter: f64,
    failures: u32,
}

impl Backoff {
    /// Doubling from `initial` to `cap`, without jitter.
    pub const fn new(initial: Duration, cap: Duration) -> Self {
        Self { initial, cap, factor: 2.0, jitter: 0.0, failures: 0 }
    }

    /// Grows by `factor` (at least 1) instead of 2.
    pub const fn with_factor(mut self, factor: f64) -> Self {
        self.factor = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// Stretches each delay by up to this part of itself: 0.1 means up to 10 % longer.
    pub const fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter > 0.0 { jitter } else { 0.0 };
        self
    }

    /// The delay before the next attempt; each call counts one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.delay_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        if self.jitter > 0.0 {
            delay.saturating_add(delay.mul_f64(self.jitter.min(100.0) * rand::random::<f64>()))
        } else {
            delay
        }
    }

    /// The delay, before jitter, that follows `failures` earlier failures.
    pub fn delay_after(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        // The comparison also catches the infinity that a large exponent gives.
        if seconds < self.cap.as_secs_f64() { Duration::from_secs_f64(seconds) } else { self.cap }
    }

    /// Starts over: the thing works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The longest delay, before jitter.
    pub fn cap(&self) -> Duration {
        self.cap
    }

    /// How many delays were taken since the start or the last [`reset`](Self::reset).
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl Default for Backoff {
    /// 100 ms doubling to 10 s with 10 % jitter: what a control loop that lost its peer can afford.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10)).with_jitter(0.1)
    }
}

/// One back-off per key, for a work queue that retries failing keys without slowing down the others.
///
/// Keys that never failed, or were forgotten, take no memory.
#[derive(Clone, Debug)]
pub struct KeyedBackoff<K> {
    policy: Backoff,
    failures: HashMap<K, u32>,
}

impl<K: Clone + Eq + Hash> KeyedBackoff<K> {
    /// Applies `policy` to each key on its own.
    pub fn new(policy: Backoff) -> Self {
        Self { policy, failures: HashMap::new() }
    }

    /// The delay before `key` may be tried again; each call counts one more failure of the key.
    pub fn next_delay(&mut self, key: &K) -> Duration {
        let mut backoff = self.policy.clone();
        match self.failures.get_mut(key) {
            Some(failures) => {
                backoff.failures = *failures;
                *failures = failures.saturating_add(1);
            }
            None => {
                backoff.failures = 0;
                self.failures.insert(key.clone(), 1);
            }
        }
        backoff.next_delay()
    }

    /// Forgets the failures of a key: it succeeded, or it is gone.
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// How often a key failed since it was last forgotten.
    pub fn failures(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }
}

impl<K: Clone + Eq + Hash> Default for KeyedBackoff<K> {
    /// 5 ms doubling to 1000 s, the per-item limits that Kubernetes' controllers use by default.
    fn default() -> Self {
        Self::new(Backoff::new(Duration::from_millis(5), Duration::from_secs(1000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn take(mut backoff: Backoff, count: usize) -> Vec<u128> {
        (0..count).map(|_| backoff.next_delay().as_millis()).collect()
    }

    #[test]
    fn delays_grow_by_the_factor_up_to_the_cap() {
        let cases: [(&str, Backoff, &[u128]); 5] = [
            ("doubling", Backoff::new(10 * MS, 60 * MS), &[10, 20, 40, 60, 60]),
            (
                "crash loop",
                Backoff::new(10_000 * MS, 300_000 * MS),
                &[10_000, 20_000, 40_000, 80_000, 160_000, 300_000],
            ),
            ("tripling", Backoff::new(MS, 100 * MS).with_factor(3.0), &[1, 3, 9, 27, 81, 100]),
            ("constant", Backoff::new(7 * MS, 100 * MS).with_factor(0.5), &[7, 7, 7]),
            ("initial above cap", Backoff::new(50 * MS, 20 * MS), &[20, 20]),
        ];
        for (name, backoff, expected) in cases {
            assert_eq!(take(backoff, expected.len()), expected, "{name}");
        }
    }

    #[test]
    fn reset_starts_over() {
        let mut backoff = Backoff::new(MS, 100 * MS);
        backoff.next_delay();
        backoff.next_delay();
        assert_eq!(backoff.failures(), 2);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.next_delay()), (0, MS));
    }

    #[test]
    fn jitter_only_lengthens_and_stays_within_its_share() {
        let mut backoff = Backoff::new(100 * MS, 100 * MS).with_jitter(0.2);
        for _ in 0..1_000 {
            let delay = backoff.next_delay();
            assert!((100 * MS..=120 * MS).contains(&delay), "{delay:?}");
        }
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let backoff = Backoff::new(MS, Duration::MAX).with_factor(10.0);
        assert_eq!(backoff.delay_after(u32::MAX), Duration::MAX);
        assert_eq!(Backoff::new(Duration::ZERO, 9 * MS).delay_after(5), Duration::ZERO);
    }

    #[test]
    fn keys_back_off_alone_and_are_forgotten_alone() {
        let mut backoff = KeyedBackoff::default();
        let of_a: Vec<_> = (0..4).map(|_| backoff.next_delay(&"a").as_millis()).collect();
        assert_eq!(of_a, [5, 10, 20, 40]);
        assert_eq!(backoff.next_delay(&"b"), 5 * MS);
        backoff.forget(&"a");
        assert_eq!((backoff.failures(&"a"), backoff.failures(&"b")), (0, 1));
        assert_eq!(backoff.next_delay(&"a"), 5 * MS);
        let last = (0..40).map(|_| backoff.next_delay(&"a")).last();
        assert_eq!(last, Some(Duration::from_secs(1000)));
    }
}
