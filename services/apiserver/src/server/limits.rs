//! How much is served at once. More waits for a moment, first come first served; what would wait for long, or finds the queue full, is
//! turned away and told to come back. A burst costs milliseconds so, and not the second after which a client that was turned away returns.
//! (Kubernetes' API Priority and Fairness queues likewise, with many queues where we have one.)
//!
//! Reads and writes have limits of their own, so that a flood of one cannot starve the other. Watches and streams of pods are not
//! counted: they last, and cost little. Health is never turned away.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Duration, timeout};

use super::{Refusal, Target};
use crate::config::InflightLimits;
use crate::rpc::Method;

/// The largest request, in bytes: Kubernetes' limit for a body.
pub(super) const MAX_BODY_BYTES: usize = 3 << 20;

/// The largest object, in bytes: what an etcd with default settings takes in one request.
pub(super) const MAX_OBJECT_BYTES: usize = 3 << 19;

/// How long a request may wait for its place.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many may wait, for each place that there is.
const WAITING_PER_PLACE: usize = 4;

/// The places for requests that are being served.
pub(super) struct Limits {
    reading: Option<Places>,
    mutating: Option<Places>,
}

struct Places {
    /// Handed out in the order of asking.
    serving: Semaphore,
    /// Room to wait; whoever is served has left it.
    waiting: Semaphore,
}

impl Places {
    fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS / WAITING_PER_PLACE);
        Self { serving: Semaphore::new(limit), waiting: Semaphore::new(limit * WAITING_PER_PLACE) }
    }

    /// A place, now or soon.
    async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.serving.try_acquire() {
            return Some(place);
        }
        let _room = self.waiting.try_acquire().ok()?;
        timeout(PATIENCE, self.serving.acquire()).await.ok()?.ok()
    }
}

impl Limits {
    /// All places free.
    pub(super) fn new(limits: InflightLimits) -> Self {
        Self { reading: limits.reading.map(Places::new), mutating: limits.mutating.map(Places::new) }
    }

    /// A place for a call of this method; `Ok(None)` if it needs none.
    async fn enter(&self, method: Method) -> api::Result<Option<SemaphorePermit<'_>>> {
        let places = match method {
            method if method.is_long_running() => return Ok(None),
            method if method.is_mutating() => &self.mutating,
            _ => &self.reading,
        };
        let Some(places) = places else { return Ok(None) };
        match places.enter().await {
            Some(place) => Ok(Some(place)),
            None => Err(api::Error::too_many_requests("too many requests, please try again later", 1)),
        }
    }
}

/// The layer.
pub(super) async fn limits(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    let Some(call) = Target::of(request.extensions()).call() else { return next.run(request).await };
    // Held until the answer is made.
    let _place = match limits.enter(call.method).await {
        Ok(place) => place,
        Err(error) => return Refusal::new(request.extensions(), error).into_response(),
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reads_and_writes_have_places_of_their_own_and_what_lasts_needs_none() {
        let limits = Limits::new(InflightLimits { reading: Some(1), mutating: Some(1) });
        let read = limits.enter(Method::Get).await.unwrap();
        assert!(read.is_some());
        let full = limits.enter(Method::List).await.unwrap_err();
        assert_eq!(full.reason, api::Reason::TooManyRequests);
        assert_eq!(full.details.retry_after_seconds, Some(1));
        assert!(limits.enter(Method::Create).await.is_ok());
        for lasting in [Method::Watch, Method::Logs, Method::Exec, Method::Attach, Method::PortForward] {
            assert!(limits.enter(lasting).await.unwrap().is_none(), "{lasting:?}");
        }
        drop(read);
        assert!(limits.enter(Method::List).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_waits_in_order_and_only_what_waits_too_long_or_finds_no_room_is_turned_away() {
        let limits = Arc::new(Limits::new(InflightLimits { reading: None, mutating: Some(1) }));
        let first = limits.enter(Method::Create).await.unwrap();
        let waiting: Vec<_> = (0..WAITING_PER_PLACE)
            .map(|_| {
                let limits = Arc::clone(&limits);
                tokio::spawn(async move { limits.enter(Method::Create).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        let begin = tokio::time::Instant::now();
        assert!(limits.enter(Method::Create).await.is_err(), "there is no room to wait");
        assert_eq!(begin.elapsed(), Duration::ZERO);
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap().expect("each is served when the one before is done");
        }
        let _held = limits.enter(Method::Create).await.unwrap();
        let begin = tokio::time::Instant::now();
        assert!(limits.enter(Method::Create).await.is_err());
        assert_eq!(begin.elapsed(), PATIENCE);
    }

    #[tokio::test]
    async fn no_limit_turns_nobody_away() {
        let limits = Limits::new(InflightLimits::default());
        for _ in 0..1000 {
            assert!(limits.enter(Method::Create).await.unwrap().is_none());
        }
    }
}
