//! The store in memory, for tests of services: etcd's behaviour without etcd.
//!
//! It keeps history, so lists at a revision, watches from one and compaction behave as in etcd. It is not durable,
//! and it is one lock around one [`History`].

mod history;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch::Sender;

use crate::envelope::seal;
use crate::keys::Keys;
use crate::{Entry, Error, ListOptions, Listing, Result, Revision, Store, WatchStream, WriteContext};
use history::{Change, History};

/// etcd's default limit on one request.
const MAX_REQUEST_BYTES: usize = 3 << 19;

/// A [`Store`] in memory. Clones are the same store, as two clients of one etcd are.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    keys: Keys,
    state: Mutex<State>,
    /// Changes whenever a watch may have something to do.
    news: Sender<()>,
}

struct State {
    history: History,
    available: bool,
    answers_writes: bool,
}

impl MemoryStore {
    /// An empty store under `/registry/`.
    pub fn new() -> Self {
        let state = State { history: History::default(), available: true, answers_writes: true };
        Self {
            shared: Arc::new(Shared { keys: Keys::new("/registry/"), state: Mutex::new(state), news: Sender::new(()) }),
        }
    }

    /// Makes the store behave as an etcd that is down, or up again. Down, every request is refused as
    /// `Unavailable` and watches are silent; nothing is forgotten.
    pub fn set_available(&self, available: bool) {
        self.shared.state.lock().available = available;
        self.shared.news.send_replace(());
    }

    /// Makes the store behave as an etcd whose connection breaks between each commit and its answer: what is written is
    /// there, and whoever wrote it is left in doubt.
    pub fn lose_answers_to_writes(&self) {
        self.shared.state.lock().answers_writes = false;
    }

    fn commit(&self, key: &str, change: Change, context: &WriteContext) -> Result<Revision> {
        self.shared.keys.check_key(key)?;
        let key: Arc<str> = key.into();
        let now = Timestamp::now();
        let sealed = seal(change.value(), &context.origin, now)?;
        if key.len() + sealed.len() > MAX_REQUEST_BYTES {
            return Err(Error::TooLarge { key, size: sealed.len(), limit: "1.5 MiB, as in etcd" });
        }
        let (revision, is_answered) = {
            let mut state = self.shared.enter()?;
            (state.history.commit(key, change, sealed)?, state.answers_writes)
        };
        self.shared.news.send_replace(());
        if is_answered { Ok(revision) } else { Err(unavailable("lost the answer", true)) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn enter(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.available {
            return Ok(state);
        }
        Err(unavailable("has been made unavailable", false))
    }
}

fn unavailable(what: &str, in_doubt: bool) -> Error {
    Error::Unavailable { message: format!("the store in memory {what}"), in_doubt }
}

#[async_trait]
impl Store for MemoryStore {
    fn root(&self) -> &str {
        self.shared.keys.root()
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.shared.enter()?.history.get(key))
    }

    async fn list(&self, prefix: &str, options: ListOptions) -> Result<Listing> {
        self.shared.keys.check_prefix(prefix)?;
        self.shared.enter()?.history.list(prefix, &options)
    }

    async fn create(&self, key: &str, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.commit(key, Change::Create(value), context)
    }

    async fn update(&self, key: &str, expected: Revision, value: Bytes, context: &WriteContext) -> Result<Revision> {
        self.commit(key, Change::Update(expected, value), context)
    }

    async fn delete(&self, key: &str, expected: Revision, context: &WriteContext) -> Result<Revision> {
        self.commit(key, Change::Delete(expected), context)
    }

    async fn watch(&self, after: Revision) -> Result<WatchStream> {
        drop(self.shared.enter()?);
        Ok(watch::watch(self.shared.clone(), after))
    }

    async fn current_revision(&self) -> Result<Revision> {
        Ok(self.shared.enter()?.history.revision())
    }

    async fn barrier(&self) -> Result<Revision> {
        let revision = self.shared.enter()?.history.barrier();
        self.shared.news.send_replace(());
        Ok(revision)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.shared.enter()?.history.compact(revision)?;
        self.shared.news.send_replace(());
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        self.shared.enter().map(drop)
    }
}
