//! Brings events to the apiserver: in order, again while it is away, and within a bound at the end.

use super::Occurrence;
use super::correlate::{Correlator, Write};
use api::core::v1::Event;
use api::{Error, Reason};
use client::{Api, Patch};
use service_kit::{Backoff, Shutdown};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

/// How often one event is tried; client-go's number. With the back-off this is about two minutes.
const TRIES: u32 = 12;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_CAP: Duration = Duration::from_secs(10);
/// An apiserver that is slower with an event than this has more important things to do.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the writer goes on after shutdown, in all.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);
/// And how long without an event: tasks that stop may have something to say.
const LINGER: Duration = Duration::from_millis(200);

pub(super) struct Writer {
    events: Api<Event>,
    correlator: Correlator,
    shutdown: Shutdown,
}

impl Writer {
    pub(super) fn new(events: &Api<Event>, shutdown: Shutdown) -> Self {
        let events = Api::all(events.client().clone().with_timeout(CALL_TIMEOUT)).untraced();
        Writer { events, correlator: Correlator::new(), shutdown }
    }

    /// Runs until shutdown and a little longer, or until nobody can record any more.
    pub(super) async fn run(mut self, mut occurrences: Receiver<Occurrence>) {
        let shutdown = self.shutdown.clone();
        {
            let mut writing = pin!(self.write_all(&mut occurrences));
            tokio::select! {
                () = &mut writing => return,
                () = shutdown.triggered() => {}
            }
            if timeout(FLUSH_WITHIN, writing).await.is_ok() {
                return;
            }
        }
        warn!(events = occurrences.len(), "not all events could be written before the end");
    }

    async fn write_all(&mut self, occurrences: &mut Receiver<Occurrence>) {
        while let Some(occurrence) = self.next(occurrences).await {
            if let Some(write) = self.correlator.observe(&occurrence, Instant::now()) {
                self.write(&write).await;
            }
        }
    }

    async fn next(&self, occurrences: &mut Receiver<Occurrence>) -> Option<Occurrence> {
        if let Some(next) = self.shutdown.run_until_triggered(occurrences.recv()).await {
            return next;
        }
        timeout(LINGER, occurrences.recv()).await.ok().flatten()
    }

    /// Writes one event, as often as it takes and helps.
    async fn write(&self, write: &Write) {
        let (reason, about) = (&write.event.reason, &write.event.involved_object.name);
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_CAP).with_jitter(0.2);
        loop {
            let Err(error) = self.try_write(write).await else { return };
            let delay = backoff.next_delay();
            if !error.is_retryable() {
                debug!(reason, about, %error, "the apiserver does not take an event");
                return;
            }
            if backoff.failures() >= TRIES || self.shutdown.is_triggered() {
                warn!(reason, about, %error, "an event is lost");
                return;
            }
            debug!(reason, about, %error, ?delay, "an event could not be written, trying again");
            self.shutdown.run_until_triggered(sleep(delay)).await;
        }
    }

    async fn try_write(&self, write: &Write) -> Result<(), Error> {
        let events = self.events.within(&write.event.metadata.namespace);
        if write.is_repetition() {
            match events.patch(&write.event.metadata.name, &Patch::Merge(write.patch())).await {
                // Somebody deleted it, it is too old, or it was never written: it is made anew, with its count.
                Err(error) if error.is_not_found() => {}
                answer => return answer.map(drop),
            }
        }
        match events.create(&write.event).await {
            // Ours, whose answer was lost: nobody else makes the name of this nanosecond.
            Err(error) if error.reason == Reason::AlreadyExists => Ok(()),
            answer => answer.map(drop),
        }
    }
}
