//! Node lifecycle: who is silent is not trusted any more.
//! <https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller>
//!
//! ```text
//! lease renewed, status posted --> sign of life --+
//! timer per node --> silent too long? ------------+--> conditions Unknown --> taints --> (taint eviction)
//!                                                                        \-> pods of the node not ready
//! ```
//!
//! Signs of life only move a time; nobody looks at a node that lives until the time since its last sign could be over. How long a node is
//! silent is measured by our own clock from when we saw the sign, so clocks need not agree, and a controller-manager that was down itself
//! gives every node its full grace period. If no node at all is ready, the trouble is more likely ours: then nothing is evicted.

pub mod controller;
pub mod plan;
mod signs;
pub mod taints;
