//! `tpctl`: starts and stops a cluster, works with its objects, and shows its traces.

mod cli;
mod cluster;
mod health;
mod pki;
mod progress;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
