//! `tpctl completion`: scripts that let a shell complete our commands and flags.

use crate::cli::Cli;
use crate::print::out;
use anyhow::Result;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

/// What `--help` says.
pub(crate) const ABOUT: &str = "Print a shell's completion script.

  bash   source <(tpctl completion bash)
  zsh    source <(tpctl completion zsh)
  fish   tpctl completion fish | source

Put the line into your shell's start-up file to have it in every shell.";

/// Flags of `tpctl completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    shell: ShellName,
}

/// Shells that we know.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

/// `tpctl completion`.
pub(crate) fn run(args: &CompletionArgs) -> Result<()> {
    let shell = match args.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "tpctl", &mut script);
    out(&String::from_utf8_lossy(&script))
}
