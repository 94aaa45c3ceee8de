//! The flags of the controller-manager, named as Kubernetes names them. Each can also be given by the environment.
//!
//! [`Config`] is what was typed; [`Config::settings`] checks all of it once and loads the files. Nothing else in this crate reads flags,
//! environment or files.

use crate::controllers::{self, Selection, UnknownController};
use crate::nodeipam::ranges::Ranges;
use api::cidr::Cidr;
use clap::Parser;
use client::{Kubeconfig, KubeconfigError, Session};
use controller::{ContradictoryTimes, Election, LeaderElectionArgs};
use service_kit::flags;
use service_kit::ops::OpsArgs;
use service_kit::tls::{TlsError, TlsServingArgs};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::TraceMode;

/// Kubernetes' port of the component.
const PORT: u16 = 10257;

/// Kubernetes' lease of the component.
pub const LEASE: &str = "kube-controller-manager";

/// Runs the controllers that drive the cluster from what is to what shall be.
#[derive(Clone, Debug, Parser)]
#[command(name = "controller-manager", version, max_term_width = 110)]
pub struct Config {
    /// File that says where the apiserver is and who we are there.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBECONFIG")]
    pub kubeconfig: PathBuf,

    /// Controllers to run: `*` is all, `name` adds one, `-name` takes one away. Later words win over `*`.
    #[arg(
        long,
        value_name = "NAMES",
        env = "TRACEPLANE_CONTROLLERS",
        value_delimiter = ',',
        default_value = "*",
        allow_hyphen_values = true,
        long_help = controllers::help()
    )]
    pub controllers: Vec<String>,

    /// Where to serve health and metrics.
    #[command(flatten)]
    pub ops: OpsArgs,

    /// The certificate to serve them with.
    #[command(flatten)]
    pub tls: TlsServingArgs,

    /// How the replicas of this component agree on one.
    #[command(flatten)]
    pub leader_election: LeaderElectionArgs,

    /// How many objects each controller works on at the same time.
    #[command(flatten)]
    pub concurrency: ConcurrencyArgs,

    /// How silent nodes are found.
    #[command(flatten)]
    pub nodes: NodeArgs,

    /// Which addresses pods have.
    #[command(flatten)]
    pub ipam: IpamArgs,

    /// Finished pods to keep; beyond them the oldest are deleted. 0 or less keeps all.
    #[arg(
        long,
        value_name = "N",
        env = "TRACEPLANE_TERMINATED_POD_GC_THRESHOLD",
        default_value_t = 12500,
        allow_negative_numbers = true,
        help_heading = "Pods"
    )]
    pub terminated_pod_gc_threshold: i64,

    /// How effects relate to their causes in traces: `continue` the trace, or only `link` to it (KEP-5915).
    #[arg(long, value_name = "MODE", env = "TRACEPLANE_TRACE_MODE", default_value_t, help_heading = "Tracing")]
    pub trace_mode: TraceMode,
}

/// How many objects each controller works on at the same time.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Concurrency")]
pub struct ConcurrencyArgs {
    /// Deployments.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_DEPLOYMENT_SYNCS", default_value_t = 5, value_parser = flags::at_least_one())]
    pub concurrent_deployment_syncs: usize,

    /// ReplicaSets.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_REPLICASET_SYNCS", default_value_t = 5, value_parser = flags::at_least_one())]
    pub concurrent_replicaset_syncs: usize,

    /// Objects of any kind that the garbage collector looks at.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_GC_SYNCS", default_value_t = 20, value_parser = flags::at_least_one())]
    pub concurrent_gc_syncs: usize,

    /// Services whose Endpoints are written.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_ENDPOINT_SYNCS", default_value_t = 5, value_parser = flags::at_least_one())]
    pub concurrent_endpoint_syncs: usize,

    /// Services whose EndpointSlices are written.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_SERVICE_ENDPOINT_SYNCS", default_value_t = 5, value_parser = flags::at_least_one())]
    pub concurrent_service_endpoint_syncs: usize,

    /// Nodes, and as many pods that are about to be evicted.
    #[arg(long, value_name = "N", env = "TRACEPLANE_CONCURRENT_NODE_SYNCS", default_value_t = 8, value_parser = flags::at_least_one())]
    pub concurrent_node_syncs: usize,
}

/// How silent nodes are found, and what becomes of their pods.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Nodes")]
pub struct NodeArgs {
    /// How long a node may be silent before it counts as lost; several times the kubelet's lease renewal (10 s).
    #[arg(long, value_name = "DURATION", env = "TRACEPLANE_NODE_MONITOR_GRACE_PERIOD", default_value = "40s", value_parser = flags::duration)]
    pub node_monitor_grace_period: Duration,

    /// The same for a node that has never reported.
    #[arg(long, value_name = "DURATION", env = "TRACEPLANE_NODE_STARTUP_GRACE_PERIOD", default_value = "60s", value_parser = flags::duration)]
    pub node_startup_grace_period: Duration,

