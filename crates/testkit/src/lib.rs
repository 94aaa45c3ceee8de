//! What tests are built from: a real etcd, a whole cluster, an apiserver that says what the test tells it, certificates, a collector of
//! spans, and the checks that every journey must pass.
//!
//! Waiting is level-triggered and bounded everywhere ([`eventually`]): a test says what must become true, and a failure says what was true
//! last. Errors are panics: a test has nobody to hand them to.

pub mod cluster;
pub mod collector;
pub mod containerd;
pub mod etcd;
pub mod journey;
pub mod objects;
pub mod pki;
pub mod scripted;
mod skip;
mod wait;

pub use skip::{has, is_root, skip};
pub use wait::eventually;
