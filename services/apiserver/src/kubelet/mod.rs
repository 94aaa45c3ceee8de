//! The way to kubelets, for what only they can answer: logs, exec, attach, port-forward.
//!
//! ```text
//! first message ─ target: which container, on which node      (pure)
//!                 address: where the node's object says it is  (pure)
//!                 dial: a connection of its own, mutual TLS
//!                 relay: everything after the first message, byte for byte
//! ```
//!
//! Invariants: every stream has a connection of its own, so that one whose reader is slow holds up no other; nothing is buffered
//! beyond HTTP/2's windows; when either side goes away the connection goes too, and with it the other side's stream.
//!
//! It does not know what the messages after the first one say, and keeps no connections.

mod address;
mod dial;
mod relay;
mod target;

pub use dial::Kubelets;
pub(crate) use relay::Ending;
pub(crate) use target::{Place, complete};
