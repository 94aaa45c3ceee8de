//! Node IPAM: every node gets a range of its own for its pods' addresses, out of the cluster's.
//! <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/>
//!
//! ```text
//! node without a range --> the next free one --> spec.podCIDR, spec.podCIDRs --> (its kubelet)
//! node with a range    --> taken
//! node gone            --> free again
//! ```
//!
//! What is taken is remembered here and nowhere else; a new leader learns it from the nodes before its workers start. A range is used
//! again as late as possible, and no two nodes ever have the same: whatever a node says that it has is not given to another.

pub mod controller;
pub mod ranges;
