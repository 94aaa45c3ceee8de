//! Hosting nodes: what each one is made of, and how it comes up.
//!
//! A node comes up in this order: its pods' addresses are settled, the runtime learns them, the node is registered as ready, and only then
//! its workers begin. What was told to them meanwhile waits in their inbox.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use api::Reason;
use api::coordination::v1::Lease;
use api::core::v1::{Node, NodeStatus};
use api::meta::v1::ListOptions;
use client::{Api, Client};
use controller::Recorder;
use futures::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, RwLock};
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::supervisor::TaskError;
use service_kit::{Backoff, Clock, OnFailure, Shutdown, Supervisor};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::Config;
use crate::cri;
use crate::lifecycle::NodeFacts;
use crate::node::cidr::{self, Cidr};
use crate::node::machine::Machine;
use crate::node::{Facts, Heartbeat, NodeSpecifics, register};
use crate::pod::{ApiServer, NodeContext, PodChange, Workers};
use crate::runtime::Runtime;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::virtual_engine::{Journal, Recovered, VirtualEngine};

/// How many nodes are registered at the same time.
const AT_ONCE: usize = 32;

/// What all nodes of the process share.
pub(super) struct Process {
    pub(super) config: Config,
    pub(super) client: Client,
    pub(super) nodes: Api<Node>,
    pub(super) leases: Api<Lease>,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
    pub(super) machine: Machine,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    pub(super) running_pods: Gauge,
}

/// A node that has not begun.
pub(super) struct Hosted {
    context: Arc<NodeContext>,
    workers: Workers,
}

impl Process {
    /// Puts a node together, and answers where its pods are told.
    pub(super) fn host(
        &self,
        name: &str,
        catalogue: &Arc<Catalogue>,
        journal: &Journal,
        recovered: &mut Recovered,
    ) -> (Hosted, UnboundedSender<PodChange>) {
        let (catalogue, journal) = (Arc::clone(catalogue), Some((journal.clone(), recovered)));
        let engine = VirtualEngine::new(name, catalogue, self.clock.clone(), journal);
        let facts = NodeFacts { host_ip: self.address.to_string(), runtime_name: engine.name().to_owned() };
        let context = Arc::new(NodeContext {
            name: name.to_owned(),
            runtime: Runtime::of(engine),
            api: Arc::new(ApiServer::new(&self.client, self.recorder.on_host(name))),
            facts,
            clock: self.clock.clone(),
            trace_mode: self.config.trace_mode,
            node: RwLock::default(),
            running_pods: self.running_pods.clone(),
            admitted: Mutex::default(),
        });
        let (workers, changes) = Workers::new(Arc::clone(&context));
        (Hosted { context, workers }, changes)
    }

