//! The flags of the kubelet. Each can also be given by the environment.

mod node;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::cidr::Cidr;
use api::core::v1::Taint;
use api::quantity::Amount;
use api::resource::Quantity;
use clap::Parser;
use service_kit::flags;
use service_kit::tls::TlsServingArgs;
use telemetry::span::TraceMode;

use crate::pod::{NodeDns, Resolver};
use crate::runtime::behaviour::RuntimeBehaviour;
use crate::runtime::remote::CgroupDriver;

pub use node::NodeArgs;

/// The kubelet's own port in Kubernetes.
const PORT: u16 = 10_250;

/// Makes this machine one node of the cluster, or many, and runs pods on them: described, for real, or in a container runtime.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubelet-sim", version)]
pub struct Config {
    /// File that says where the apiserver is and who we are: system:node:<name> for one node, system:node-simulator for many.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBECONFIG")]
    pub kubeconfig: PathBuf,

    /// Ends what a kubelet with the same flags has left running and mounted that was killed, and then itself. `tpctl down` asks for it.
    #[arg(long, hide = true)]
    pub put_away: bool,

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

    /// Address that the nodes report as theirs, by which the apiserver reaches them; --bind-address if absent, or this machine's own if that
    /// is 0.0.0.0.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_NODE_IP")]
    pub node_ip: Option<Ipv4Addr>,

    /// What runs containers: virtual (nothing runs, behaviour is described) or process (commands run for real; needs root).
    #[arg(long, value_name = "ENGINE", env = "TRACEPLANE_ENGINE", value_enum, default_value_t)]
    pub engine: Engine,

    /// Socket of a real container runtime (CRI), e.g. unix:///run/containerd/containerd.sock, in place of an engine.
    #[arg(long, value_name = "ENDPOINT", env = "TRACEPLANE_CONTAINER_RUNTIME_ENDPOINT", conflicts_with_all = ["engine", "nodes"])]
    pub container_runtime_endpoint: Option<String>,

    /// Who makes control groups for that runtime, if it does not say so itself (containerd before 2.0): cgroupfs or systemd.
    #[arg(long, value_name = "DRIVER", env = "TRACEPLANE_CGROUP_DRIVER", value_enum, default_value_t)]
    pub cgroup_driver: CgroupDriver,

    /// When the simulated runtime is not as it should be, counted from the kubelet's start: runtime-ready-after, network-ready-after,
    /// runtime-down-after and runtime-down-for.
    #[arg(long, value_name = "SETTING=TIME,...", env = "TRACEPLANE_RUNTIME_BEHAVIOUR", default_value = "", value_parser = runtime_behaviour)]
    pub runtime_behaviour: RuntimeBehaviour,

    /// How many times as fast as the world simulated containers live: pulls, probes, back-offs, grace periods. 0: only in steps.
    #[arg(long, value_name = "FACTOR", env = "TRACEPLANE_TIME_SCALE", default_value = "1", value_parser = time_scale)]
    pub time_scale: TimeScale,

    /// With --time-scale 0: how far time goes on when the kubelet gets SIGUSR1.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_TIME_STEP", default_value = "1s", value_parser = flags::duration)]
    pub time_step: Duration,

    /// YAML file with images that behave in special ways (docs/kubelet-sim.md), on top of the built-in ones.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_IMAGE_CATALOGUE")]
    pub image_catalogue: Option<PathBuf>,

    /// Process engine: pods may reach the machine itself (privileged, hostNetwork, hostPID, hostIPC, hostUsers, hostPath, any
    /// capability).
    #[arg(long, env = "TRACEPLANE_ALLOW_PRIVILEGED")]
    pub allow_privileged: bool,

    /// Process engine: processes and threads that a pod may have; -1 for any number.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_POD_MAX_PIDS", default_value_t = 1024, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-1..))]
    pub pod_max_pids: i64,

    /// Process engine: the static busybox that built-in images are made of; looked for in PATH if absent.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_BUSYBOX")]
    pub busybox: Option<PathBuf>,

    /// Process engine: how long pods go on without a kubelet before they end by themselves.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_ADOPTION_TIMEOUT", default_value = "60s", value_parser = flags::duration)]
    pub adoption_timeout: Duration,

    /// How large a container's log file becomes before another one is begun.
    #[arg(long, value_name = "AMOUNT", env = "TRACEPLANE_CONTAINER_LOG_MAX_SIZE", default_value = "10Mi", value_parser = bytes)]
    pub container_log_max_size: u64,

    /// How many log files of a container are kept, the current one among them.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_CONTAINER_LOG_MAX_FILES", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(2..))]
    pub container_log_max_files: u32,

    /// Folder for what must survive the kubelet: containers, their logs, the files of volumes. One kubelet at a time
    /// [default: .traceplane/kubelet/<node or prefix>]
    #[arg(long, value_name = "FOLDER", env = "TRACEPLANE_KUBELET_ROOT_DIR")]
    pub root_dir: Option<PathBuf>,

