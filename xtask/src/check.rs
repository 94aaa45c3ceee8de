//! `make check`: what can be said about the source without running it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{heading, quiet, show};
use crate::{directions, links};

/// Runs every check, also after one has failed, so that one look shows everything.
pub(crate) fn run() -> Result<()> {
    let mut failed = Vec::new();
    let mut cargo = |name: &'static str, args: &[&str]| -> Result<()> {
        heading(name);
        if !show(Command::new("cargo").args(args))?.success() {
            failed.push(name);
        }
        Ok(())
    };
    cargo("formatting", &["fmt", "--all", "--check"])?;
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])?;
    let has_deny = quiet(Command::new("cargo").args(["deny", "--version"])).is_ok();
    if has_deny {
        cargo("dependencies", &["deny", "--log-level", "error", "check"])?;
    }

    heading("directions between crates, links in the docs");
    let found = [directions::violations(&directions::of_workspace()?), links::broken()?].concat();
    found.iter().for_each(|line| println!("{line}"));
    if !found.is_empty() {
        failed.push("directions and links");
    }

    heading("result");
    if !has_deny {
        println!("skipped: dependencies (no cargo-deny; `cargo install --locked cargo-deny` installs it)");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    println!("all checks passed");
    Ok(())
}
