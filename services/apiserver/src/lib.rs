//! The apiserver: the one part of the cluster that writes to the store, and the place where everybody else meets.
//!
//! ```text
//! TLS ─ server (the stack of layers) ─ rpc (a call's kind and method) ─ registry ─ store
//!         └ auth: who asks, may they       admission ┘      └ cache: what reads and watches are served from
//! ```
//!
//! Invariants: nothing is stored that was not authenticated, authorized, admitted and validated; every write is one transaction
//! that carries its cause; reads and watches come from one ordered history. It runs nothing: no controller, no scheduling.

pub mod admission;
mod app;
pub mod auth;
mod bootstrap;
pub mod cache;
pub mod config;
pub mod kubelet;
pub mod patch;
pub mod registry;
pub mod request;
pub mod rpc;
pub mod server;

pub use app::{Error, Handle, serve};
pub use config::Config;
