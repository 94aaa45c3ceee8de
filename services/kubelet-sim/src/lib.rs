//! The kubelet, with two container runtimes in the box and a way to any other.
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
//! | [`runtime`] | the seam to the container runtime, and what may stand behind it |
//! | [`static_pods`] | pods from files of the node, and their mirrors in the API |
//! | [`server`] | what the apiserver asks for: logs, exec, attach, port-forward |
//! | [`node`] | the node's object, lease and condition |
//! | [`eviction`], [`image_gc`], [`shutdown`] | how a node keeps room for itself, and how it ends |
//! | [`app`] | the only wiring |
//!
//! Invariants: a pod runs on the node that it is bound to and no other; its object is deleted only when nothing of it is left in the
//! runtime; a kubelet that restarts finds its containers as it left them. This crate never talks to etcd, nor to another service.

pub mod app;
pub mod config;
pub mod cri;
pub mod eviction;
pub mod image_gc;
pub mod lifecycle;
pub mod node;
pub mod pod;
pub mod runtime;
pub mod server;
pub mod shutdown;
pub mod static_pods;

pub use config::Config;
