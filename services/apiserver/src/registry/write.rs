//! The loop around every change of an object that exists: decide on a state, write if nobody was faster, or decide again.
//!
//! ```text
//!   cached state ──decide──▶ write ──▶ transaction ──committed──▶ done
//!        ▲                   │             │
//!        │                keep, refuse   somebody was faster:
//!        │                   │          the transaction brings the newer state
//!        └──on what the──────┴─────────────┘
//!           store has now
//! ```
//!
//! The first decision is made on the cache's state, which costs no round trip and is nearly always the newest. It may be old, though, so a
//! decision that ends the request without a transaction (a refusal, or nothing to change) counts only once it was made on a state that
//! the store confirmed.

use std::sync::Arc;

use api::{Error, Resource};
use bytes::Bytes;
use prost::Message;
use store::envelope::Envelope;
use store::{Revision, WriteContext};
use telemetry::{ApiSteps, RequestDetail, Step, TraceContext};
use tracing::warn;

use super::Registry;
use super::answer::Encoded;
use super::errors;
use super::strategy::Reservation;
use crate::cache::{Cached, with_resource_version};
use crate::request::RequestContext;

/// The state that a decision is made on.
pub(super) struct Current {
    pub(super) object: Arc<Cached>,
    /// Whether the store confirmed it during this request.
    confirmed: bool,
}

/// What is to become of an object.
pub(super) enum Decision<K> {
    /// It becomes this.
    Write(Box<K>, Reservation),
    /// It goes; the answer shows this as its last state.
    Remove(Box<K>),
    /// It stays as it is.
    Keep,
}

/// How a request ended.
pub(super) struct Settled<K> {
    pub(super) object: Encoded<K>,
    pub(super) revision: Revision,
    pub(super) removed: bool,
}

impl<K: Resource> Registry<K> {
    /// The object as the cache has it or, if it is not there, as the store has it.
    pub(super) async fn current(&self, namespace: &str, name: &str) -> Result<Current, Error> {
        let key = self.key(namespace, name);
        match self.cache().get(&key) {
            Some(object) => Ok(Current { object, confirmed: false }),
            // It may have been created a moment ago.
            None => Ok(Current { object: self.stored(&key, name).await?, confirmed: true }),
        }
    }

    /// Carries a decision out. `None`: `current` is a newer state now, decide again.
    pub(super) async fn settle(
        &self,
        ctx: &RequestContext,
        current: &mut Current,
        decision: Result<Decision<K>, Error>,
        dry_run: bool,
    ) -> Result<Option<Settled<K>>, Error> {
        match decision {
            Ok(Decision::Write(object, reservation)) => {
                let raw = Bytes::from(object.encode_to_vec());
                if raw == current.object.raw() {
                    self.strategy().release(reservation).await;
                    return Ok(self.confirm(current).await?.then(|| Settled::unchanged(current)));
                }
                if dry_run {
                    self.strategy().release(reservation).await;
                    return Ok(Some(Settled::written(&raw, current.object.revision)));
                }
                // What a kubelet reports of a pod's end is no step of its creation, nor of a restart.
                let ends = object.metadata().deletion_timestamp.is_some();
                let of_life = |step: &Step| matches!(step, Step::PodCreate6b | Step::PodRestart10b);
                let step = ctx.steps.commit.filter(|step| !(ends && of_life(step)));
                self.replace(step, current, raw, reservation).await
            }
            Ok(Decision::Remove(last)) if dry_run => {
                Ok(Some(Settled { removed: true, ..Settled::written(&last.encode_to_vec(), current.object.revision) }))
            }
            Ok(Decision::Remove(last)) => self.remove(ctx, current, &last).await,
            Ok(Decision::Keep) => Ok(self.confirm(current).await?.then(|| Settled::unchanged(current))),
            Err(refusal) => match self.confirm(current).await? {
                true => Err(refusal),
                false => Ok(None),
            },
        }
    }

