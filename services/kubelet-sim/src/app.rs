//! The wiring: one client, one watch of pods, and per node a runtime, its workers and its heartbeat.

mod compare;
mod host;
mod routing;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Node, Pod};
use client::{Api, Client, Kubeconfig, Role};
use controller::Informer;
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::supervisor::{STOP_WITHIN, TaskError};
use service_kit::{Clock, Health, Listener, Metrics, OnFailure, Shutdown, Supervisor};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::Config;
use crate::node::Heartbeat;
use crate::pod::{ApiServer, PodChange};
use crate::runtime::catalogue::Catalogue;
use crate::runtime::virtual_engine::{Journal, Recovered};
use host::Process;
use routing::Routes;

/// Hosts its nodes from start to shutdown: the whole life of the process.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), TaskError> {
    let client = Client::new(&Kubeconfig::read(&config.kubeconfig)?.session(None)?)?.with_role(Role::Kubelet);
    let catalogue = Arc::new(catalogue(&config)?);
    let (journal, mut recovered) = open(&config.root_dir()).await?;
    let listener = Listener::bind(config.address(), "--secure-port").await?;
    let port = listener.local_addr().port();

    let supervisor = Supervisor::new(&shutdown);
    let health = Health::new();
    health.not_ready_after(&shutdown);
    let metrics = Metrics::new("kubelet");
    let running_pods = metrics.register("kubelet_running_pods", "Pods that have a worker", Gauge::default());
    let router = health.router().merge(metrics.router());
    let listener = match config.tls.open_server_config()? {
        Some(tls) => listener.with_tls(tls),
        None => listener,
    };
    let serving = listener.serve(router, shutdown.clone());
    supervisor.spawn("health and metrics", OnFailure::StopService, serving);

    let process = Arc::new(Process {
        nodes: Api::<Node>::all(client.clone()).untraced(),
        leases: Heartbeat::leases_of(&client),
        recorder: ApiServer::recorder(&client, &supervisor, &shutdown),
        clock: Clock::system(),
        machine: crate::node::machine::Machine::read(),
        address: config.node_ip.unwrap_or_else(crate::node::machine::address),
        port,
        running_pods,
        client: client.clone(),
        config: config.clone(),
    });
    let registered = health.gate("node-registered");
    let synced = health.gate("pods-synced");

    let mut routes = Routes::default();
    let mut hosted = Vec::new();
    for name in config.node_names() {
        let (node, changes) = process.host(&name, &catalogue, &journal, &mut recovered);
        routes.add(&name, changes);
        hosted.push(node);
    }
    let routes = Arc::new(routes);

    let pods = Api::<Pod>::all(client);
    let told = Arc::clone(&routes);
    let informer = Informer::of(pods.clone())
        .fields(routes.selector())
        .on_change(move |change, cause| told.tell(change, cause))
        .start(&supervisor, &shutdown);
    if !config.sync_frequency.is_zero() {
        let compare = compare::Comparison { pods, cache: informer.cache(), routes: Arc::clone(&routes) };
        let (every, shutdown) = (config.sync_frequency, shutdown.clone());
        supervisor.spawn("full comparison", OnFailure::StopService, async move {
            shutdown.run_until_triggered(compare.repeat(every)).await;
        });
    }
    let filled = informer.clone();
    supervisor.spawn("pods synced", OnFailure::StopService, async move {
        if filled.synced().await {
            synced.open();
            routes.tell_all(|| PodChange::Complete);
        }
    });
    let begun = Arc::clone(&process).begin(hosted, supervisor.clone(), shutdown.clone());
    let (stop, count) = (shutdown.clone(), config.node_names().len());
    supervisor.spawn("registration", OnFailure::StopService, async move {
        match stop.run_until_triggered(begun).await {
            Some(Ok(())) => {
                registered.open();
                info!(nodes = count, "all nodes are registered");
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        }
    });

    shutdown.triggered().await;
    let ended = supervisor.wait(STOP_WITHIN).await;
    journal.flush().await;
    Ok(ended?)
}

/// Opens the journal. A predecessor that is still ending is waited for.
async fn open(root: &Path) -> Result<(Journal, Recovered), TaskError> {
    let patience = Instant::now() + Duration::from_secs(3);
    loop {
        match Journal::open(root) {
            Ok(opened) => return Ok(opened),
            Err(busy) if busy.kind() == ErrorKind::ResourceBusy && Instant::now() < patience => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(format!("cannot keep state in {}: {error}", root.display()).into()),
        }
    }
}

fn catalogue(config: &Config) -> Result<Catalogue, TaskError> {
    let built_in = Catalogue::built_in();
    let Some(file) = &config.image_catalogue else { return Ok(built_in) };
    let wrong = |error: &dyn std::fmt::Display| format!("--image-catalogue {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    Ok(built_in.with(&text).map_err(|error| wrong(&error))?)
}
