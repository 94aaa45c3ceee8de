//! The listener over real sockets: who gets through TLS, what requests know of their peer, how it ends, and what a client
//! is told when it gets no answer.
// Helper functions of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

#[path = "../../src/tls/testing.rs"]
mod testing;

mod support;

mod serving;
mod statuses;
mod tls;
