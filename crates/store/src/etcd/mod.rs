//! The store in etcd (v3 API, 3.4 and newer).
//!
//! Invariant: every write is one etcd transaction that compares `mod_revision`, and its cause is committed by
//! that transaction. Nothing is cached here: every read is etcd's own answer, linearizable.
//!
//! It does not retry what may have been committed; the caller knows whether that is safe.

mod config;
mod error;
mod join;
mod list;
mod members;
mod rpc;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use telemetry::TraceContext;

pub use config::{EtcdConfig, EtcdTls};

use crate::envelope::{open, seal};
use crate::keys::{Keys, barrier_value, removal_record};
use crate::{Entry, Error, ListOptions, Listing, Result, Revision, Store, WatchStream, WriteContext};
use members::{Members, Request};
use rpc::{
    CompactionRequest, Compare, KeyValue, RangeRequest, RequestOp, Response, ResponseHeader, TxnRequest, TxnResponse,
};

/// A [`Store`] in etcd. Cheap to share behind an `Arc`; any number of requests run at once.
pub struct EtcdStore {
    keys: Keys,
    members: Arc<Members>,
}

impl EtcdStore {
    /// Prepares a store for this etcd. Connects at the first request, so this succeeds while etcd is down;
    /// only wrong settings are an error. [`ping`](Store::ping) says whether etcd is there.
    pub fn new(config: &EtcdConfig) -> Result<Self> {
        Ok(Self { keys: Keys::new(&config.root), members: Arc::new(Members::prepare(config)?) })
    }

    async fn commit(&self, txn: TxnRequest) -> Result<TxnResponse> {
        let answer = self
            .members
            .call(Request::Once, |mut kv| {
                let txn = txn.clone();
                async move { kv.txn(txn).await }
            })
            .await?;
        Ok(answer)
    }

    /// Runs a transaction on an existing key: `change` if it is still at `expected`, else reads what it is now.
    async fn compare_and(&self, key: &str, expected: Revision, change: Vec<RequestOp>) -> Result<Revision> {
        let txn = TxnRequest {
            // Without the second, revision 0 would match a key that does not exist.
            compare: vec![Compare::changed_at(key, expected.get()), Compare::exists(key)],
            success: change,
            failure: vec![RequestOp::get(key)],
        };
        let answer = self.commit(txn).await?;
        if answer.succeeded {
            return revision_of(answer.header);
        }
        match current(answer)? {
            Some(current) => Err(Error::Conflict { expected, current: Box::new(current) }),
            None => Err(Error::NotFound { key: key.into() }),
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    fn root(&self) -> &str {
        self.keys.root()
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let read = RangeRequest::one(key);
        let mut answer = self.members.read(read).await?;
        answer.kvs.pop().map(entry).transpose()
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Listing> {
        self.keys.check_prefix(prefix)?;
        list::list(&self.members, &self.keys, prefix, options).await
    }

    async fn create(&self, key: &str, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.keys.check_key(key)?;
        let value = seal(&value, &context.origin, Timestamp::now())?;
        let size = value.len();
        let txn = TxnRequest {
            compare: vec![Compare::changed_at(key, 0)],
            success: vec![RequestOp::put(key, value)],
            failure: Vec::new(),
        };
        let answer = self.commit(txn).await.map_err(|error| sized(error, key, size))?;
        if !answer.succeeded {
            return Err(Error::AlreadyExists { key: key.into() });
        }
        revision_of(answer.header)
    }

    async fn update(&self, key: &str, expected: Revision, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.keys.check_key(key)?;
        let value = seal(&value, &context.origin, Timestamp::now())?;
        let size = value.len();
        self.compare_and(key, expected, vec![RequestOp::put(key, value)]).await.map_err(|error| sized(error, key, size))
    }

    async fn delete(&self, key: &str, expected: Revision, context: &WriteContext) -> Result<Revision> {
        self.keys.check_key(key)?;
        // A deletion has no value that could carry the cause, so a second key of the same transaction does.
        let record = seal(&removal_record(key), &context.origin, Timestamp::now())?;
        let change = vec![RequestOp::delete(key), RequestOp::put(&self.keys.removal_of(key), record)];
        self.compare_and(key, expected, change).await
    }

    async fn watch(&self, after: Revision) -> Result<WatchStream> {
        watch::watch(self.members.clone(), self.keys.clone(), after).await
    }

    async fn current_revision(&self) -> Result<Revision> {
        current_revision(&self.members, &self.keys).await
    }

    async fn barrier(&self) -> Result<Revision> {
        let value = seal(&barrier_value(), &TraceContext::NONE, Timestamp::now())?;
        let txn = TxnRequest { success: vec![RequestOp::put(&self.keys.barrier(), value)], ..TxnRequest::default() };
        let answer = self.commit(txn).await?;
        revision_of(answer.header)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        let compaction = CompactionRequest { revision: revision.get() };
        let compacted =
            self.members.call(Request::Repeatable, |mut kv| async move { kv.compact(compaction).await }).await;
        match compacted.map_err(Error::from) {
            // Somebody was here before, perhaps another apiserver: just what was wanted.
            Ok(_) | Err(Error::Compacted { .. }) => Ok(()),
            Err(Error::FutureRevision { .. }) => Err(Error::FutureRevision { requested: revision }),
            Err(error) => Err(error),
        }
    }

    async fn ping(&self) -> Result<()> {
        // A linearizable read needs the quorum that a write needs.
        self.current_revision().await.map(drop)
    }
}

/// The revision of a linearizable read that returns no data.
async fn current_revision(members: &Members, keys: &Keys) -> Result<Revision> {
    let read = RangeRequest { keys_only: true, ..RangeRequest::one(&keys.barrier()) };
    revision_of(members.read(read).await?.header)
}

fn revision_of(header: Option<ResponseHeader>) -> Result<Revision> {
    header
        .map(|header| Revision::new(header.revision))
        .ok_or_else(|| Error::Internal("etcd answered without a header".to_owned()))
}

/// The entry that the else-branch of a refused transaction read.
fn current(mut answer: TxnResponse) -> Result<Option<Entry>> {
    match answer.responses.pop().and_then(|response| response.response) {
        Some(Response::ResponseRange(mut read)) => read.kvs.pop().map(entry).transpose(),
        _ => Err(Error::Internal("etcd answered a transaction without the read it asked for".to_owned())),
    }
}

fn entry(kv: KeyValue) -> Result<Entry> {
    let revision = Revision::new(kv.mod_revision);
    let (value, cause) = open(kv.value, revision);
    Ok(Entry { key: key_of(&kv.key)?, value, revision, create_revision: Revision::new(kv.create_revision), cause })
}

fn key_of(key: &[u8]) -> Result<Arc<str>> {
    std::str::from_utf8(key)
        .map(Arc::from)
        .map_err(|_| Error::Internal(format!("etcd holds a key that is not text: {}", key.escape_ascii())))
}

/// Completes the error of a write with what the write knows.
fn sized(error: Error, key: &str, size: usize) -> Error {
    match error {
        Error::TooLarge { limit, .. } => Error::TooLarge { key: key.into(), size, limit },
        other => other,
    }
}
