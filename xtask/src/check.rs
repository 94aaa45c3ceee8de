//! `make check`: what can be said about the source without running it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{heading, quiet, show};
use crate::{directions, links};

/// What was found so far.
#[derive(Default)]
struct Findings {
    failed: Vec<&'static str>,
    skipped: Vec<String>,
}

/// Runs every check, also after one has failed, so that one look shows everything.
pub(crate) fn run() -> Result<()> {
    let mut findings = Findings::default();
    findings.cargo("formatting", &["fmt", "--all", "--check"])?;
    findings.cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    findings.dependencies()?;

    heading("directions between crates, links in the docs");
    let found = [directions::violations(&directions::of_workspace()?), links::broken()?].concat();
    found.iter().for_each(|line| println!("{line}"));
    if !found.is_empty() {
        findings.failed.push("directions and links");
    }

    heading("result");
    findings.skipped.iter().for_each(|line| println!("skipped: {line}"));
    if !findings.failed.is_empty() {
        bail!("failed: {}", findings.failed.join(", "));
    }
    println!("all checks passed");
    Ok(())
}

impl Findings {
    fn cargo(&mut self, name: &'static str, args: &[&str]) -> Result<()> {
        heading(name);
        if !show(Command::new("cargo").args(args))?.success() {
            self.failed.push(name);
        }
        Ok(())
    }

    /// Holds dependencies to deny.toml, where cargo-deny is installed.
    fn dependencies(&mut self) -> Result<()> {
        if quiet(Command::new("cargo").args(["deny", "--version"])).is_err() {
            let how = "there is no cargo-deny; `cargo install --locked cargo-deny` installs it";
            self.skipped.push(format!("licenses, bans, sources and advisories of dependencies: {how}"));
            return Ok(());
        }
        self.cargo("dependencies", &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"])?;
        // The list of known defects is somebody else's server.
        match quiet(Command::new("cargo").args(["deny", "fetch", "db"])) {
            Ok(_) => self.cargo("advisories", &["deny", "--log-level", "error", "check", "advisories"]),
            Err(error) => {
                self.skipped.push(format!("advisories of dependencies: their list cannot be fetched ({error:#})"));
                Ok(())
            }
        }
    }
}
