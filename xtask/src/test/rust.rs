//! All that cargo tests: units, services in memory, doc examples, and whole clusters of real processes.

use std::process::Command;

use anyhow::{Result, ensure};

use super::report::Report;
use crate::shell::{show, watch};

pub(super) fn run(report: &mut Report) -> Result<()> {
    // The tests of whole clusters start the programs as a user does.
    let built = show(Command::new("cargo").args(["build", "--workspace", "--bins"]))?;
    ensure!(built.success(), "the programs do not build");
    let before = report.to_string();
    let status = watch(Command::new("cargo").args(["test", "--workspace", "--no-fail-fast"]), |line| report.see(line))?;
    // A test binary that crashed, or one that did not build, leaves no line about a test.
    ensure!(status.success() || report.failed(), "cargo test failed outside of a test; see above");
    ensure!(before != report.to_string(), "cargo test ran no test");
    Ok(())
}
