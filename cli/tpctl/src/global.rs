//! What every command is told: where the cluster is, and who asks.

use crate::duration::duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Where a cluster is kept unless something else is said.
pub(crate) const DEFAULT_STATE_DIR: &str = ".traceplane";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Folder with the cluster that `tpctl up` keeps: certificates, kubeconfigs, logs, etcd's data.
    #[arg(long, global = true, value_name = "DIR", env = "TRACEPLANE_STATE_DIR", default_value = DEFAULT_STATE_DIR)]
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
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
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
