//! `tpctl up`: starts what is not running and waits until it is ready.
//!
//! etcd comes first, then the apiserver, then everything else at once. If something does not come up, or on Ctrl-C, what this command has
//! started is stopped again.

use super::addresses;
use super::down;
use super::neighbours::Neighbours;
use super::plan::{Launch, Ready, processes};
use super::ports::{PortChoice, Ports};
use super::process::{self, Started};
use super::ready::Prober;
use super::record::{ClusterRecord, Engine, ProcessRecord};
use crate::failure::Interrupted;
use crate::global::{DEFAULT_STATE_DIR, Global};
use crate::pki::{Component, Pki};
use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use api::core::v1::Node;
use clap::Args;
use client::{Api, Client, Kubeconfig};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Flags of `tpctl up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Nodes, each with a kubelet process of its own. Counts at the first start only [default: 3].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(0..=32))]
    nodes: Option<u16>,
    /// Further nodes, hosted by one kubelet process together. Counts at the first start only [default: 0].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=5000))]
    simulated_nodes: Option<u32>,
    /// What runs containers on the nodes of --nodes: virtual (nothing runs, behaviour is described) or process (commands run for
    /// real; needs root). Counts at the first start only [default: virtual].
    #[arg(long, value_name = "ENGINE", env = "TRACEPLANE_ENGINE", value_enum, hide_possible_values = true)]
    engine: Option<Engine>,
    /// Number to add to every default port, or "free" to take ports that are free. Counts at the first start only.
    #[arg(long, value_name = "OFFSET", default_value = "0")]
    ports: PortChoice,
    /// How long to wait until everything is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// Enough for three pods to be spread.
const NODES: u16 = 3;
/// How often a starting process is asked.
const ASK: Duration = Duration::from_millis(15);
/// How long a process may take to die of a signal that it cannot catch, on a busy machine.
const DYING: Duration = Duration::from_secs(1);
/// How long a process may take to stop when the start failed.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// `tpctl up`.
pub(crate) async fn up(global: &Global, args: &UpArgs) -> Result<()> {
    let begin = Instant::now();
    let state = absolute(&global.state_dir)?;
    fs::create_dir_all(state.join("logs")).with_context(|| format!("cannot make the folder {}", state.display()))?;
    let (mut cluster, is_new) = open(&state, args)?;
    let outcome = start(global, args, &state, &mut cluster, begin).await;
    if outcome.is_err() && is_new {
        let _ = fs::remove_file(state.join("cluster.json"));
    }
    outcome
}

/// The cluster of the state folder, or a new one. What it has is its own from here on.
fn open(state: &Path, args: &UpArgs) -> Result<(ClusterRecord, bool)> {
    let neighbours = Neighbours::of(state)?;
    let (cluster, is_new) = match ClusterRecord::read(state)? {
        Some(cluster) => (cluster, false),
        None => (new_cluster(state, args, &neighbours)?, true),
    };
    neighbours.join(&cluster)?;
    Ok((cluster, is_new))
}

async fn start(
    global: &Global,
    args: &UpArgs,
    state: &Path,
    cluster: &mut ClusterRecord,
    begin: Instant,
) -> Result<()> {
    let pki = Pki::open(state)?;
    pki.ensure(&cluster.server(), &[], &cluster.nodes)?;
    let launches = processes(state, cluster, &pki)?;
    let prober = Prober::new(&pki.ca())?;
    cluster.processes = still_running(cluster, &launches, &prober).await;
    let missing: Vec<&Launch> =
        launches.iter().filter(|l| !cluster.processes.iter().any(|p| p.name == l.name)).collect();
    if missing.is_empty() {
        println!("The cluster is running: {}", cluster.server());
        let differs = args.nodes.is_some_and(|nodes| usize::from(nodes) != cluster.nodes.len())
            || args.simulated_nodes.is_some_and(|nodes| nodes != cluster.simulated_nodes)
            || args.engine.is_some_and(|engine| engine != cluster.engine);
        if differs {
            let (nodes, simulated, engine) = (cluster.nodes.len(), cluster.simulated_nodes, cluster.engine.name());
            eprintln!(
                "It was made with --nodes {nodes} --simulated-nodes {simulated} --engine {engine}; `tpctl down --purge` ends it for good."
            );
        }
        return Ok(());
    }
    let mut attempt = Attempt {
        state,
        prober,
        progress: Progress::start("Starting the cluster"),
        deadline: begin + Duration::from_secs(args.timeout),
        started: Vec::new(),
    };
    let outcome = tokio::select! {
        outcome = attempt.start_all(&missing, cluster) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
    };
    let outcome = match outcome {
        Ok(()) => attempt.nodes_ready(&pki, cluster).await,
        failed => failed,
    };
    if let Err(error) = outcome {
        attempt.undo(cluster).await;
        cluster.write(state)?;
        return Err(error);
    }
    let nodes = cluster.nodes.len() + usize::try_from(cluster.simulated_nodes).unwrap_or(usize::MAX);
    let took = begin.elapsed().as_secs_f64();
    let nodes = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
    attempt.progress.done(&format!("The cluster is ready: {} with {nodes}, in {took:.1} s", cluster.server()));
    println!("  kubeconfig  {}", pki.kubeconfig_path(&Component::admin()).display());
    println!("  traces      {}/api/v3 (tpctl trace --last)", cluster.query_url());
    println!("  logs        {}", state.join("logs").display());
    match global.state_dir == Path::new(DEFAULT_STATE_DIR) || std::env::var_os("TRACEPLANE_STATE_DIR").is_some() {
        true => println!("  stop        tpctl down"),
        false => println!("  stop        tpctl --state-dir '{}' down", global.state_dir.display()),
    }
    Ok(())
}

/// The processes that run. One that does not answer is looked at for a moment: it may have been killed just now. One that has ended is
/// waited for, until its port is free.
async fn still_running(cluster: &ClusterRecord, launches: &[Launch], prober: &Prober) -> Vec<ProcessRecord> {
    let mut running = Vec::new();
    for process in &cluster.processes {
        let ready = launches.iter().find(|launch| launch.name == process.name).map(|launch| &launch.ready);
        let answers = match ready {
            Some(ready) if process::is_running(process) => prober.ask(ready).await.is_ok(),
            _ => false,
        };
        let patience = if process::is_running(process) { DYING } else { STOP_GRACE };
        if answers || !process::ended(process, patience).await {
            running.push(process.clone());
        }
    }
    running
}

fn new_cluster(state: &Path, args: &UpArgs, neighbours: &Neighbours) -> Result<ClusterRecord> {
    let (nodes, simulated_nodes) = (args.nodes.unwrap_or(NODES), args.simulated_nodes.unwrap_or(0));
    if nodes == 0 && simulated_nodes == 0 {
        bail!("a cluster without nodes runs nothing; ask for some with --nodes or --simulated-nodes");
    }
    let nodes: Vec<String> = (1..=nodes).map(|number| format!("node-{number}")).collect();
    let kubelets = nodes.len() + usize::from(simulated_nodes > 0);
    let (ports, engine) = (Ports::choose(args.ports, kubelets, &neighbours.ports())?, args.engine.unwrap_or_default());
    let many = nodes.len() + usize::try_from(simulated_nodes).unwrap_or(usize::MAX);
    let cluster_cidr = match engine {
        Engine::Process => Some(addresses::unused(state, many, neighbours.ranges())?.to_string()),
        Engine::Virtual => None,
    };
    Ok(ClusterRecord { ports, nodes, simulated_nodes, engine, cluster_cidr, processes: Vec::new() })
}

/// Children run in other folders of their own choosing one day; their paths must not depend on it.
pub(super) fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}

/// One run of the command.
struct Attempt<'a> {
    state: &'a Path,
    prober: Prober,
    progress: Progress,
    deadline: Instant,
    started: Vec<Started>,
}

impl Attempt<'_> {
    async fn start_all(&mut self, launches: &[&Launch], cluster: &mut ClusterRecord) -> Result<()> {
        let is_first = |l: &&&Launch| l.name == "etcd" || l.name == "console";
        let is_second = |l: &&&Launch| l.name == "apiserver";
        let waves: [Vec<&Launch>; 3] = [
            launches.iter().filter(is_first).copied().collect(),
            launches.iter().filter(is_second).copied().collect(),
            launches.iter().filter(|l| !is_first(l) && !is_second(l)).copied().collect(),
        ];
        for wave in waves {
            for launch in &wave {
                let started = process::start(self.state, launch)?;
                cluster.processes.push(started.record.clone());
                self.started.push(started);
                // Written at once: a process that nobody knows of could not be stopped.
                cluster.write(self.state)?;
            }
            for launch in &wave {
                self.wait_for(launch).await?;
            }
        }
        Ok(())
    }

    async fn wait_for(&mut self, launch: &Launch) -> Result<()> {
        self.progress.say(format!("Waiting for {}", launch.name));
        loop {
            let answer = self.prober.ask(&launch.ready).await;
            if let Some(failure) = self.started.iter_mut().find_map(|s| s.failure(self.state)) {
                bail!("{failure}");
            }
            let Err(why) = answer else { return Ok(()) };
            if Instant::now() > self.deadline {
                let log = process::log_path(self.state, &launch.name);
                bail!("{} is not ready in time: {why:#}; see {}", launch.name, log.display());
            }
            tokio::time::sleep(ASK).await;
        }
    }

    async fn nodes_ready(&mut self, pki: &Pki, cluster: &ClusterRecord) -> Result<()> {
        self.progress.say("Waiting for the nodes");
        let session = Kubeconfig::read(&pki.kubeconfig_path(&Component::admin()))?.session(None)?;
        let nodes: Api<Node> = Api::all(Client::new(&session)?).untraced();
        let expected = cluster.nodes.len() + usize::try_from(cluster.simulated_nodes).unwrap_or(usize::MAX);
        let all_ready = async {
            let mut watch = nodes.watch(Default::default()).await?;
            let mut ready = std::collections::BTreeSet::new();
            while ready.len() < expected {
                use client::WatchEvent::{Added, Bookmark, Deleted, Modified};
                match watch.next().await.context("the watch of nodes ended")?? {
                    Added(node, _) | Modified(node, _) if is_ready(&node) => {
                        _ = ready.insert(node.metadata.name.clone())
                    }
                    Added(node, _) | Modified(node, _) | Deleted(node, _) => _ = ready.remove(&node.metadata.name),
                    Bookmark { .. } => {}
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            outcome = all_ready => outcome,
            () = tokio::time::sleep_until(self.deadline) => bail!("not all {expected} nodes are Ready in time; see {}", self.state.join("logs").display()),
            _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
        }
    }

    async fn undo(&mut self, cluster: &mut ClusterRecord) {
        self.progress.say("Stopping what was started");
        for started in self.started.iter().rev() {
            process::stop(&started.record, STOP_GRACE).await;
        }
        cluster.processes.retain(process::is_running);
        // The record of a new cluster goes, and with it all that `down` would find this by.
        let ours = |name: &str| self.started.iter().any(|started| started.record.name == name);
        if let Err(error) = down::put_away(self.state, cluster, ours, &self.progress).await {
            eprintln!("warning: {error:#}");
        }
    }
}

fn is_ready(node: &Node) -> bool {
    node.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True")
}

/// Whether a launch is answered over plain HTTP; used by the status command to say what listens.
pub(crate) fn port_of(ready: &Ready) -> u16 {
    match ready {
        Ready::Etcd(port) | Ready::Http(port) | Ready::Https(port) => *port,
    }
}
