//! What a client tries again by itself, and how often.
//!
//! | the server says | a read | a write |
//! |---|---|---|
//! | TooManyRequests, with a time to wait | again | again: it was turned away before anything was done |
//! | ServiceUnavailable, ServerTimeout, or nothing at all | again | not: it may have happened |
//! | Timeout, InternalError, with a time to wait | again | not |
//! | anything else | not | not |
//!
//! Few attempts, because callers have retries of their own (a work queue, a reflector, a person): these are for what passes within
//! seconds, an apiserver that starts again or sheds load.

use api::{Error, Reason};
use service_kit::{Backoff, Failure, RetryPolicy};
use std::time::Duration;

/// The first one included. With a server that says "in a second" a call takes four seconds before it fails, with one that is not there
/// a second and a half.
const ATTEMPTS: u32 = 5;
const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(2);
/// No attempt starts later than this after the first one: a server whose etcd does not answer takes its time for every refusal.
const LATEST: Duration = Duration::from_secs(10);

/// The policy of a call that may take `within`.
pub(crate) fn policy(within: Duration) -> RetryPolicy {
    RetryPolicy::new(Backoff::new(FIRST, CAP).with_jitter(0.2)).with_max_attempts(ATTEMPTS).within(within.min(LATEST))
}

/// What can be done about the error of a call that `reads` or writes.
pub(crate) fn classify(reads: bool, error: Error) -> Failure<Error> {
    let wish = error.details.retry_after_seconds;
    let again = match error.reason {
        Reason::TooManyRequests => wish.is_some(),
        Reason::ServiceUnavailable | Reason::ServerTimeout => reads,
        Reason::Timeout | Reason::InternalError => reads && wish.is_some(),
        _ => false,
    };
    match wish {
        _ if !again => Failure::Final(error),
        // All who were turned away were told the same; they shall not come back together.
        Some(seconds) => {
            Failure::AgainAfter(error, Duration::from_secs(seconds.into()).mul_f64(1.0 + 0.2 * rand::random::<f64>()))
        }
        None => Failure::Again(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_tried_again() {
        let busy = |reason| Error::new(reason, "busy").retry_after(2);
        let plain = |reason| Error::new(reason, "so be it");
        for (error, read, write) in [
            (busy(Reason::TooManyRequests), true, true),
            (plain(Reason::TooManyRequests), false, false),
            (busy(Reason::ServiceUnavailable), true, false),
            (plain(Reason::ServiceUnavailable), true, false),
            (busy(Reason::Timeout), true, false),
            (plain(Reason::Timeout), false, false),
            (plain(Reason::NotFound), false, false),
            (busy(Reason::AlreadyExists), false, false),
            (plain(Reason::Unauthorized), false, false),
        ] {
            for (reads, expected) in [(true, read), (false, write)] {
                let again = !matches!(classify(reads, error.clone()), Failure::Final(_));
                assert_eq!(again, expected, "{error:?}, reads: {reads}");
            }
        }
    }

    #[test]
    fn the_servers_wish_is_the_least_wait() {
        let busy = Error::too_many_requests("busy", 2);
        let Failure::AgainAfter(_, wait) = classify(false, busy) else { panic!("it is tried again") };
        assert!((Duration::from_secs(2)..=Duration::from_millis(2400)).contains(&wait), "{wait:?}");
    }
}
