//! Pod garbage collection: pods that nobody looks after any more.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection>
//!
//! A pod's object is removed by the kubelet of its node, so pods without one stay for ever: those whose node is gone, those that were
//! deleted before they had one, those on a node that an administrator declared out of service. And finished pods are kept for whoever wants to
//! read them, but not all of them.

pub mod controller;
pub mod plan;
