//! `tpctl down`: stops the processes, those that need others first.
//!
//! A kubelet takes its pods along. What one has left that was killed (processes, mounts, a bridge) is put away by another run of its program:
//! only that knows how. Nobody else can tell how a process ended that is not its child, so each kubelet is run once more.

use super::neighbours::Neighbours;
use super::plan;
use super::process;
use super::record::ClusterRecord;
use super::up::absolute;
use crate::global::Global;
use crate::pki::Pki;
use crate::progress::Progress;
use anyhow::{Context, Result};
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// Flags of `tpctl down`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DownArgs {
    /// Delete the state folder too: etcd's data, certificates, logs.
    #[arg(long)]
    purge: bool,
}

/// How long a service may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// How long it may take to put away what one killed kubelet has left.
const PUT_AWAY: Duration = Duration::from_secs(60);

/// `tpctl down`.
pub(crate) async fn down(global: &Global, args: &DownArgs) -> Result<()> {
    let state = &absolute(&global.state_dir)?;
    let Some(mut cluster) = ClusterRecord::read(state)? else {
        println!("No cluster is kept in {}.", state.display());
        return Ok(());
    };
    let progress = Progress::start("Stopping the cluster");
    let is_base = |name: &str| matches!(name, "etcd" | "console" | "apiserver");
    let (base, workers): (Vec<_>, Vec<_>) =
        cluster.processes.iter().filter(|p| process::is_running(p)).cloned().partition(|p| is_base(&p.name));
    // The workers do not need one another; apiserver, console and etcd go in this order.
    let mut killed: Vec<String> = Vec::new();
    let stopped =
        futures::future::join_all(workers.iter().map(|p| async move { (p, process::stop(p, GRACE).await) })).await;
    killed.extend(stopped.iter().filter(|(_, by_itself)| !by_itself).map(|(p, _)| p.name.clone()));
    put_away(state, &cluster, |_| true, &progress).await?;
    for process in base.iter().rev() {
        progress.say(format!("Stopping {}", process.name));
        if !process::stop(process, GRACE).await {
            killed.push(process.name.clone());
        }
    }
    cluster.processes.clear();
    cluster.write(state)?;
    if args.purge {
        std::fs::remove_dir_all(state).with_context(|| format!("cannot delete {}", state.display()))?;
        // Its link leads nowhere now, and goes. If not here, then where somebody looks next.
        let _ = Neighbours::of(state);
    }
    progress.done(match args.purge {
        true => "The cluster is stopped and its state deleted.",
        false => "The cluster is stopped; `tpctl up` starts it again with its objects.",
    });
    if !killed.is_empty() {
        eprintln!("warning: killed, because they did not stop within {GRACE:?}: {}", killed.join(", "));
    }
    Ok(())
}

/// Ends what kubelets have left: those that do not run any more and whose process's name is one of `names`.
pub(super) async fn put_away(
    state: &Path,
    cluster: &ClusterRecord,
    names: impl Fn(&str) -> bool,
    progress: &Progress,
) -> Result<()> {
    for node in &cluster.nodes {
        let name = format!("kubelet-{node}");
        let runs = cluster.processes.iter().any(|process| process.name == name && process::is_running(process));
        if runs || !names(&name) {
            continue;
        }
        if let Some(launch) = plan::put_away(state, cluster, &Pki::open(state)?, node)? {
            progress.say(format!("Putting away the pods of {node}"));
            let done = process::run(state, &launch, PUT_AWAY).await;
            done.with_context(|| format!("cannot put away what {name} has left"))?;
        }
    }
    Ok(())
}
