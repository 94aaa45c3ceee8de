//! What `describe` says, in kubectl's layout: one module per kind that has a layout of its own, [`generic`] for the others.
//!
//! The functions get everything they show as arguments; who gathers it is `commands::describe`.

mod container;
mod events;
mod generic;
mod metadata;
mod node;
mod pod;
mod service;
mod volume;
mod workload;
mod writer;

pub(crate) use generic::generic;
pub(crate) use node::node;
pub(crate) use pod::pod;
pub(crate) use service::service;
pub(crate) use workload::{deployment, pod_template, replica_set};