    /// Brings all nodes up. Returns when they are registered; their tasks go on under the supervisor.
    pub(super) async fn begin(
        self: Arc<Self>,
        hosted: Vec<Hosted>,
        supervisor: Supervisor,
        shutdown: Shutdown,
    ) -> Result<(), TaskError> {
        let names: Vec<String> = hosted.iter().map(|node| node.context.name.clone()).collect();
        let ranges = self.ranges(&names).await?;
        futures::stream::iter(hosted)
            .map(|node| Box::pin(self.begin_node(node, &ranges, &supervisor, &shutdown)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// The pod addresses of each node: those that its object names, or else new ones.
    async fn ranges(&self, names: &[String]) -> Result<HashMap<String, Cidr>, TaskError> {
        let pods = self.config.capacity.0.get("pods").map_or(0, |amount| amount.value());
        let cluster = self.config.cluster_cidr;
        if let (None, [name]) = (self.config.nodes, names) {
            let known = patiently("read the node", || async {
                match self.nodes.get(name).await {
                    Err(error) if error.is_not_found() => Ok(None),
                    other => other.map(Some),
                }
            });
            let known = known.await?.and_then(|node| range_of(&node));
            let range = known.or(self.config.pod_cidr).unwrap_or_else(|| cidr::of_name(name, cluster, pods));
            return Ok(HashMap::from([(name.clone(), range)]));
        }
        let list = patiently("list the nodes", || self.nodes.list(ListOptions::default())).await?;
        let known: HashMap<String, Cidr> =
            list.items.iter().filter_map(|node| Some((node.metadata.name.clone(), range_of(node)?))).collect();
        let taken: HashSet<Cidr> = known.values().copied().collect();
        let without: Vec<&String> = names.iter().filter(|name| !known.contains_key(*name)).collect();
        let prefix = &self.config.node_name_prefix;
        let fresh = cidr::of_many(prefix, without.len(), cluster, pods, &taken)
            .ok_or_else(|| format!("--cluster-cidr {cluster} has no room for {} more nodes", without.len()))?;
        let mut ranges: HashMap<String, Cidr> = without.into_iter().cloned().zip(fresh).collect();
        ranges.extend(names.iter().filter_map(|name| Some((name.clone(), *known.get(name)?))));
        Ok(ranges)
    }

    async fn begin_node(
        &self,
        node: Hosted,
        ranges: &HashMap<String, Cidr>,
        supervisor: &Supervisor,
        shutdown: &Shutdown,
    ) -> Result<(), TaskError> {
        let Hosted { context, workers } = node;
        let name = context.name.clone();
        let pod_cidr = ranges[&name];
        let network_config = Some(cri::NetworkConfig { pod_cidr: pod_cidr.to_string() });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        let containers = Arc::clone(&context.runtime.containers);
        containers.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await?;
        let version = containers.version().await?;

        let heartbeat = Arc::new(Heartbeat {
            facts: Facts {
                name: name.clone(),
                address: self.address.to_string(),
                port: self.port,
                capacity: self.config.capacity.0.clone(),
                machine: self.machine.clone(),
                runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
            },
            context: Arc::clone(&context),
            nodes: self.nodes.clone(),
            leases: self.leases.clone(),
            lease_seconds: self.config.node_lease_duration_seconds,
        });
        let specifics = NodeSpecifics {
            name: name.clone(),
            labels: self.config.node_labels.0.clone(),
            taints: self.config.register_with_taints.0.clone(),
            pod_cidr,
        };
        let status = heartbeat.status(&NodeStatus::default()).await;
        let registered = patiently("register the node", || register(&self.nodes, &specifics, &status)).await?;
        *context.node.write() = Arc::new(registered);
        info!(node = name, %pod_cidr, "the node is registered");

        let spawn = |what: &str, task: futures::future::BoxFuture<'static, ()>| {
            let shutdown = shutdown.clone();
            supervisor.spawn(format!("{what} of {name}"), OnFailure::StopService, async move {
                shutdown.run_until_triggered(task).await;
            });
        };
        let renewing = Arc::clone(&heartbeat);
        spawn("lease", Box::pin(async move { renewing.renew().await }));
        spawn("status", Box::pin(async move { heartbeat.report().await }));
        let until = shutdown.clone();
        spawn("pods", Box::pin(async move { workers.run(until).await }));
        Ok(())
    }
}

fn range_of(node: &Node) -> Option<Cidr> {
    node.spec.pod_cidr.parse().ok()
}

/// Calls until it succeeds or can never succeed. An apiserver that is not there yet is waited for.
async fn patiently<T, F>(what: &str, mut call: impl FnMut() -> F) -> Result<T, TaskError>
where
    F: Future<Output = Result<T, api::Error>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(0.2);
    loop {
        let error = match Box::pin(call()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let hopeless = [Reason::Unauthorized, Reason::Forbidden, Reason::Invalid, Reason::BadRequest];
        if hopeless.contains(&error.reason) {
            return Err(format!("cannot {what}: {error}").into());
        }
        let delay = backoff.next_delay();
        if backoff.failures().is_power_of_two() {
            warn!(%error, ?delay, "cannot {what} yet, trying again");
        }
        sleep(delay).await;
    }
}
