//! Every version of every key since the last compaction. Pure: no lock, no clock, no waiting.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::open;
use crate::{Batch, Entry, Error, Event, EventKind, ListOptions, Listing, Result, Revision};

pub(super) struct History {
    revision: Revision,
    /// The revision of the last compaction: the oldest that can be listed or watched from.
    compacted: Revision,
    /// The versions of each key, oldest first.
    versions: BTreeMap<Arc<str>, Vec<Version>>,
    /// What watches deliver, oldest first; begins at `compacted`.
    log: VecDeque<Batch>,
}

/// What a write does, and to which revision of the key.
pub(super) enum Change {
    Create(Bytes),
    Update(Revision, Bytes),
    Delete(Revision),
}

struct Version {
    revision: Revision,
    create_revision: Revision,
    /// `None` from the removal of the key on.
    stored: Option<Bytes>,
}

impl Default for History {
    /// As etcd, which is at revision 1 before its first write.
    fn default() -> Self {
        Self { revision: Revision::new(1), compacted: Revision::NONE, versions: BTreeMap::new(), log: VecDeque::new() }
    }
}

impl Change {
    /// The value to store with the cause; for a removal only the cause matters.
    pub(super) fn value(&self) -> &[u8] {
        match self {
            Self::Create(value) | Self::Update(_, value) => value,
            Self::Delete(_) => crate::envelope::EMPTY,
        }
    }
}

impl History {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let (key, versions) = self.versions.get_key_value(key)?;
        versions.last()?.entry(key)
    }

    pub(super) fn list(&self, prefix: &str, options: &ListOptions) -> Result<Listing> {
        let at = options.revision.unwrap_or(self.revision);
        if at > self.revision {
            return Err(Error::FutureRevision { requested: at });
        }
        if at < self.compacted {
            return Err(self.compacted(at));
        }
        let from = match options.start_after.as_deref() {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(prefix),
        };
        let mut entries: Vec<Entry> = self
            .versions
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| {
                let older = versions.partition_point(|version| version.revision <= at);
                versions[..older].last()?.entry(key)
            })
            .collect();
        let total = entries.len();
        if let Some(limit) = options.limit.filter(|limit| *limit > 0) {
            entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let remaining = (total - entries.len()) as u64;
        Ok(Listing { entries, revision: at, more: remaining > 0, remaining })
    }

    /// Applies the change if the key is in the state that it asks for. `stored` is the value with its cause.
    pub(super) fn commit(&mut self, key: Arc<str>, change: Change, stored: Bytes) -> Result<Revision> {
        let current = self.get(&key);
        let created = match (&change, current) {
            (Change::Create(_), None) => None,
            (Change::Create(_), Some(_)) => return Err(Error::AlreadyExists { key }),
            (_, None) => return Err(Error::NotFound { key }),
            (Change::Update(expected, _) | Change::Delete(expected), Some(current)) => {
                if current.revision != *expected {
                    let (expected, current) = (*expected, Box::new(current));
                    return Err(Error::Conflict { expected, current });
                }
                Some(current.create_revision)
            }
        };
        let revision = self.revision.next();
        let removed = matches!(change, Change::Delete(_));
        let (value, cause) = open(stored.clone(), revision);
        let (kind, value) = match removed {
            true => (EventKind::Removed, Bytes::new()),
            false => (EventKind::Put { created: created.is_none() }, value),
        };
        self.versions.entry(key.clone()).or_default().push(Version {
            revision,
            create_revision: created.unwrap_or(revision),
            stored: (!removed).then_some(stored),
        });
        self.push(vec![Event { key, revision, kind, value, cause }]);
        Ok(revision)
    }

    /// A revision in which nothing happened.
    pub(super) fn barrier(&mut self) -> Revision {
        self.push(Vec::new());
        self.revision
    }

    fn push(&mut self, events: Vec<Event>) {
        self.revision = self.revision.next();
        self.log.push_back(Batch { revision: self.revision, events });
    }

    /// The oldest batch after this revision, if there is one yet.
    pub(super) fn after(&self, revision: Revision) -> Result<Option<&Batch>> {
        if revision.next() < self.compacted {
            return Err(self.compacted(revision.next()));
        }
        let position = self.log.partition_point(|batch| batch.revision <= revision);
        Ok(self.log.get(position))
    }

    pub(super) fn compact(&mut self, revision: Revision) -> Result<()> {
        if revision > self.revision {
            return Err(Error::FutureRevision { requested: revision });
        }
        if revision <= self.compacted {
            return Ok(());
        }
        self.compacted = revision;
        let kept = self.log.partition_point(|batch| batch.revision < revision);
        self.log.drain(..kept);
        self.versions.retain(|_, versions| {
            // What a list at `revision` shows is the oldest version that is still needed.
            let older = versions.partition_point(|version| version.revision <= revision);
            versions.drain(..older.saturating_sub(1));
            !(versions.len() == 1 && versions[0].stored.is_none() && older == 1)
        });
        Ok(())
    }

    fn compacted(&self, requested: Revision) -> Error {
        Error::Compacted { requested, compact_revision: Some(self.compacted) }
    }
}

impl Version {
    fn entry(&self, key: &Arc<str>) -> Option<Entry> {
        let (value, cause) = open(self.stored.clone()?, self.revision);
        Some(Entry { key: key.clone(), value, revision: self.revision, create_revision: self.create_revision, cause })
    }
}
