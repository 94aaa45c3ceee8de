//! `tpctl`: starts and stops a cluster, works with its objects, and shows its traces.

mod bench;
mod cli;
mod cluster;
mod commands;
mod duration;
mod failure;
mod global;
mod health;
mod manifest;
mod objects;
mod pki;
mod print;
mod progress;
mod root_span;
mod session;
mod terminal;
mod trace;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