    /// DNS servers of the cluster, which pods ask first; without any they use the machine's.
    #[arg(long, value_name = "ADDRESS,...", env = "TRACEPLANE_CLUSTER_DNS", value_delimiter = ',')]
    pub cluster_dns: Vec<IpAddr>,

    /// What the names of services and pods end with.
    #[arg(long, value_name = "DOMAIN", env = "TRACEPLANE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// The machine's own DNS configuration, for pods.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_RESOLV_CONF", default_value = "/etc/resolv.conf")]
    pub resolv_conf: PathBuf,

    /// Folder of YAML or JSON files, a pod each, that the node runs whether or not there is an apiserver.
    #[arg(long, value_name = "FOLDER", env = "TRACEPLANE_POD_MANIFEST_PATH", conflicts_with = "nodes")]
    pub pod_manifest_path: Option<PathBuf>,

    /// How often those files are looked at, besides whenever the system tells of a change.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_FILE_CHECK_FREQUENCY", default_value = "20s", value_parser = flags::duration)]
    pub file_check_frequency: Duration,

    /// Time between two full comparisons of the apiserver's list of pods with what we know; 0s for none.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_SYNC_FREQUENCY", default_value = "20s", value_parser = flags::duration_or_zero)]
    pub sync_frequency: Duration,

    /// What another image of an init container does to a pod that runs: restart its start-up (textbook), or ignore (Kubernetes today).
    #[arg(long, value_name = "ACTION", env = "TRACEPLANE_ON_INIT_IMAGE_CHANGE", value_enum, default_value_t)]
    pub on_init_image_change: OnInitImageChange,

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

    /// Pod addresses of a single node. Without it the node waits for the controller-manager to assign some.
    #[arg(long, value_name = "CIDR", env = "TRACEPLANE_POD_CIDR", conflicts_with = "nodes")]
    pub pod_cidr: Option<Cidr>,

    /// Whether a run continues the trace of its cause (continue) or begins one that links to it (link).
    #[arg(long, value_name = "MODE", env = "TRACEPLANE_TRACE_MODE", default_value_t)]
    pub trace_mode: TraceMode,

    /// Address to serve on; 0.0.0.0 for all addresses of the machine.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_BIND_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind_address: IpAddr,

    /// Port for health, metrics and the streams of pods; 0 for a free one.
    #[arg(long = "secure-port", visible_alias = "port", value_name = "PORT", env = "TRACEPLANE_SECURE_PORT", default_value_t = PORT)]
    pub port: u16,

    /// The identity to serve with.
    #[command(flatten)]
    pub tls: TlsServingArgs,

    /// How the nodes look after themselves. Last, because its heading is that of all that follows.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// The runtimes in the box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Containers are described, by a catalogue and annotations; no process runs.
    #[default]
    Virtual,
    /// Containers are processes of this machine, in namespaces of their own.
    Process,
}

/// What another image of an init container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnInitImageChange {
    /// A new sandbox, and all init containers again.
    #[default]
    Restart,
    /// Nothing until the pod starts up again for another reason.
    Ignore,
}

/// Simulated seconds in one of the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale(pub f64);

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity(pub BTreeMap<String, Amount>);

/// Amounts of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts(pub BTreeMap<String, Amount>);

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

    /// How pods look up names. The error names the flag.
    pub fn dns(&self) -> Result<NodeDns, String> {
        let file = &self.resolv_conf;
        let machine = Resolver::read(file).map_err(|error| format!("--resolv-conf {}: {error}", file.display()))?;
        let cluster_dns = self.cluster_dns.iter().map(ToString::to_string).collect();
        Ok(NodeDns { cluster_dns, cluster_domain: self.cluster_domain.clone(), machine })
    }

    /// The address of the nodes: where their kubelet can be reached.
    pub fn node_address(&self) -> Ipv4Addr {
        let bound = match self.bind_address {
            IpAddr::V4(address) if !address.is_unspecified() => Some(address),
            _ => None,
        };
        self.node_ip.or(bound).unwrap_or_else(crate::node::machine::address)
    }

    /// Where health, metrics and the streams of pods are served.
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
    let defaults = amounts("cpu=4,memory=8Gi,pods=110,ephemeral-storage=100Gi")?;
    Ok(Capacity(defaults.0.into_iter().chain(amounts(text)?.0).collect()))
}

fn amounts(text: &str) -> Result<Amounts, String> {
    let amount = |pair: Result<(&str, &str), String>| {
        let (name, amount) = pair?;
        let parsed = Quantity::parse(amount).map_err(|error| format!("{name}: {error}"))?;
        let parsed = parsed.amount().map_err(|error| format!("{name}: {error}"))?;
        if parsed.is_negative() {
            return Err(format!("{name}: {amount} is less than nothing"));
        }
        Ok((name.to_owned(), parsed))
    };
    pairs(text).map(amount).collect::<Result<_, _>>().map(Amounts)
}

