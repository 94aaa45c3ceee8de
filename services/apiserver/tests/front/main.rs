//! The apiserver as its clients see it: real TLS on a real port, tonic's own client, the store in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contract;
mod harness;
mod identity;
mod limits;
mod objects;
mod standard;
mod start;
mod streams;
mod traces;