    /// How much later than that a silent node may be noticed.
    #[arg(long, value_name = "DURATION", env = "TRACEPLANE_NODE_MONITOR_PERIOD", default_value = "5s", value_parser = flags::duration)]
    pub node_monitor_period: Duration,

    /// Evict pods by taints and how long they bear them. `false`: do as Kubernetes could up to 1.26, and mark all pods of a lost node
    /// `NodeLost` and delete them.
    #[arg(
        long,
        value_name = "BOOL",
        env = "TRACEPLANE_ENABLE_TAINT_MANAGER",
        default_value_t = true,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub enable_taint_manager: bool,

    /// Without the taint manager: how long a node may be not ready before its pods are deleted.
    #[arg(long, value_name = "DURATION", env = "TRACEPLANE_POD_EVICTION_TIMEOUT", default_value = "5m", value_parser = flags::duration)]
    pub pod_eviction_timeout: Duration,
}

/// Which addresses pods have.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Addresses")]
pub struct IpamArgs {
    /// Give each node a range of addresses for its pods; `false` where somebody else does.
    #[arg(
        long,
        value_name = "BOOL",
        env = "TRACEPLANE_ALLOCATE_NODE_CIDRS",
        default_value_t = true,
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub allocate_node_cidrs: bool,

    /// Where those ranges are taken from.
    #[arg(long, value_name = "CIDR", env = "TRACEPLANE_CLUSTER_CIDR", default_value = "10.224.0.0/11")]
    pub cluster_cidr: Cidr,

    /// How large each of them is: 24 leaves room for 253 pods.
    #[arg(long, value_name = "BITS", env = "TRACEPLANE_NODE_CIDR_MASK_SIZE", default_value_t = 24, value_parser = clap::value_parser!(u32).range(8..=30))]
    pub node_cidr_mask_size: u32,
}

impl IpamArgs {
    /// The ranges, all free; `None`: somebody else hands them out.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub fn ranges(&self) -> Result<Option<Ranges>, String> {
        self.allocate_node_cidrs.then(|| Ranges::new(self.cluster_cidr, self.node_cidr_mask_size)).transpose()
    }
}

/// A checked [`Config`], with its files loaded.
pub struct Settings {
    /// Where the apiserver is and who we are there.
    pub session: Session,
    /// Where to serve health and metrics.
    pub address: SocketAddr,
    /// What to serve them with; `None` for plain text.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Which controllers to run.
    pub controllers: Selection,
    /// How to agree on one replica; `None` to work without asking.
    pub election: Option<(String, Election)>,
    /// How many objects at the same time.
    pub concurrency: ConcurrencyArgs,
    /// How silent nodes are found.
    pub nodes: NodeArgs,
    /// Which addresses pods have.
    pub ipam: IpamArgs,
    /// Finished pods to keep; `None` keeps all.
    pub finished_pods: Option<usize>,
    /// How runs relate to their causes.
    pub mode: TraceMode,
}

/// A flag that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The serving certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A controller's name.
    #[error(transparent)]
    Controller(#[from] UnknownController),
    /// Address ranges that contradict each other.
    #[error("{0}")]
    Addresses(String),
    /// Times of leader election that contradict each other.
    #[error(transparent)]
    Election(#[from] ContradictoryTimes),
}

impl Config {
    /// Checks everything and loads the files.
    ///
    /// # Errors
    /// The first flag that cannot be used, with what to do about it.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let election = self.leader_election.election(LEASE)?;
        self.ipam.ranges().map_err(ConfigError::Addresses)?;
        Ok(Settings {
            controllers: Selection::of(&self.controllers)?,
            session: Kubeconfig::read(&self.kubeconfig)?.session(None)?,
            address: self.ops.address(PORT),
            tls: self.tls.open_server_config()?,
            election,
            concurrency: self.concurrency,
            nodes: self.nodes,
            ipam: self.ipam,
            finished_pods: usize::try_from(self.terminated_pod_gc_threshold).ok().filter(|keep| *keep > 0),
            mode: self.trace_mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Config {
        Config::try_parse_from([&["controller-manager", "--kubeconfig", "/none"], args].concat()).unwrap()
    }

    #[test]
    fn every_flag_can_come_from_the_environment() {
        for arg in Config::command().get_arguments() {
            let id = arg.get_id().as_str();
            if !matches!(id, "help" | "version") {
                let env = arg.get_env().unwrap_or_else(|| panic!("--{id} has no env"));
                assert_eq!(env.to_str().unwrap(), format!("TRACEPLANE_{}", id.to_uppercase()));
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let config = parse(&[]);
        let (namespace, election) = config.leader_election.election(LEASE).unwrap().unwrap();
        assert_eq!((namespace.as_str(), election.lease.as_str()), ("kube-system", "kube-controller-manager"));
        assert_eq!(config.nodes.node_monitor_grace_period, Duration::from_secs(40));
        assert_eq!(config.ops.address(PORT).to_string(), "127.0.0.1:10257");
        assert_eq!(parse(&["--controllers", "*,-namespace-controller"]).controllers.len(), 2);
    }
}
