//! ReplicaSets: so many pods of a template, whatever happens to them.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/>
//!
//! A pod that is on its way out does not count, so a deleted pod is replaced as soon as its deletion is committed, not when it is gone.
//! Expectations keep a run from acting on a cache that does not show the run before: no pod is made twice.

pub mod controller;
mod events;
pub mod plan;
mod ranking;
mod slow_start;
mod status;