fn runtime_behaviour(text: &str) -> Result<RuntimeBehaviour, String> {
    let mut behaviour = RuntimeBehaviour::default();
    behaviour.set_all(text).map(|()| behaviour)
}

fn time_scale(text: &str) -> Result<TimeScale, String> {
    let right = |factor: &f64| *factor == 0.0 || (0.01..=1_000.0).contains(factor);
    let factor = text.parse().ok().filter(right);
    factor.map(TimeScale).ok_or_else(|| "must be 0, or a factor from 0.01 to 1000".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let amount = Quantity::parse(text).and_then(|amount| amount.amount()).map_err(|error| error.to_string())?;
    u64::try_from(amount.value())
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("{text} is not more than nothing"))
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
    use clap::CommandFactory;

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
    fn i7_an_init_containers_image_restarts_the_start_up_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().on_init_image_change, OnInitImageChange::Restart);
        assert_eq!(
            parse(&["--on-init-image-change", "ignore"]).unwrap().on_init_image_change,
            OnInitImageChange::Ignore
        );
        assert!(parse(&["--on-init-image-change", "panic"]).unwrap_err().contains("restart, ignore"));
    }

    #[test]
    fn a_node_is_where_its_kubelet_listens() {
        let address = |args: &[&str]| parse(args).unwrap().node_address().to_string();
        assert_eq!(address(&[]), "127.0.0.1");
        assert_eq!(address(&["--bind-address", "10.0.0.7"]), "10.0.0.7");
        assert_eq!(address(&["--bind-address", "10.0.0.7", "--node-ip", "10.0.0.8"]), "10.0.0.8");
        assert_eq!(address(&["--bind-address", "0.0.0.0"]), crate::node::machine::address().to_string());
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
    fn time_goes_at_a_pace_that_can_be_kept() {
        let scale = |text: &str| parse(&["--time-scale", text]).map(|config| config.time_scale.0);
        assert_eq!(parse(&[]).unwrap().time_scale.0, 1.0);
        assert_eq!((scale("10"), scale("0"), scale("0.5")), (Ok(10.0), Ok(0.0), Ok(0.5)));
        for wrong in ["fast", "5000", "NaN", "0.001"] {
            assert!(scale(wrong).unwrap_err().contains("must be 0, or a factor from 0.01 to 1000"), "{wrong}");
        }
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

    #[test]
    fn the_node_looks_after_itself_as_in_kubernetes_unless_told_otherwise() {
        let node = parse(&[]).unwrap().node;
        let lines = node.thresholds().unwrap();
        let names: Vec<_> = lines.iter().map(|line| line.signal.as_str()).collect();
        assert_eq!(
            names,
            [
                "memory.available",
                "nodefs.available",
                "nodefs.inodesFree",
                "imagefs.available",
                "imagefs.inodesFree",
                "allocatableMemory.available"
            ]
        );
        assert_eq!(node.eviction().unwrap().transition, Duration::from_secs(300));
        let gc = node.image_gc().unwrap();
        assert_eq!((gc.high, gc.low, gc.min_age, gc.max_age), (85, 80, Duration::from_secs(120), Duration::ZERO));
        assert!(node.shutdown().unwrap().0.is_empty(), "off");
        for (args, complaint) in [
            (&["--image-gc-low-threshold", "85"][..], "--image-gc-low-threshold 85 must be less than"),
            (&["--image-maximum-gc-age", "1m"], "--image-maximum-gc-age 60s must be longer"),
            (&["--eviction-soft", "memory.available<1Gi"], "--eviction-soft-grace-period memory.available=1m30s"),
            (&["--shutdown-grace-period", "5s", "--shutdown-grace-period-critical-pods", "9s"], "cannot be longer"),
            (&["--shutdown-grace-period", "5ms"], "at least 1s"),
        ] {
            let node = parse(args).unwrap().node;
            let errors = [node.eviction().err(), node.image_gc().err(), node.shutdown().err()];
            assert!(errors.iter().flatten().any(|error| error.contains(complaint)), "{args:?}: {errors:?}");
        }
        assert!(parse(&["--eviction-hard", "cpu.available<1"]).unwrap_err().contains("unsupported eviction signal"));
        assert!(parse(&["--kube-reserved", "cpu=-1"]).unwrap_err().contains("less than nothing"));
    }

    #[test]
    fn every_flag_of_the_node_can_come_from_the_environment() {
        for arg in Config::command().get_arguments().filter(|arg| arg.get_help_heading() == Some("Node")) {
            let id = arg.get_id().as_str();
            let env = arg.get_env().unwrap_or_else(|| panic!("--{id} has no env"));
            assert_eq!(env.to_str().unwrap(), format!("TRACEPLANE_{}", id.to_uppercase()));
        }
    }
}
