//! Which processes a cluster has, and with which flags each is started. Decides only; `up` starts them.

use super::binaries;
use super::record::{ClusterRecord, Engine};
use crate::pki::{Component, Pki};
use crate::root_span::has_collector;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A process to start.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Also the name of its log file.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) ready: Ready,
}

/// How a process shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    /// It answers `GET /health` on this port, in plain HTTP.
    Etcd(u16),
    /// It answers `GET /readyz` on this port, in plain HTTP.
    Http(u16),
    /// The same over TLS, with a certificate of our authority.
    Https(u16),
}

/// All processes, in the order in which they need one another.
pub(crate) fn processes(state: &Path, cluster: &ClusterRecord, pki: &Pki) -> Result<Vec<Launch>> {
    let plan = Plan { state, cluster, pki };
    let mut all = vec![plan.etcd()?, plan.console()?, plan.apiserver()?, plan.scheduler()?, plan.controller_manager()?];
    for (node, port) in cluster.nodes.iter().zip(&cluster.ports.kubelets) {
        all.push(plan.kubelet(node, *port)?);
    }
    if cluster.simulated_nodes > 0 {
        all.push(plan.node_simulator()?);
    }
    Ok(all)
}

/// The same kubelet once more, to end what it has left if it was killed. `None`: it leaves nothing, because nothing of its pods is real.
pub(crate) fn put_away(state: &Path, cluster: &ClusterRecord, pki: &Pki, node: &str) -> Result<Option<Launch>> {
    if cluster.engine != Engine::Process || !state.join("kubelet").join(node).exists() {
        return Ok(None);
    }
    // It serves nothing, so any port will do.
    let mut launch = Plan { state, cluster, pki }.kubelet(node, 0)?;
    launch.args.push("--put-away".to_owned());
    Ok(Some(launch))
}

struct Plan<'a> {
    state: &'a Path,
    cluster: &'a ClusterRecord,
    pki: &'a Pki,
}

impl Plan<'_> {
    fn etcd(&self) -> Result<Launch> {
        let client = self.cluster.etcd_endpoint();
        let peer = format!("http://127.0.0.1:{}", self.cluster.ports.etcd_peer);
        Ok(Launch {
            name: "etcd".to_owned(),
            program: binaries::etcd()?,
            args: flags(&[
                ("name", "default".to_owned()),
                ("data-dir", self.state.join("etcd").display().to_string()),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("default={peer}")),
                // Room for objects of 1.5 MiB and their envelope.
                ("max-request-bytes", "2097152".to_owned()),
                ("quota-backend-bytes", (8_u64 << 30).to_string()),
                ("logger", "zap".to_owned()),
                ("log-level", "warn".to_owned()),
            ]),
            env: Vec::new(),
            ready: Ready::Etcd(self.cluster.ports.etcd_client),
        })
    }

    fn console(&self) -> Result<Launch> {
        let ports = &self.cluster.ports;
        Ok(Launch {
            name: "console".to_owned(),
            program: binaries::service("console")?,
            args: flags(&[
                ("otlp-grpc-port", ports.otlp_grpc.to_string()),
                ("otlp-http-port", ports.otlp_http.to_string()),
                ("query-grpc-port", ports.query_grpc.to_string()),
                ("query-http-port", ports.query_http.to_string()),
            ]),
            env: Vec::new(),
            ready: Ready::Http(ports.query_http),
        })
    }

    fn apiserver(&self) -> Result<Launch> {
        let mut args = self.serving(&Component::apiserver(), self.cluster.ports.apiserver);
        let kubelet_client = Component::apiserver_kubelet_client();
        args.extend(flags(&[
            ("client-ca-file", self.pki.ca().display().to_string()),
            ("etcd-servers", self.cluster.etcd_endpoint()),
            ("kubelet-client-certificate", self.pki.path(&kubelet_client, "crt").display().to_string()),
            ("kubelet-client-key", self.pki.path(&kubelet_client, "key").display().to_string()),
            ("kubelet-certificate-authority", self.pki.ca().display().to_string()),
        ]));
        self.traced("apiserver", "apiserver", args, Ready::Https(self.cluster.ports.apiserver))
    }

    fn scheduler(&self) -> Result<Launch> {
        let port = self.cluster.ports.scheduler;
        self.traced("scheduler", "scheduler", self.candidate(&Component::scheduler(), port), Ready::Https(port))
    }

    fn controller_manager(&self) -> Result<Launch> {
        let port = self.cluster.ports.controller_manager;
        let mut args = self.candidate(&Component::controller_manager(), port);
        if let Some(range) = &self.cluster.cluster_cidr {
            args.extend(flags(&[("cluster-cidr", range.clone())]));
        }
        self.traced("controller-manager", "controller-manager", args, Ready::Https(port))
    }

    fn kubelet(&self, node: &str, port: u16) -> Result<Launch> {
        let mut args = self.client(&Component::kubelet(node), port);
        let root = self.state.join("kubelet").join(node);
        args.extend(flags(&[
            ("node-name", node.to_owned()),
            ("root-dir", root.display().to_string()),
            ("client-ca-file", self.pki.ca().display().to_string()),
        ]));
        // Said only where it is not the default, which a container runtime's endpoint may replace.
        if self.cluster.engine != Engine::default() {
            args.extend(flags(&[("engine", self.cluster.engine.name().to_owned())]));
        }
        self.traced(&format!("kubelet-{node}"), "kubelet-sim", args, Ready::Https(port))
    }

    fn node_simulator(&self) -> Result<Launch> {
        let port = self.cluster.ports.kubelets[self.cluster.nodes.len()];
        let mut args = self.client(&Component::node_simulator(), port);
        let root = self.state.join("kubelet/simulator");
        args.extend(flags(&[
            ("nodes", self.cluster.simulated_nodes.to_string()),
            ("node-name-prefix", "sim".to_owned()),
            ("root-dir", root.display().to_string()),
            // Many nodes in one process are there to be many, not to run anything.
            ("engine", Engine::Virtual.name().to_owned()),
            ("client-ca-file", self.pki.ca().display().to_string()),
        ]));
        self.traced("kubelet-simulator", "kubelet-sim", args, Ready::Https(port))
    }

    fn traced(&self, name: &str, binary: &str, args: Vec<String>, ready: Ready) -> Result<Launch> {
        // Whoever sets the standard variables has a collector of their own; children inherit it.
        let own = has_collector();
        let env = if own { Vec::new() } else { vec![("OTEL_EXPORTER_OTLP_ENDPOINT", self.cluster.otlp_endpoint())] };
        Ok(Launch { name: name.to_owned(), program: binaries::service(binary)?, args, env, ready })
    }

    /// The flags of a component that works only while it leads.
    fn candidate(&self, component: &Component, port: u16) -> Vec<String> {
        let mut args = self.client(component, port);
        // The same name at each start: after a crash the lease is still ours, and nobody waits for it to expire. It is safe because only one
        // such process exists per state folder: `up` starts it when the last one is gone, and the port keeps a second one out.
        args.extend(flags(&[("leader-elect-identity", format!("{}@tpctl", component.file))]));
        args
    }

    fn client(&self, component: &Component, port: u16) -> Vec<String> {
        let mut args = self.serving(component, port);
        args.extend(flags(&[("kubeconfig", self.pki.kubeconfig_path(component).display().to_string())]));
        args
    }

    fn serving(&self, component: &Component, port: u16) -> Vec<String> {
        flags(&[
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            ("tls-cert-file", self.pki.path(component, "crt").display().to_string()),
            ("tls-private-key-file", self.pki.path(component, "key").display().to_string()),
        ])
    }
}

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
