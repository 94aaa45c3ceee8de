//! The registry: what a create, an update or a delete means, the same for every kind.
//!
//! ```text
//!   front ──request──▶ Registry<K> ──▶ admission ──▶ Strategy<K> ──▶ one transaction ──▶ store
//!                          │                                                              │
//!                          └────── gets, lists, watches ◀────── cache ◀────one watch──────┘
//! ```
//!
//! One generic registry serves all kinds; a `Strategy` says what is particular about one, in a small file under `kinds`, and one
//! line in `registries` registers it. Every write is one transaction that compares the revision that was decided on
//! (`write`), carries the trace that caused it, and answers with the revision that it got.
//!
//! The registry does not know who may ask, and no transport.

mod admission;
mod answer;
mod bind;
mod cluster_ips;
mod create;
mod delete;
mod errors;
mod housekeeping;
mod intent;
mod kinds;
mod metadata;
mod options;
mod paging;
mod patch;
mod read;
mod registries;
mod service_range;
mod storage;
mod strategy;
mod update;
mod write;

#[cfg(test)]
mod tests;

pub use admission::{Admission, AdmitAll, AnyObject, Attributes, Operation};
pub use answer::{Deleted, Encoded, ListAnswer};
pub use registries::Registries;
pub use service_range::ServiceRange;
pub use storage::{Lookup, Settings, Storage};

use std::sync::Arc;

use api::Resource;
use jiff::Timestamp;
use service_kit::Clock;
use store::Store;

use crate::cache::Cache;
use strategy::Strategy;

/// The server side of one kind. Cheap to clone.
pub struct Registry<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    strategy: Arc<dyn Strategy<K>>,
    cache: Cache,
    storage: Storage,
    admission: Arc<dyn Admission>,
    clock: Clock,
}

impl<K: Resource> Registry<K> {
    fn new(strategy: Arc<dyn Strategy<K>>, storage: Storage, admission: Arc<dyn Admission>, clock: Clock) -> Self {
        let cache = storage.cache(K::INFO);
        Self { shared: Arc::new(Shared { strategy, cache, storage, admission, clock }) }
    }

    fn key(&self, namespace: &str, name: &str) -> String {
        let namespace = if K::INFO.namespaced { namespace } else { "" };
        self.cache().layout().key(namespace, name)
    }

    fn strategy(&self) -> &dyn Strategy<K> {
        self.shared.strategy.as_ref()
    }

    fn cache(&self) -> &Cache {
        &self.shared.cache
    }

    fn storage(&self) -> &Storage {
        &self.shared.storage
    }

    fn store(&self) -> &dyn Store {
        self.shared.storage.store().as_ref()
    }

    fn admission(&self) -> &dyn Admission {
        self.shared.admission.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

impl<K> Clone for Registry<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> std::fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({})", self.shared.cache.layout().prefix)
    }
}
