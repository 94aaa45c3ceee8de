//! Commands as a person would type them: shown, run, and with their output looked at.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

/// The folder with the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// A program of the workspace, built with the same profile as this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    let program = here.with_file_name(name);
    anyhow::ensure!(program.is_file(), "{} is not built; `make build` builds it", program.display());
    Ok(program)
}

/// A heading between the parts of a long output.
pub(crate) fn heading(text: &str) {
    if std::io::stdout().is_terminal() { println!("\n\x1b[1m== {text}\x1b[0m") } else { println!("\n== {text}") }
}

/// Runs a command whose output the reader sees as it comes.
pub(crate) fn show(command: &mut Command) -> Result<ExitStatus> {
    command.current_dir(root()).status().with_context(|| not_started(command))
}

/// The same, and hands each line of both outputs, in the order in which they came, to `see`.
pub(crate) fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let (reader, writer) = std::io::pipe().context("no pipe could be made")?;
    command.current_dir(root()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| not_started(command))?;
    // The command holds the pipe's other end; it would never end while it does.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?)
}

/// Runs a command quietly. The error is what it said.
pub(crate) fn quiet(command: &mut Command) -> Result<String> {
    let output = command.current_dir(root()).output().with_context(|| not_started(command))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::bail!("{}", said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word"))
}

fn not_started(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}
