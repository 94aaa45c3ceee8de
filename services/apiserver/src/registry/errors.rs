//! What the store cannot do, in the words of the API.

use api::{Error, KindInfo};

/// How long to wait for a store that does not answer, in seconds.
const RETRY_AFTER: u32 = 1;

/// The store's error about one object.
pub(super) fn of_object(kind: &KindInfo, name: &str, error: store::Error) -> Error {
    match error {
        store::Error::NotFound { .. } => Error::not_found(kind.group, kind.plural, name),
        store::Error::AlreadyExists { .. } => Error::already_exists(kind.group, kind.plural, name),
        store::Error::Conflict { .. } => Error::modified(kind.group, kind.plural, name),
        other => general(other),
    }
}

/// The store's error about anything else.
pub(super) fn general(error: store::Error) -> Error {
    match error {
        store::Error::TooLarge { .. } => Error::too_large(error),
        store::Error::Unavailable { message, in_doubt } => {
            // The store's own message says what to do.
            let what = if in_doubt { "did not confirm the write" } else { "does not answer" };
            Error::unavailable(format!("the store {what}: {message}")).retry_after(RETRY_AFTER)
        }
        store::Error::Compacted { .. } => Error::expired("The resourceVersion for the provided list is too old."),
        store::Error::FutureRevision { requested } => {
            Error::too_large_resource_version(requested.get(), 0, RETRY_AFTER)
        }
        other => Error::internal(other),
    }
}
