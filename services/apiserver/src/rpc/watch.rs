//! The stream that answers a watch: the cache's events, and an end for every way in which a watch can end.
//!
//! | end | what the client gets |
//! |---|---|
//! | the registry ends it (expired, too slow, its time is over) | the registry's error, or a plain end |
//! | the apiserver stops | UNAVAILABLE: watch again from the last revision seen |
//! | the call's deadline passes | DEADLINE_EXCEEDED |
//! | the client goes away | nothing; the stream is dropped |
//!
//! An event's bytes are shared by all watchers. A watcher that reads slowly holds up nobody: only its own stream waits.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::Request;
use service_kit::Shutdown;
use service_kit::rpc_status::to_status;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use crate::cache::Watch;
use crate::server::Deadline;

/// What ends watches from outside.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    shutdown: Shutdown,
    deadline: Option<Instant>,
}

impl Ending {
    /// Watches end when the server stops.
    pub(super) fn new(shutdown: &Shutdown) -> Self {
        Self { shutdown: shutdown.clone(), deadline: None }
    }

    /// What ends the watch that `request` asks for: also its deadline, if it has one.
    pub(super) fn of(&self, request: &Request<Body>) -> Self {
        Self { deadline: request.extensions().get::<Deadline>().map(|deadline| deadline.0), ..self.clone() }
    }
}

/// The events as they are sent.
pub(super) fn answer(events: Watch, ending: Ending) -> Answer {
    Answer {
        events: Some(events),
        stopped: Box::pin(ending.shutdown.token().cancelled_owned()),
        expired: ending.deadline.map(|deadline| Box::pin(sleep_until(deadline))),
    }
}

/// The stream of a watch.
pub(super) struct Answer {
    /// None once the watch has ended.
    events: Option<Watch>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    expired: Option<Pin<Box<Sleep>>>,
}

impl Stream for Answer {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        // Events first: what has happened before the end is still delivered.
        let end = match events.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(event))) => return Poll::Ready(Some(Ok(event.encoded))),
            Poll::Ready(Some(Err(error))) => Some(error),
            Poll::Ready(None) => None,
            Poll::Pending => Some(ready!(self.poll_end(cx))),
        };
        self.events = None;
        Poll::Ready(end.map(|error| Err(to_status(&error))))
    }
}

impl Answer {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<api::Error> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(api::Error::unavailable(
                "the apiserver is stopping: watch again from the last resourceVersion that you saw",
            ));
        }
        match &mut self.expired {
            Some(expired) => {
                expired.as_mut().poll(cx).map(|()| api::Error::timeout("the deadline of the call has passed"))
            }
            None => Poll::Pending,
        }
    }
}
