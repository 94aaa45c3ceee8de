//! Pod eviction without taints: what Kubernetes did with `--enable-taint-manager=false`, up to 1.26.
//! <https://github.com/kubernetes/enhancements/issues/166>
//!
//! A node that is not ready for `--pod-eviction-timeout` is given up: all its pods are marked `NodeLost` and deleted, whatever they tolerate;
//! only a DaemonSet's stay. Their kubelet does not answer, so they stay `Unknown` in `tpctl get` until it returns or the node is deleted.
//! Today's Kubernetes asks each pod how long it bears the node ([`tainteviction`](crate::tainteviction)) and marks nothing.

pub mod controller;
pub mod plan;
