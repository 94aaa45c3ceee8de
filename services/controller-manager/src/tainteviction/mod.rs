//! Taint eviction: pods leave a node whose NoExecute taints they do not bear, at once or after as long as they bear them.
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>
//!
//! The time counts from when the taint was added, so that it goes on while the controller-manager is down.

pub mod controller;
pub mod plan;
