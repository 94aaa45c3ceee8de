//! The store in memory passes the conformance suite.

use std::sync::Arc;

use store::{MemoryStore, Store};

async fn fixture() -> ((), Arc<dyn Store>) {
    ((), Arc::new(MemoryStore::new()))
}

store::conformance!(crate::fixture);
