//! Trying again, within bounds.
//!
//! [`retry`] repeats an operation while it says that another attempt may help. What may be repeated is the operation's own
//! knowledge (a create that timed out may have happened), so it classifies its errors; this module only waits and counts.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;

/// How often and how long [`retry`] may try. Without bounds it goes on until the operation succeeds or gives up.
#[derive(Clone, Debug, Default)]
pub struct RetryPolicy {
    backoff: Backoff,
    max_attempts: Option<u32>,
    within: Option<Duration>,
}

impl RetryPolicy {
    /// Tries again without end, waiting as `backoff` says.
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, max_attempts: None, within: None }
    }

    /// At most this many attempts in all, the first one included.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Starts no attempt later than this after the first one started. A running attempt is not interrupted.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

/// Why an attempt failed, by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// Another attempt may succeed.
    Again(E),
    /// Another attempt may succeed, but the other side asks not to try sooner than this (a `Retry-After`).
    AgainAfter(E, Duration),
    /// Trying again cannot help.
    Final(E),
}

impl<E> Failure<E> {
    /// The error, whatever can be done about it.
    pub fn into_error(self) -> E {
        match self {
            Self::Again(error) | Self::AgainAfter(error, _) | Self::Final(error) => error,
        }
    }
}

/// Runs `operation` until it succeeds, fails for good, or the policy's bounds are reached; the last error is returned.
///
/// The operation gets the number of its attempt, from 1. Cancel-safe as far as the operation is: dropping the returned future
/// drops the running attempt or the wait.
pub async fn retry<T, E, F, Fut>(policy: RetryPolicy, mut operation: F) -> Result<T, E>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let RetryPolicy { mut backoff, max_attempts, within } = policy;
    let start = Instant::now();
    let mut attempt = 1;
    loop {
        let (error, delay) = match operation(attempt).await {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(error)) => (error, backoff.next_delay()),
            Err(Failure::AgainAfter(error, at_least)) => (error, backoff.next_delay().max(at_least)),
        };
        let too_often = max_attempts.is_some_and(|max| attempt >= max);
        let too_late = within.is_some_and(|time| start.elapsed().saturating_add(delay) > time);
        if too_often || too_late {
            return Err(error);
        }
        sleep(delay).await;
        attempt = attempt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_second() -> RetryPolicy {
        RetryPolicy::new(Backoff::new(Duration::from_secs(1), Duration::from_secs(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn succeeds_as_soon_as_the_operation_does() {
        let start = Instant::now();
        let result: Result<u32, &str> = retry(every_second(), |attempt| async move {
            if attempt < 4 { Err(Failure::Again("not yet")) } else { Ok(attempt) }
        })
        .await;
        assert_eq!(result, Ok(4));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_failure_is_not_repeated() {
        let mut attempts = 0;
        let result: Result<(), &str> = retry(every_second(), |_| {
            attempts += 1;
            async { Err(Failure::Final("forbidden")) }
        })
        .await;
        assert_eq!((result, attempts), (Err("forbidden"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn stops_at_the_bounds() {
        for (policy, attempts, elapsed) in [
            (every_second().with_max_attempts(3), 3, 2),
            (every_second().within(Duration::from_secs(5)), 6, 5),
            (every_second().within(Duration::ZERO), 1, 0),
        ] {
            let start = Instant::now();
            let result: Result<(), u32> = retry(policy, |attempt| async move { Err(Failure::Again(attempt)) }).await;
            assert_eq!((result, start.elapsed()), (Err(attempts), Duration::from_secs(elapsed)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_other_sides_wish_lengthens_the_wait() {
        let start = Instant::now();
        let result: Result<(), &str> = retry(every_second(), |attempt| async move {
            if attempt == 1 { Err(Failure::AgainAfter("busy", Duration::from_secs(7))) } else { Ok(()) }
        })
        .await;
        assert_eq!((result, start.elapsed()), (Ok(()), Duration::from_secs(7)));
    }
}
