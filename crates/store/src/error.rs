//! What can go wrong, sorted by what the caller can do about it.
//!
//! Callers branch on variants, never on text. No variant knows gRPC or HTTP: the apiserver maps
//! them to the API's errors in one place.

use std::sync::Arc;

use crate::{Entry, Revision};

/// The result of every operation of a [`Store`](crate::Store).
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An update or delete named a key that does not exist (any more).
    #[error("{key} does not exist")]
    NotFound {
        /// The key that was asked for.
        key: Arc<str>,
    },

    /// A create named a key that exists.
    #[error("{key} already exists")]
    AlreadyExists {
        /// The key that was asked for.
        key: Arc<str>,
    },

    /// The key changed since the caller read it. Decide again on `current`; no second read is needed.
    #[error("{} has changed: its revision is {}, not {expected}", current.key, current.revision)]
    Conflict {
        /// The revision the caller expected.
        expected: Revision,
        /// The entry as the refused transaction itself found it.
        current: Box<Entry>,
    },

    /// The history asked for has been compacted away. List anew and watch from the list's revision.
    #[error("revision {requested} is no longer available: history was compacted{}", at(.compact_revision))]
    Compacted {
        /// The oldest revision the caller needed.
        requested: Revision,
        /// The revision of the compaction, where the store says it (etcd does for watches only).
        compact_revision: Option<Revision>,
    },

    /// The revision asked for has not been written yet: it is from another store, or made up.
    #[error("revision {requested} does not exist yet")]
    FutureRevision {
        /// The revision the caller asked for.
        requested: Revision,
    },

    /// The value is larger than the store accepts. Nothing was written; sending it again cannot help.
    #[error("{key}: a value of {size} bytes is larger than the store accepts ({limit})")]
    TooLarge {
        /// The key that was to be written.
        key: Arc<str>,
        /// The size of the value in bytes, its cause included.
        size: usize,
        /// What is known about the limit, and where it is set.
        limit: &'static str,
    },

    /// The store cannot be reached or cannot answer now. Retry after a pause.
    #[error("{message}")]
    Unavailable {
        /// Which endpoint, what happened, and what to look at.
        message: String,
        /// True if this was a write that may have been committed all the same: read before you write again.
        in_doubt: bool,
    },

    /// A defect or a damaged store: retrying does not help.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// True if the same request may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

fn at(revision: &Option<Revision>) -> String {
    revision.map(|r| format!(" at {r}")).unwrap_or_default()
}
