//! The project's own chores, which the Makefile names: the demo, all tests, all checks.
//!
//! They do what a person would type and look at what a person would see, so they use the built programs and no code of theirs.

mod check;
mod demo;
mod directions;
mod links;
#[cfg(test)]
mod scenarios;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Deploy nginx, delete one of its pods, and show both journeys.
    Demo(demo::DemoArgs),
    /// Run every test that this machine can run.
    Test(test::TestArgs),
    /// Look at the source: formatting, lints, dependencies, links.
    Check,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::Check => check::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
