//! The store in etcd passes the conformance suite, each case on an etcd of its own.

use std::sync::Arc;

use store::{EtcdConfig, EtcdStore, Store};
use testkit::etcd::EtcdProcess;

async fn fixture() -> (EtcdProcess, Arc<dyn Store>) {
    let etcd = EtcdProcess::start().await;
    let store = EtcdStore::new(&EtcdConfig::new([etcd.endpoint()])).expect("the settings are right");
    (etcd, Arc::new(store))
}

store::conformance!(crate::fixture);
