//! `--dry-run`: showing what would be done.

use clap::{Args, ValueEnum};

/// The flag.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct DryRunFlag {
    /// Change nothing: "client" only shows what would be sent, "server" sends it and has everything done but the storing.
    #[arg(
        long,
        value_name = "WHERE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "none",
        default_missing_value = "client",
        global = true
    )]
    pub(crate) dry_run: DryRun,
}

/// Where a dry run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum DryRun {
    /// It is no dry run.
    #[default]
    None,
    /// Before anything is sent.
    Client,
    /// Before anything is stored.
    Server,
}

impl DryRun {
    /// The `dryRun` of a request's options.
    pub(crate) fn option(self) -> Vec<String> {
        if self == DryRun::Server { vec!["All".to_owned()] } else { Vec::new() }
    }

    /// `created`, `created (dry run)`.
    pub(crate) fn done(self, done: &str) -> String {
        match self {
            DryRun::None => done.to_owned(),
            DryRun::Client => format!("{done} (dry run)"),
            DryRun::Server => format!("{done} (server dry run)"),
        }
    }
}
