//! The node's side of a kubelet: its object, its lease, its condition.
//!
//! A node registers itself once, at the start, and from then on does two things on its own clock: it renews its lease, which is how others
//! see that it lives, and it reports its status when that has changed or five minutes have passed. Neither makes spans. See
//! [node heartbeats](https://kubernetes.io/docs/reference/node/node-status/#heartbeats).

mod heartbeat;
pub mod machine;
mod registration;
mod status;

#[cfg(test)]
mod tests;

pub use api::cidr;
pub use heartbeat::Heartbeat;
pub use registration::{NodeSpecifics, new_node, register};
pub use status::{Facts, allocatable, node_status};
