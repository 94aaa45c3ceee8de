//! `tpctl bench`: how quick this cluster is on this machine.

use super::patience::{Status, with_progress, within};
use crate::bench::{EtcdLoad, KubeletReport, PodLoad, Report, Usage, measure_etcd, measure_pods, size_of_one};
use crate::cluster::ClusterRecord;
use crate::duration::duration;
use crate::failure::Interrupted;
use crate::global::Global;
use crate::objects::until;
use crate::print::out;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::Resource;
use api::core::v1::{Namespace, Node, Pod};
use api::meta::v1::{DeleteOptions, ListOptions};
use clap::{Args, Subcommand, ValueEnum};
use client::{Api, WatchEvent};
use std::time::Duration;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Pods from create to Running, beside the raw transactions of the same etcd.
    Pods(PodsArgs),
    /// What a kubelet with many pods costs: memory for each, and processor time when nothing happens.
    Kubelet(KubeletArgs),
}

/// Flags of `tpctl bench pods`.
#[derive(Debug, Args)]
pub(crate) struct PodsArgs {
    /// How many pods.
    #[arg(value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many create requests are under way at any time.
    #[arg(short, long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Image of the pods. The default one needs no pull.
    #[arg(long, value_name = "IMAGE", default_value = "registry.k8s.io/pause:3.10")]
    image: String,
    /// Wait until so many nodes are Ready before anything is measured.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    nodes_ready: usize,
    /// How long all of it may take.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Where etcd answers; that of the cluster in the state folder by default.
    #[arg(long, value_name = "URL", env = "TRACEPLANE_ETCD_ENDPOINT")]
    etcd_endpoint: Option<String>,
    /// How long etcd alone is measured; 0 leaves it out.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    etcd_duration: Duration,
    /// Have the pods leave no traces.
    #[arg(long)]
    untraced: bool,
    /// Print JSON instead of a table.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<BenchFormat>,
}

/// Flags of `tpctl bench kubelet`.
#[derive(Debug, Args)]
pub(crate) struct KubeletArgs {
    /// How many pods.
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pods: u32,
    /// Wait until so many nodes are Ready before anything is measured.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    nodes: usize,
    /// The kubelet's process; that of the simulated nodes of the cluster in the state folder by default.
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
    /// How long it is watched doing nothing.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    idle: Duration,
    /// Image of the pods. The default one needs no pull.
    #[arg(long, value_name = "IMAGE", default_value = "registry.k8s.io/pause:3.10")]
    image: String,
    /// How long all of it may take.
    #[arg(long, value_name = "DURATION", default_value = "20m", value_parser = duration)]
    timeout: Duration,
    /// Print JSON instead of a table.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<BenchFormat>,
}

/// The values of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BenchFormat {
    /// For programs; times in milliseconds.
    Json,
}

/// `tpctl bench`. Cleans up after itself, also after Ctrl-C.
pub(crate) async fn run(global: &Global, session: &Session, command: &BenchCommand) -> Result<()> {
    let args = match command {
        BenchCommand::Pods(args) => args,
        BenchCommand::Kubelet(args) => return run_kubelet(global, session, args).await,
    };
    let etcd = etcd_endpoint(global, args);
    let report = with_progress(|status| pods(session, args, etcd, status)).await?;
    match args.output {
        None => out(&report.table()),
        Some(BenchFormat::Json) => out(&format!("{:#}\n", report.json())),
    }
}

fn etcd_endpoint(global: &Global, args: &PodsArgs) -> Result<String, String> {
    if args.etcd_duration.is_zero() {
        return Err("--etcd-duration is 0".to_owned());
    }
    let known = || ClusterRecord::read(&global.state_dir).ok().flatten().map(|cluster| cluster.etcd_endpoint());
    args.etcd_endpoint.clone().or_else(known).ok_or_else(|| {
        format!(
            "its address is not known, as no cluster is kept in {}; name it with --etcd-endpoint",
            global.state_dir.display()
        )
    })
}

async fn pods(session: &Session, args: &PodsArgs, etcd: Result<String, String>, status: Status) -> Result<Report> {
    let name = format!("bench-{:08x}", rand::random::<u32>());
    let load = PodLoad {
        count: usize::try_from(args.count).unwrap_or(usize::MAX),
        concurrency: usize::try_from(args.concurrency).unwrap_or(usize::MAX),
        image: args.image.clone(),
    };
    let nodes =
        within(Some(args.timeout), || "nodes".to_owned(), ready_nodes(session, args.nodes_ready, &status)).await?;
    check_room(&nodes, &load)?;
    make_namespace(session, &name).await?;
    let measure = measure(session, args, &name, load, nodes.len(), etcd, &status);
    Box::pin(and_clear(session, &name, args.timeout, measure, &status)).await
}

async fn run_kubelet(global: &Global, session: &Session, args: &KubeletArgs) -> Result<()> {
    let known = || ClusterRecord::read(&global.state_dir).ok().flatten().and_then(|cluster| cluster.simulator());
    let Some(pid) = args.pid.or_else(known) else {
        bail!(
            "no cluster with simulated nodes is kept in {}; name the kubelet's process with --pid",
            global.state_dir.display()
        )
    };
    let report = with_progress(|status| kubelet(session, args, pid, status)).await?;
    match args.output {
        None => out(&report.table()),
        Some(BenchFormat::Json) => out(&format!("{:#}\n", report.json())),
    }
}

