//! Lists in pages, so that a hundred thousand objects never make one giant answer.
//!
//! All pages are read at the revision of the first. The number of entries per page follows their size, since
//! etcd limits by number only.

use bytes::Bytes;

use super::members::{Members, Refused};
use super::rpc::{RangeRequest, bytes, end_of};
use super::{entry, revision_of};
use crate::keys::Keys;
use crate::{Error, ListOptions, Listing, Result, Revision};

/// What one page should weigh: large enough that etcd's cost per request does not show, small enough that
/// other requests on the connection do not wait long.
const PAGE_BYTES: usize = 4 << 20;
/// The first page, before the size of the entries is known.
const FIRST_PAGE: u64 = 500;
/// No page asks for more, however small the entries are.
const LARGEST_PAGE: u64 = 10_000;

pub(super) async fn list(members: &Members, keys: &Keys, prefix: &str, options: ListOptions) -> Result<Listing> {
    let end = end_of(prefix);
    let mut from = match &options.start_after {
        Some(key) => after(key.as_bytes()),
        None => bytes(prefix),
    };
    let mut wanted = options.limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
    let mut page = FIRST_PAGE;
    let mut revision = options.revision.unwrap_or(Revision::NONE);
    let mut entries = Vec::new();
    loop {
        let limit = page.min(wanted);
        let range = RangeRequest {
            key: from.clone(),
            range_end: end.clone(),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            revision: revision.get(),
            keys_only: false,
        };
        let answer = match members.read(range).await {
            Ok(answer) => answer,
            Err(Refused::AnswerTooLarge) if limit > 1 => {
                page = limit / 2;
                continue;
            }
            Err(refused) => return Err(asked_for(refused.into(), revision)),
        };
        if revision.is_none() {
            revision = revision_of(answer.header)?;
        }
        let read = answer.kvs.len() as u64;
        if let Some(last) = answer.kvs.last() {
            from = after(&last.key);
            let bytes: usize = answer.kvs.iter().map(|kv| kv.value.len() + kv.key.len()).sum();
            page = (PAGE_BYTES * answer.kvs.len() / bytes.max(1)) as u64;
            page = page.clamp(1, LARGEST_PAGE);
        }
        for kv in answer.kvs {
            let entry = entry(kv)?;
            if !keys.is_own(&entry.key) {
                wanted -= 1;
                entries.push(entry);
            }
        }
        if !answer.more || wanted == 0 {
            let count = u64::try_from(answer.count).unwrap_or(0);
            let remaining = if answer.more { count.saturating_sub(read) } else { 0 };
            return Ok(Listing { entries, revision, more: answer.more, remaining });
        }
    }
}

/// The first key after this one.
fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// etcd does not repeat the revision that was asked for.
fn asked_for(error: Error, requested: Revision) -> Error {
    match error {
        Error::Compacted { compact_revision, .. } => Error::Compacted { requested, compact_revision },
        Error::FutureRevision { .. } => Error::FutureRevision { requested },
        other => other,
    }
}
