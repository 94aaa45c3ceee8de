//! A typed client of the apiserver.
//!
//! [`Client`] is one connection with one identity, read from a [`Kubeconfig`]; [`Api`] is a kind seen through it. Answers and errors are
//! those of the `api` crate: transport problems become `ServiceUnavailable`, with a message that names the server and what to check. Every
//! call ends within a time, and what is safe to try again is, a few times (`again`).
//!
//! Every call makes a client span and sends its trace context along, unless the [`Api`] is [untraced](Api::untraced), as heartbeats and the
//! lists and watches of informers are. This crate keeps no copy of anything: caches live in `controller`.

mod again;
mod api_of;
mod call;
mod connect;
mod connection;
mod kubeconfig;
mod pod_streams;
mod watch;

pub use api_of::{Api, Patch};
pub use connect::ConnectError;
pub use connection::{Client, Role};
pub use kubeconfig::{Cluster, Context, Kubeconfig, KubeconfigError, Named, Session, User};
pub use pod_streams::{PodStream, Sender};
pub use watch::{INITIAL_EVENTS_END, WatchEvent, WatchStream};
