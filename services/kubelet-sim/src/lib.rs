//! The kubelet, with a simulated runtime in the box.
//!
//! ```text
//!  apiserver ──watch──> app ──> pod::Workers (one per node) ──> worker (one per pod) ──status──> apiserver
//!                                        ^                           │  asks
//!                                        │ events                    v
//!                               runtime (CRI seam) <──actions── lifecycle (pure)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`lifecycle`] | what comes next for a pod: a state machine without I/O or clock |
//! | [`pod`] | carrying that out: workers, spans, status, events |
//! | [`runtime`] | the seam to the container runtime, and the virtual engine behind it |
//! | [`node`] | the node's object, lease and condition |
//! | [`app`] | the only wiring |
//!
//! Invariants: a pod runs on the node that it is bound to and no other; its object is deleted only when nothing of it is left in the
//! runtime; a kubelet that restarts finds its containers as it left them. This crate never talks to etcd, nor to another service.

pub mod app;
pub mod config;
pub mod cri;
pub mod lifecycle;
pub mod node;
pub mod pod;
pub mod runtime;

pub use config::Config;
