//! The flags of the kubelet. Each can also be given by the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::core::v1::Taint;
use api::quantity::Amount;
use api::resource::Quantity;
use clap::Parser;
use service_kit::flags;
use service_kit::tls::TlsServingArgs;
use telemetry::span::TraceMode;

use crate::node::cidr::Cidr;

/// The kubelet's own port in Kubernetes.
const PORT: u16 = 10_250;

/// Makes this machine one node of the cluster, or many, and runs pods on them in a simulated runtime.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubelet-sim", version)]
pub struct Config {
    /// File that says where the apiserver is and who we are: system:node:<name> for one node, system:node-simulator for many.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBECONFIG")]
    pub kubeconfig: PathBuf,

    /// Name of the node; the machine's host name if absent.
    #[arg(long, visible_alias = "hostname-override", value_name = "NAME", env = "TRACEPLANE_NODE_NAME")]
    pub node_name: Option<String>,

    /// Nodes in this process, named <prefix>-0, <prefix>-1 and so on. Without it: one node, called --node-name.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_NODES", conflicts_with = "node_name",
          value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub nodes: Option<u32>,

    /// What the names of several nodes begin with.
    #[arg(long, value_name = "PREFIX", env = "TRACEPLANE_NODE_NAME_PREFIX", default_value = "node")]
    pub node_name_prefix: String,

    /// Address that the nodes report as theirs; this machine's own if absent.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_NODE_IP")]
    pub node_ip: Option<Ipv4Addr>,

    /// YAML file with images that behave in special ways (docs/kubelet-sim.md), on top of the built-in ones.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_IMAGE_CATALOGUE")]
    pub image_catalogue: Option<PathBuf>,

    /// Folder for what must survive the kubelet: the simulated containers. One kubelet at a time
    /// [default: .traceplane/kubelet/<node or prefix>]
    #[arg(long, value_name = "FOLDER", env = "TRACEPLANE_KUBELET_ROOT_DIR")]
    pub root_dir: Option<PathBuf>,

    /// Time between two full comparisons of the apiserver's list of pods with what we know; 0s for none.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_SYNC_FREQUENCY", default_value = "20s", value_parser = flags::duration_or_zero)]
    pub sync_frequency: Duration,

    /// How long a node's lease lasts; it is renewed after a quarter of that.
    #[arg(long, value_name = "SECONDS", env = "TRACEPLANE_NODE_LEASE_DURATION_SECONDS", default_value_t = 40,
          value_parser = clap::value_parser!(i32).range(4..))]
    pub node_lease_duration_seconds: i32,

    /// What each node has, over the default cpu=4,memory=8Gi,pods=110,ephemeral-storage=100Gi.
    #[arg(long, value_name = "RESOURCE=AMOUNT,...", env = "TRACEPLANE_CAPACITY", default_value = "", value_parser = capacity)]
    pub capacity: Capacity,

    /// Labels of each node, besides the usual ones.
    #[arg(long, value_name = "KEY=VALUE,...", env = "TRACEPLANE_NODE_LABELS", default_value = "", value_parser = labels)]
    pub node_labels: Labels,

    /// Taints that each node is registered with.
    #[arg(long, value_name = "KEY=VALUE:EFFECT,...", env = "TRACEPLANE_REGISTER_WITH_TAINTS", default_value = "", value_parser = taints)]
    pub register_with_taints: Taints,

    /// Pod addresses of a single node. Without it they follow from the node's name: 10.244.7.0/24 for worker-7.
    #[arg(long, value_name = "CIDR", env = "TRACEPLANE_POD_CIDR", conflicts_with = "nodes")]
    pub pod_cidr: Option<Cidr>,

    /// Where nodes whose name ends in no number, and the nodes of --nodes, take their pod addresses from.
    #[arg(long, value_name = "CIDR", env = "TRACEPLANE_CLUSTER_CIDR", default_value = "10.248.0.0/13")]
    pub cluster_cidr: Cidr,

    /// Whether a run continues the trace of its cause (continue) or begins one that links to it (link).
    #[arg(long, value_name = "MODE", env = "TRACEPLANE_TRACE_MODE", default_value_t)]
    pub trace_mode: TraceMode,

    /// Address to serve on; 0.0.0.0 for all addresses of the machine.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_BIND_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind_address: IpAddr,

    /// Port for health and metrics; 0 for a free one.
    #[arg(long = "secure-port", visible_alias = "port", value_name = "PORT", env = "TRACEPLANE_SECURE_PORT", default_value_t = PORT)]
    pub port: u16,

    /// The identity to serve with.
    #[command(flatten)]
    pub tls: TlsServingArgs,
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity(pub BTreeMap<String, Amount>);

