//! `tpctl status`: the processes of the cluster, and whether each is ready.

use super::plan::processes;
use super::process;
use super::ready::Prober;
use super::record::ClusterRecord;
use super::up::port_of;
use crate::global::Global;
use crate::pki::Pki;
use anyhow::{Result, bail};

/// `tpctl status`. Fails if a part is not ready, so that scripts can ask.
pub(crate) async fn status(global: &Global) -> Result<()> {
    let state = std::path::absolute(&global.state_dir)?;
    let Some(cluster) = ClusterRecord::read(&state)? else {
        bail!("no cluster is kept in {}; `tpctl up` starts one", state.display());
    };
    let pki = Pki::open(&state)?;
    let prober = Prober::new(&pki.ca())?;
    let mut missing = Vec::new();
    println!("{:<22} {:>8}  {:>5}  STATUS", "NAME", "PID", "PORT");
    for launch in processes(&state, &cluster, &pki)? {
        let running = cluster.processes.iter().find(|p| p.name == launch.name && process::is_running(p));
        let (pid, shown) = match running {
            None => ("-".to_owned(), "stopped".to_owned()),
            Some(process) => match prober.ask(&launch.ready).await {
                Ok(()) => (process.pid.to_string(), "ready".to_owned()),
                Err(why) => (process.pid.to_string(), format!("not ready: {why:#}")),
            },
        };
        if shown != "ready" {
            missing.push(launch.name.clone());
        }
        println!("{:<22} {pid:>8}  {:>5}  {shown}", launch.name, port_of(&launch.ready));
    }
    if !missing.is_empty() {
        bail!("not ready: {}; `tpctl up` starts what is stopped", missing.join(", "));
    }
    Ok(())
}
