//! The contract between the apiserver and whatever keeps its objects.
//!
//! A store maps keys to opaque values and counts every committed write with one [`Revision`]. It knows
//! nothing of kinds, namespaces or JSON; it does know that a write has a cause, because the cause must
//! be committed by the very transaction that it explains.
//!
//! # Expected flow
//! List at the newest revision, then [`watch`](Store::watch) after the list's revision. Write with the
//! revision that was read. On [`Conflict`](crate::Error::Conflict) decide again on the entry in the error.
//!
//! # Guarantees
//! - Writes and [`get`](Store::get) are linearizable; a write that returned is durable.
//! - One write is one transaction and gets one revision of its own.
//! - A watch delivers every revision after its start that changed a key under the root, once, in order, all
//!   events of a revision together, each with its cause, over broken connections and restarts of the store.
//! - Every method may be cancelled by dropping its future. A dropped write may or may not be committed.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use telemetry::{Cause, Step, TraceContext};

use crate::{Result, Revision, WatchStream};

/// A key with its value, as of some revision.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The full key, for example `/registry/pods/default/web-0`.
    pub key: Arc<str>,
    /// The value exactly as it was given to the store (see [`envelope`](crate::envelope)).
    pub value: Bytes,
    /// The revision of the last write of this key: the object's `resourceVersion`.
    pub revision: Revision,
    /// The revision at which the key came to be; it stays the same until the key is deleted.
    pub create_revision: Revision,
    /// Who caused the last write, as [`Event::cause`](crate::Event::cause); when it was received is not known here.
    pub cause: Cause,
}

/// Which part of a prefix to list, and as of when.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The exact revision to read at; `None` is the newest one.
    pub revision: Option<Revision>,
    /// At most this many entries; `None` and zero are all of them.
    pub limit: Option<u64>,
    /// Only keys after this one: the last key of the page before.
    pub start_after: Option<Arc<str>>,
}

/// One page of a prefix, in order of the keys.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The entries of the page.
    pub entries: Vec<Entry>,
    /// The revision at which all of them were read. Ask for the next page at it; watch after it.
    pub revision: Revision,
    /// True if the limit cut the list short.
    pub more: bool,
    /// How many entries come after this page. Zero unless `more`.
    pub remaining: u64,
}

/// What a write tells the store about the work it belongs to.
#[derive(Clone, Debug, Default)]
pub struct WriteContext {
    /// The trace context to record as the cause. `Traced` replaces it by the context of the
    /// transaction's own span, so that effects hang under the commit.
    pub origin: TraceContext,
    /// The step of the journey that this commit is, for the transaction's span.
    pub step: Option<Step>,
}

/// A store of keys and opaque values with revisions, compare-and-swap and watch.
///
/// Keys are full keys under [`root`](Store::root). Values are [envelopes](crate::envelope).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What every key begins with, for example `/registry/`; ends with a slash.
    fn root(&self) -> &str;

    /// Reads one key as of now (linearizable).
    async fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// Reads the keys that begin with `prefix`, which must end with a slash, all at one revision.
    ///
    /// Errors: `Compacted`, `FutureRevision` (only if a revision was asked for).
    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Listing>;

    /// Writes a key that does not exist. Errors: `AlreadyExists`, `TooLarge`.
    async fn create(&self, key: &str, value: Bytes, context: &WriteContext) -> Result<Revision>;

    /// Replaces the value if the key is still at `expected`. Errors: `Conflict`, `NotFound`, `TooLarge`.
    async fn update(&self, key: &str, expected: Revision, value: Bytes, context: &WriteContext) -> Result<Revision>;

    /// Removes the key if it is still at `expected`. Errors: `Conflict`, `NotFound`.
    ///
    /// Any further precondition (uid, finalizers) is checked by the caller on the entry that it read at `expected`.
    async fn delete(&self, key: &str, expected: Revision, context: &WriteContext) -> Result<Revision>;

    /// Watches everything under the root, beginning with the first revision after `after`.
    ///
    /// There is no narrower watch: all caches share one order, and the causes of removals and the barrier
    /// lie outside any one resource's keys. Returns when the store has accepted the watch; the stream then
    /// resumes by itself when a connection breaks. It ends with `Compacted` if history it still needs is gone.
    async fn watch(&self, after: Revision) -> Result<WatchStream>;

    /// The newest committed revision (linearizable).
    async fn current_revision(&self) -> Result<Revision>;

    /// Commits a tiny write that changes no object, so that every watch is sure to pass the returned revision.
    ///
    /// For the rare consistent read that must wait for its cache while nobody else writes.
    async fn barrier(&self) -> Result<Revision>;

    /// Forgets history before `revision`; lists and watches from earlier ones get `Compacted`.
    ///
    /// Compacting again at the same or an earlier revision does nothing. Errors: `FutureRevision`.
    async fn compact(&self, revision: Revision) -> Result<()>;

    /// Says whether the store could commit a write now, within a few seconds.
    async fn ping(&self) -> Result<()>;
}
