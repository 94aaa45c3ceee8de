//! How much is served at once. More is turned away at once, and told to come back: queueing would only make everybody wait.
//!
//! Reads and writes have limits of their own, so that a flood of one cannot starve the other. Watches are not counted: they last,
//! and cost little. Health is never turned away.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use super::{Refusal, Target};
use crate::config::InflightLimits;
use crate::rpc::Method;

/// The largest request, in bytes: Kubernetes' limit for a body.
pub(super) const MAX_BODY_BYTES: usize = 3 << 20;

/// The largest object, in bytes: what an etcd with default settings takes in one request.
pub(super) const MAX_OBJECT_BYTES: usize = 3 << 19;

/// The places for requests that are being served.
pub(super) struct Limits {
    reading: Option<Semaphore>,
    mutating: Option<Semaphore>,
}

impl Limits {
    /// All places free.
    pub(super) fn new(limits: InflightLimits) -> Self {
        let places = |limit: Option<usize>| limit.map(|n| Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Self { reading: places(limits.reading), mutating: places(limits.mutating) }
    }

    /// A place for a call of this method; `Ok(None)` if it needs none.
    fn enter(&self, method: Method) -> api::Result<Option<SemaphorePermit<'_>>> {
        let places = match method {
            Method::Watch => return Ok(None),
            method if method.is_mutating() => &self.mutating,
            _ => &self.reading,
        };
        match places.as_ref().map(Semaphore::try_acquire) {
            None => Ok(None),
            Some(Ok(place)) => Ok(Some(place)),
            Some(Err(TryAcquireError::NoPermits | TryAcquireError::Closed)) => {
                Err(api::Error::too_many_requests("too many requests, please try again later", 1))
            }
        }
    }
}

/// The layer.
pub(super) async fn limits(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    let Some(call) = Target::of(request.extensions()).call() else { return next.run(request).await };
    // Held until the answer is made.
    let _place = match limits.enter(call.method) {
        Ok(place) => place,
        Err(error) => return Refusal::new(request.extensions(), error).into_response(),
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_have_places_of_their_own_and_watches_need_none() {
        let limits = Limits::new(InflightLimits { reading: Some(1), mutating: Some(1) });
        let read = limits.enter(Method::Get).unwrap();
        assert!(read.is_some());
        let full = limits.enter(Method::List).unwrap_err();
        assert_eq!(full.reason, api::Reason::TooManyRequests);
        assert_eq!(full.details.retry_after_seconds, Some(1));
        assert!(limits.enter(Method::Create).is_ok());
        assert!(limits.enter(Method::Watch).unwrap().is_none());
        drop(read);
        assert!(limits.enter(Method::List).is_ok());
    }

    #[test]
    fn no_limit_turns_nobody_away() {
        let limits = Limits::new(InflightLimits::default());
        assert!((0..10_000).all(|_| limits.enter(Method::Create).is_ok()));
    }
}