/// Labels of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// Taints of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Taints(pub Vec<Taint>);

impl Config {
    /// The names of the nodes of this process.
    pub fn node_names(&self) -> Vec<String> {
        match self.nodes {
            Some(count) => (0..count).map(|index| format!("{}-{index}", self.node_name_prefix)).collect(),
            None => vec![self.node_name.clone().unwrap_or_else(crate::node::machine::host_name)],
        }
    }

    /// What to call this process among the kubelets.
    pub fn instance(&self) -> String {
        if self.nodes.is_some() { self.node_name_prefix.clone() } else { self.node_names().remove(0) }
    }

    /// Where the state of this process is kept.
    pub fn root_dir(&self) -> PathBuf {
        self.root_dir.clone().unwrap_or_else(|| Path::new(".traceplane/kubelet").join(self.instance()))
    }

    /// Where health and metrics are served.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.port)
    }
}

/// The pairs of a list such as `a=1,b=2`.
fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, &str), String>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').ok_or_else(|| format!("{part:?} has no \"=\"")))
}

fn capacity(text: &str) -> Result<Capacity, String> {
    let defaults = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("ephemeral-storage", "100Gi")];
    let mut amounts = BTreeMap::new();
    for pair in defaults.into_iter().map(Ok).chain(pairs(text)) {
        let (name, amount) = pair?;
        let parsed = Quantity::parse(amount).map_err(|error| format!("{name}: {error}"))?;
        let parsed = parsed.amount().map_err(|error| format!("{name}: {error}"))?;
        if parsed.is_negative() {
            return Err(format!("{name}: {amount} is less than nothing"));
        }
        amounts.insert(name.to_owned(), parsed);
    }
    Ok(Capacity(amounts))
}

fn labels(text: &str) -> Result<Labels, String> {
    pairs(text)
        .map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Result<_, _>>()
        .map(Labels)
}

fn taints(text: &str) -> Result<Taints, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let taint = |part: &str| {
        let wrong = || format!("{part:?} is not a taint such as key=value:NoSchedule");
        let (pair, effect) = part.rsplit_once(':').ok_or_else(wrong)?;
        if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            return Err(wrong());
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned(), ..Taint::default() })
    };
    parts.map(taint).collect::<Result<_, _>>().map(Taints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, String> {
        let args = ["kubelet-sim", "--kubeconfig", "k"].iter().chain(args);
        Config::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn one_node_or_many_have_their_names() {
        assert_eq!(parse(&["--node-name", "a"]).unwrap().node_names(), ["a"]);
        assert_eq!(parse(&["--hostname-override", "b"]).unwrap().instance(), "b");
        let many = parse(&["--nodes", "3", "--node-name-prefix", "sim"]).unwrap();
        assert_eq!(many.node_names(), ["sim-0", "sim-1", "sim-2"]);
        assert_eq!(many.instance(), "sim");
        assert!(parse(&["--nodes", "0"]).is_err());
        assert!(parse(&["--nodes", "2", "--node-name", "a"]).unwrap_err().contains("cannot be used with"));
    }

    #[test]
    fn what_a_node_has_completes_the_default() {
        let config = parse(&["--capacity", "cpu=500m,example.com/gpu=2"]).unwrap();
        let amounts: Vec<_> = config.capacity.0.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        assert_eq!(amounts, ["cpu=500m", "ephemeral-storage=100Gi", "example.com/gpu=2", "memory=8Gi", "pods=110"]);
        assert!(parse(&["--capacity", "cpu=lots"]).unwrap_err().contains("cpu"));
        assert!(parse(&["--capacity", "cpu"]).unwrap_err().contains("has no \"=\""));
    }

    #[test]
    fn labels_and_taints_are_read_as_kubernetes_writes_them() {
        let config =
            parse(&["--node-labels", "disk=ssd,zone=", "--register-with-taints", "a=b:NoExecute,c:NoSchedule"])
                .unwrap();
        assert_eq!(config.node_labels.0.len(), 2);
        let taints: Vec<_> = config
            .register_with_taints
            .0
            .iter()
            .map(|t| (t.key.as_str(), t.value.as_str(), t.effect.as_str()))
            .collect();
        assert_eq!(taints, [("a", "b", "NoExecute"), ("c", "", "NoSchedule")]);
        assert!(parse(&["--register-with-taints", "a=b:Never"]).unwrap_err().contains("key=value:NoSchedule"));
    }
}
