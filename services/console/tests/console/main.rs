//! The console from outside: real clients, real ports, nothing of its insides.

// clippy allows it in test functions only, and what a test's harness meets ends the test just the same.
#![allow(clippy::unwrap_used)]

mod export;
mod harness;
mod load;
mod process;
mod query_grpc;
mod query_http;
