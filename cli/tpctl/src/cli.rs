//! The commands, and what is common to them: the runtime, telemetry, Ctrl-C, and how an error is shown.

use crate::commands::{self, LocalCommand, ServerCommand};
use crate::global::Global;
use crate::{cluster, failure, health, pki};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A Kubernetes control plane that you can see through.
#[derive(Debug, Parser)]
#[command(
    name = "tpctl",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster on this machine, or whatever of it is not running.
    Up(cluster::UpArgs),
    /// Stop the cluster; its state stays.
    Down(cluster::DownArgs),
    /// Show the cluster's processes and nodes.
    Status,
    /// Make certificates and kubeconfigs.
    Pki(pki::PkiArgs),
    /// Ask a server whether it is well, for health checks.
    Health(health::HealthArgs),
    #[command(flatten)]
    Server(ServerCommand),
    #[command(flatten)]
    Local(LocalCommand),
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    service_kit::tls::install_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into()),
    };
    let global = cli.global;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => cluster::up(&global, &args).await,
            Command::Down(args) => cluster::down(&global, &args).await,
            Command::Status => cluster::status(&global).await,
            Command::Pki(args) => pki::run(&global, &args),
            Command::Health(args) => health::run(&args).await,
            Command::Server(command) => commands::run(&global, command).await,
            Command::Local(command) => commands::run_local(&global, command).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
