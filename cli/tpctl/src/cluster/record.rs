//! `cluster.json`: what was started, where it listens, and how to start it again.

use super::ports::Ports;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The cluster of a state folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterRecord {
    /// Where each part listens.
    pub(crate) ports: Ports,
    /// Names of the nodes that have a kubelet of their own.
    pub(crate) nodes: Vec<String>,
    /// Nodes that one further kubelet hosts together.
    pub(crate) simulated_nodes: u32,
    /// What runs containers on the nodes that have a kubelet of their own.
    #[serde(default)]
    pub(crate) engine: Engine,
    /// Where pods have their addresses; `None`: where the controller-manager gives them some.
    #[serde(default)]
    pub(crate) cluster_cidr: Option<String>,
    /// The processes, in the order of starting.
    pub(crate) processes: Vec<ProcessRecord>,
}

/// The container runtimes that come with the kubelet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Engine {
    /// No process runs: a catalogue and annotations say how containers behave.
    #[default]
    Virtual,
    /// Commands run for real, in namespaces of their own. Needs root.
    Process,
}

impl Engine {
    /// As the kubelet's flag has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Process => "process",
        }
    }
}

/// A process that was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessRecord {
    /// "apiserver", "kubelet-node-1".
    pub(crate) name: String,
    /// Its id.
    pub(crate) pid: i32,
    /// When the kernel started it, in clock ticks since boot: tells it from a later process of the same id.
    pub(crate) started: u64,
}

impl ClusterRecord {
    /// The process of the kubelet that hosts the simulated nodes together, if there is one.
    pub(crate) fn simulator(&self) -> Option<i32> {
        self.processes.iter().find(|process| process.name == "kubelet-simulator").map(|process| process.pid)
    }

    /// Address of the apiserver.
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    /// Where spans are sent.
    pub(crate) fn otlp_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.otlp_grpc)
    }

    /// Where traces are queried.
    pub(crate) fn query_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.query_http)
    }

    /// Where etcd answers clients.
    pub(crate) fn etcd_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.etcd_client)
    }

    /// The cluster of a state folder, if there is one.
    pub(crate) fn read(state: &Path) -> Result<Option<ClusterRecord>> {
        let path = path(state);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let record = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; stop what runs and delete {}", path.display(), state.display()))?;
        Ok(Some(record))
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        let path = path(state);
        let beside = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(self).expect("the record is plain data");
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("cluster.json")
}