    async fn replace(
        &self,
        step: Option<Step>,
        current: &mut Current,
        raw: Bytes,
        reservation: Reservation,
    ) -> Result<Option<Settled<K>>, Error> {
        let (key, expected) = (current.object.key.clone(), current.object.revision);
        let context = write_context(step);
        match self.store().update(&key, expected, envelope::<K>(raw.clone()), &context).await {
            Ok(revision) => {
                let given_up = Reservation { taken: reservation.given_up, given_up: Vec::new() };
                self.strategy().release(given_up).await;
                Ok(Some(Settled::written(&raw, revision)))
            }
            Err(error) => {
                // A write in doubt may need what was reserved for it.
                if !matches!(error, store::Error::Unavailable { in_doubt: true, .. }) {
                    self.strategy().release(reservation).await;
                }
                self.overtaken(current, error).map(|()| None)
            }
        }
    }

    async fn remove(&self, ctx: &RequestContext, current: &mut Current, last: &K) -> Result<Option<Settled<K>>, Error> {
        let (key, expected) = (current.object.key.clone(), current.object.revision);
        let detail = RequestDetail { removes: true, from_kubelet: ctx.from_kubelet, restarts: false };
        // Whichever request removes an object, the removal is the step that it is for a delete.
        let steps = ApiSteps::for_request(K::INFO.plural, "delete", "", detail);
        match self.store().delete(&key, expected, &write_context(steps.commit)).await {
            Ok(revision) => {
                self.strategy().removed(last).await;
                let settled = Settled::written(&last.encode_to_vec(), revision);
                Ok(Some(Settled { removed: true, ..settled }))
            }
            Err(error) => self.overtaken(current, error).map(|()| None),
        }
    }

    /// Takes the newer state from the conflict of a transaction; any other error ends the request.
    fn overtaken(&self, current: &mut Current, error: store::Error) -> Result<(), Error> {
        let name = current.object.name().to_owned();
        match error {
            store::Error::Conflict { current: entry, .. } => {
                *current = Current { object: self.read(&entry)?, confirmed: true };
                Ok(())
            }
            error => Err(errors::of_object(K::INFO, &name, error)),
        }
    }

    /// Whether `current` is what the store has. If not, it is afterwards.
    async fn confirm(&self, current: &mut Current) -> Result<bool, Error> {
        if current.confirmed {
            return Ok(true);
        }
        let object = self.stored(&current.object.key, current.object.name()).await?;
        let same = object.revision == current.object.revision;
        *current = Current { object, confirmed: true };
        Ok(same)
    }

    /// The object as the store has it.
    pub(super) async fn stored(&self, key: &str, name: &str) -> Result<Arc<Cached>, Error> {
        let entry = self.store().get(key).await.map_err(errors::general)?;
        let entry = entry.ok_or_else(|| Error::not_found(K::INFO.group, K::INFO.plural, name))?;
        self.read(&entry)
    }

    fn read(&self, entry: &store::Entry) -> Result<Arc<Cached>, Error> {
        let unreadable = || Error::internal(format!("the object stored under {} cannot be read", entry.key));
        self.cache().read(entry).ok_or_else(unreadable)
    }
}

impl<K: Resource> Settled<K> {
    fn unchanged(current: &Current) -> Self {
        let object = Encoded::new(current.object.encoded.clone());
        Self { object, revision: current.object.revision, removed: false }
    }

    fn written(raw: &[u8], revision: Revision) -> Self {
        Self { object: Encoded::new(with_resource_version(raw, revision)), revision, removed: false }
    }
}

/// What is stored for an object.
pub(super) fn envelope<K: Resource>(raw: Bytes) -> Bytes {
    let (api_version, kind) = (K::INFO.api_version().into_owned(), K::INFO.kind.to_owned());
    Envelope { api_version, kind, raw }.encode()
}

/// What the store is told of a write: the span that it happens in is its cause.
pub(super) fn write_context(step: Option<Step>) -> WriteContext {
    WriteContext { origin: TraceContext::current(), step }
}

/// For what cannot fail a request any more, and only leaves something behind.
pub(super) fn log_left_behind(what: &str, error: &store::Error) {
    warn!(%error, what, "could not be cleaned up; a later repair will do it");
}
