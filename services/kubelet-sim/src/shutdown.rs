//! Graceful node shutdown: pods end in order before their kubelet does.
//!
//! Asked to stop, a kubelet with a shutdown grace period says that its node is not ready, takes no more pods, and ends those that it has,
//! group by group: the lowest priorities first, critical pods last. Each group has its own time, of which a pod gets at most its own grace
//! period; what is left of a group's time when all its pods have ended is saved. Without a grace period, which is the default, the kubelet
//! just ends, and its pods run on. See
//! [graceful node shutdown](https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#graceful-node-shutdown).

mod order;
mod run;

pub use order::{Group, Periods, groups};
pub use run::end_pods;
