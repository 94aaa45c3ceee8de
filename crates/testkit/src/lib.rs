//! What tests are built from.

pub mod etcd;