async fn kubelet(session: &Session, args: &KubeletArgs, pid: i32, status: Status) -> Result<KubeletReport> {
    let name = format!("bench-{:08x}", rand::random::<u32>());
    let count = usize::try_from(args.pods).unwrap_or(usize::MAX);
    let load = PodLoad { count, concurrency: 10, image: args.image.clone() };
    let nodes = within(Some(args.timeout), || "nodes".to_owned(), ready_nodes(session, args.nodes, &status)).await?;
    check_room(&nodes, &load)?;
    make_namespace(session, &name).await?;
    let measure = async {
        let before = Usage::of(pid)?;
        let pods = Api::<Pod>::namespaced(session.client.clone(), &name).untraced();
        measure_pods(&pods, &load, |running| _ = status.send_replace(format!("{running} of {count} pods run"))).await?;
        status.send_replace("Watching the kubelet do nothing".to_owned());
        KubeletReport::measure(pid, before, count, nodes.len(), args.idle).await
    };
    Box::pin(and_clear(session, &name, args.timeout, measure, &status)).await
}

async fn make_namespace(session: &Session, name: &str) -> Result<()> {
    let mut namespace = Namespace::default();
    name.clone_into(&mut namespace.metadata.name);
    Api::<Namespace>::all(session.client.clone()).untraced().create(&namespace).await?;
    Ok(())
}

/// Measures, and removes what was made for it, whatever came of it.
async fn and_clear<R>(
    session: &Session,
    name: &str,
    timeout: Duration,
    measure: impl Future<Output = Result<R>>,
    status: &Status,
) -> Result<R> {
    let outcome = tokio::select! {
        outcome = within(Some(timeout), || format!("pods in the namespace {name}"), measure) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Interrupted.into()),
    };
    status.send_replace("Removing the pods".to_owned());
    let cleared = within(Some(timeout), || format!("namespaces/{name}"), clear(session, name)).await;
    let report = outcome?;
    cleared.with_context(|| format!("the namespace {name} could not be removed"))?;
    Ok(report)
}

async fn measure(
    session: &Session,
    args: &PodsArgs,
    namespace: &str,
    load: PodLoad,
    nodes: usize,
    etcd: Result<String, String>,
    status: &Status,
) -> Result<Report> {
    let pods = Api::<Pod>::namespaced(session.client.clone(), namespace);
    let pods = if args.untraced { pods.untraced() } else { pods };
    let bytes = size_of_one(&pods, &load).await?;
    // etcd first: afterwards it has the pods' deletion to deal with.
    let etcd = match etcd {
        Err(why) => Err(why),
        Ok(endpoint) => {
            status.send_replace("Measuring etcd alone".to_owned());
            let duration = args.etcd_duration;
            let load = EtcdLoad { endpoint, concurrency: load.concurrency, value_bytes: bytes, duration };
            measure_etcd(&load).await.map_err(|error| format!("{error:#}"))
        }
    };
    let count = load.count;
    let tell = |running: usize| _ = status.send_replace(format!("{running} of {count} pods run"));
    tell(0);
    let measured = measure_pods(&pods, &load, tell).await?;
    Ok(Report { load, nodes, bytes, pods: measured, etcd })
}

/// The Ready nodes, once there are enough.
async fn ready_nodes(session: &Session, wanted: usize, status: &Status) -> Result<Vec<Node>> {
    let nodes: Api<Node> = Api::all(session.client.clone()).untraced();
    loop {
        let list = nodes.list(ListOptions::default()).await?;
        let is_ready = |node: &Node| node.status.conditions.iter().any(|c| c.r#type == "Ready" && c.status == "True");
        let ready: Vec<Node> = list.items.into_iter().filter(is_ready).collect();
        if ready.len() >= wanted {
            return Ok(ready);
        }
        status.send_replace(format!("{} of {wanted} nodes are Ready", ready.len()));
        let options = ListOptions { resource_version: list.metadata.resource_version, ..ListOptions::default() };
        let mut events = nodes.watch(options).await?;
        // Any change is a reason to count again.
        while let Some(event) = events.next().await {
            if !matches!(event?, WatchEvent::Bookmark { .. }) {
                break;
            }
        }
    }
}

/// Pods that do not fit would wait for ever.
fn check_room(nodes: &[Node], load: &PodLoad) -> Result<()> {
    let room = |node: &Node| node.status.allocatable.get("pods").map_or(0, |pods| pods.amount_or_zero().value());
    let total: i64 = nodes.iter().map(room).sum();
    if i64::try_from(load.count).is_ok_and(|count| count > total) {
        bail!(
            "{} pods do not fit: {} nodes take {total} together; start more of them with `tpctl up --simulated-nodes`, or measure fewer pods",
            load.count,
            nodes.len()
        );
    }
    Ok(())
}

/// Removes the pods at once, then their namespace, and waits until it is gone.
async fn clear(session: &Session, name: &str) -> Result<()> {
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    let pods = Api::<Pod>::namespaced(session.client.clone(), name).untraced();
    pods.delete_collection(ListOptions::default(), now).await?;
    Api::<Namespace>::all(session.client.clone()).untraced().delete(name, DeleteOptions::default()).await?;
    until(&*session.api(Namespace::INFO), "", name, |namespace| Ok(namespace.is_none())).await
}
