//! The wiring: one client, one watch of pods, and per node a runtime, its workers and its heartbeat.

mod addresses;
mod compare;
mod host;
mod housekeeping;
mod pace;
mod routing;
mod runtimes;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Node, Pod};
use client::{Api, Client, Kubeconfig, Role};
use controller::{Change, Informer};
use futures::future::join_all;
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::supervisor::{STOP_WITHIN, TaskError};
use service_kit::{Clock, Health, Listener, Metrics, OnFailure, Shutdown, Supervisor};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::Config;
use crate::node::Heartbeat;
use crate::pod::{ApiServer, NodeContext, PodChange, Sources};
use crate::runtime::Runtime;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::log_files::Rotation;
use crate::runtime::virtual_engine::{Journal, Recovered};
use crate::server::{self, Lookup};
use crate::shutdown::end_pods;
use crate::static_pods::StaticPods;
use host::Process;
use housekeeping::keep_house;
use routing::Routes;
use runtimes::Runtimes;

/// Hosts its nodes from start to shutdown: the whole life of the process. If pods are to end with their node, everything goes on until they
/// have ended.
pub async fn run(config: Config, asked_to_stop: Shutdown) -> Result<(), TaskError> {
    if config.put_away {
        return Runtimes::put_away(&config).await;
    }
    let periods = config.node.shutdown()?;
    let shutdown = Shutdown::new();
    let client = Client::new(&Kubeconfig::read(&config.kubeconfig)?.session(None)?)?.with_role(Role::Kubelet);
    let (clock, stepper) = pace::clock(&config)?;
    let mut runtimes = Runtimes::open(&config, catalogue(&config)?, clock.clone()).await?;
    let listener = Listener::bind(config.address(), "--secure-port").await?;
    let port = listener.local_addr().port();

    let supervisor = Supervisor::new(&shutdown);
    let health = Health::new();
    health.not_ready_after(&asked_to_stop);
    let metrics = Metrics::new("kubelet");
    let running_pods = metrics.register("kubelet_running_pods", "Pods that have a worker", Gauge::default());
    let listener = match config.tls.open_server_config()? {
        Some(tls) => listener.with_tls(tls),
        None => listener,
    };

    let process = Arc::new(Process {
        nodes: Api::<Node>::all(client.clone()).untraced(),
        leases: Heartbeat::leases_of(&client),
        recorder: ApiServer::recorder(&client, &supervisor, &shutdown),
        sources: Sources::start(&client, &supervisor, &shutdown),
        dns: config.dns()?,
        clock,
        machine: crate::node::machine::Machine::read(),
        root_dir: std::path::absolute(config.root_dir())?,
        address: config.node_address(),
        port,
        running_pods,
        eviction: config.node.eviction()?,
        image_gc: config.node.image_gc()?,
        client: client.clone(),
        config: config.clone(),
    });
    if let Some(stepper) = stepper {
        pace::step_on_signal(stepper, &config, &supervisor, &shutdown)?;
    }
    let registered = health.gate("node-registered");
    let synced = health.gate("pods-synced");

    let mut routes = Routes::default();
    let mut hosted = Vec::new();
    let mut served = HashMap::new();
    for name in config.node_names() {
        // Many nodes share one connection and have no files; a single one may also find mirrors of a predecessor's pods.
        let static_pods = config.nodes.is_none().then(|| {
            let (path, every) = (config.pod_manifest_path.clone(), config.file_check_frequency);
            StaticPods::new(&name, path, every, &process.client, process.clock.clone())
        });
        let runtime = runtimes.of_node(&name)?;
        served.insert(name.clone(), runtime.runtime.clone());
        if runtime.files.is_some() {
            rotate_logs(&config, &name, &runtime.runtime, &supervisor, &shutdown);
        }
        let node = process.host(&name, runtime, static_pods.clone());
        routes.add(&name, node.changes.clone());
        if let Some(static_pods) = static_pods {
            routes.add_mirrors(static_pods);
        }
        hosted.push(node);
    }
    let routes = Arc::new(routes);

    let known: HashMap<String, Arc<NodeContext>> =
        hosted.iter().map(|node| (node.context.name.clone(), Arc::clone(&node.context))).collect();
    Informer::of(process.nodes.clone())
        .fields(routes.node_selector())
        .on_change(move |change: &Change<Node>, _| {
            if let (Some(context), Change::Added(node) | Change::Updated { new: node, .. }) =
                (known.get(&change.object().metadata.name), change)
            {
                context.learn(Arc::clone(node));
            }
        })
        .start(&supervisor, &shutdown);

    let pods = Api::<Pod>::all(client);
    let told = Arc::clone(&routes);
    let informer = Informer::of(pods.clone())
        .fields(routes.selector())
        .on_change(move |change, cause| told.tell(change, cause))
        .start(&supervisor, &shutdown);
    let lookup = Lookup { nodes: served, pods: informer.cache() };
    let router = health.router().merge(metrics.router()).merge(server::routes(lookup, shutdown.clone()));
    supervisor.spawn("server", OnFailure::StopService, listener.serve(router, shutdown.clone()));
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
    let cache = informer.cache();
    let housekeepers: Vec<_> = hosted.iter().map(|node| process.housekeeper(node, cache.clone())).collect();
    let nodes: Vec<_> = hosted.iter().map(|node| (Arc::clone(&node.context), node.changes.clone())).collect();
    let begun = Arc::clone(&process).begin(hosted, supervisor.clone(), shutdown.clone());
    let (stop, count) = (shutdown.clone(), config.node_names().len());
    let (look, collect) = (config.node.housekeeping_interval, config.node.image_gc_period);
    let keeping = (supervisor.clone(), shutdown.clone());
    supervisor.spawn("registration", OnFailure::StopService, async move {
        match stop.run_until_triggered(begun).await {
            Some(Ok(())) => {
                registered.open();
                info!(nodes = count, "all nodes are registered");
                let (supervisor, shutdown) = keeping;
                supervisor.spawn("housekeeping", OnFailure::StopService, async move {
                    shutdown.run_until_triggered(keep_house(housekeepers, look, collect)).await;
                });
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        }
    });

    tokio::select! {
        () = asked_to_stop.triggered() => {}
        // A task has failed.
        () = shutdown.triggered() => {}
    }
    if !periods.0.is_empty() && asked_to_stop.is_triggered() {
        let ending =
            nodes.into_iter().map(|(context, changes)| end_pods(context, cache.clone(), changes, periods.clone()));
        tokio::select! {
            _ = join_all(ending) => {}
            () = shutdown.triggered() => {}
        }
    }
    shutdown.trigger();
    let ended = supervisor.wait(STOP_WITHIN).await;
    runtimes.end().await;
    Ok(ended?)
}

/// Keeps the log files of a node's containers small.
fn rotate_logs(config: &Config, node: &str, runtime: &Runtime, supervisor: &Supervisor, shutdown: &Shutdown) {
    let rotation = Rotation {
        max_size: config.container_log_max_size,
        max_files: usize::try_from(config.container_log_max_files).unwrap_or(usize::MAX),
    };
    let (runtime, shutdown) = (runtime.clone(), shutdown.clone());
    supervisor.spawn(format!("log rotation of {node}"), OnFailure::StopService, async move {
        shutdown.run_until_triggered(rotation.keep(&runtime, &Clock::system())).await;
    });
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
    let mut built_in = Catalogue::built_in();
    built_in.runtime = config.runtime_behaviour;
    let Some(file) = &config.image_catalogue else { return Ok(built_in) };
    let wrong = |error: &dyn std::fmt::Display| format!("--image-catalogue {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    Ok(built_in.with(&text).map_err(|error| wrong(&error))?)
}
