//! Informers, elections and recorders against an apiserver whose answers the test scripts. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod informer;
mod leader;
mod objects;
mod recorder;
mod runner;
