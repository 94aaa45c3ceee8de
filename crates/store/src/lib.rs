//! Where the apiserver keeps its objects: one trait, [`Store`], in etcd and in memory.
//!
//! Invariant: every committed write has one revision, and every revision carries its cause, so that a
//! watcher can continue the trace of whoever wrote (removals included). Both implementations pass the same
//! conformance suite.
//!
//! This crate knows no kinds and no JSON, makes no policy (what to retry, what to validate), and is used
//! by the apiserver alone. Only this crate names etcd.

mod error;
mod event;
mod keys;
mod revision;
mod store;

#[cfg(feature = "testing")]
pub mod conformance;
pub mod envelope;
mod etcd;
mod memory;
mod traced;

pub use error::{Error, Result};
pub use etcd::{EtcdConfig, EtcdStore, EtcdTls};
pub use event::{Batch, Event, EventKind, WatchStream};
pub use memory::MemoryStore;
pub use revision::Revision;
pub use store::{Entry, ListOptions, Listing, Store, WriteContext};
pub use traced::Traced;
