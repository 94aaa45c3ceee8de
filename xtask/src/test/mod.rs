//! `make test`: every test that this machine can run, and at the end what was not run and why.
//!
//! A part that lacks something (Python, a Docker engine) is skipped aloud; a part that has what it needs and does not pass has
//! failed. Nothing is skipped because it would take long.

mod compose;
mod python;
mod report;
mod rust;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::shell::heading;
use report::Report;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only these parts; all of them by default.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// cargo test: units, services, doc examples, and whole clusters of real processes with a real etcd.
    Rust,
    /// A gRPC client that another language's tools make from proto/.
    Python,
    /// The cluster of docker-compose.yml, and the demo against it.
    Compose,
}

/// Runs the parts and says how they went. An error if anything failed.
pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut report = Report::default();
    for part in Part::value_variants().iter().filter(|part| args.parts.is_empty() || args.parts.contains(part)) {
        let (title, run): (_, fn(&mut Report) -> Result<()>) = match part {
            Part::Rust => ("cargo test", rust::run),
            Part::Python => ("Python client", python::run),
            Part::Compose => ("docker compose", compose::run),
        };
        heading(title);
        if let Err(error) = run(&mut report) {
            println!("{title}: {error:#}");
            report.fail(format!("{title}: {error:#}"));
        }
    }
    heading("result");
    print!("{report}");
    if report.failed() {
        bail!("not all tests passed");
    }
    Ok(())
}
