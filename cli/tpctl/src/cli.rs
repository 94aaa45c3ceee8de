//! The commands, and what is common to them: the runtime, telemetry, Ctrl-C, and how an error is shown.

use crate::commands::{self, LocalCommand, ServerCommand};
use crate::{cluster, failure, health, pki, session};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

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

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Folder with the cluster that `tpctl up` keeps: certificates, kubeconfigs, logs, etcd's data.
    #[arg(long, global = true, value_name = "DIR", env = "TRACEPLANE_STATE_DIR", default_value = ".traceplane")]
    pub(crate) state_dir: PathBuf,
    /// Kubeconfig file; the one of the cluster in the state folder by default.
    #[arg(long, global = true, value_name = "FILE", env = "TRACEPLANE_KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one by default.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of objects that name none; the context's by default.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// How long one request may take, such as 5s; 0 is as long as it takes.
    #[arg(long, global = true, value_name = "DURATION", value_parser = session::duration)]
    pub(crate) request_timeout: Option<Duration>,
    /// Say on stderr which trace the command has left.
    #[arg(short, long, global = true, env = "TRACEPLANE_SHOW_TRACE", value_parser = clap::builder::FalseyValueParser::new())]
    verbose: bool,
}

impl Global {
    /// Whether the user wants to know the trace's id.
    pub(crate) fn shows_trace(&self) -> bool {
        self.verbose
    }
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
