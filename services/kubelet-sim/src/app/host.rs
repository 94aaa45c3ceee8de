//! Hosting nodes: what each one is made of, and how it comes up.
//!
//! A node comes up in this order: the runtime learns its pods' addresses if they are known already; the node is registered; its workers
//! begin, and find what was told to them meanwhile in their inbox. A new node is not ready before the controller-manager has assigned
//! addresses to it, which the watch of nodes tells. Only a node with pods from files begins without the apiserver.

use std::collections::HashMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::Reason;
use api::cidr::Cidr;
use api::coordination::v1::Lease;
use api::core::v1::{Node, Pod};
use api::meta::v1::ListOptions;
use api::pod_resources::Resources;
use client::{Api, Client};
use controller::{Cache, Recorder};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use service_kit::metrics::prometheus_client::metrics::gauge::Gauge;
use service_kit::supervisor::TaskError;
use service_kit::{Backoff, Clock, OnFailure, Shutdown, Supervisor};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::Config;
use crate::config::OnInitImageChange;
use crate::eviction::{Capacities, EvictionPolicy, Evictor, Threshold};
use crate::image_gc::{Collector, Policy};
use crate::lifecycle::{NodeFacts, RuntimeName};
use crate::node::machine::Machine;
use crate::node::{Facts, Heartbeat, NodeSpecifics, allocatable, new_node, register};
use crate::pod::{ApiServer, NodeContext, NodeDns, PodChange, Sources, Volumes, Workers};
use crate::static_pods::StaticPods;

use super::addresses::{self, range_of};
use super::housekeeping::Housekeeper;
use super::runtimes::NodeRuntime;

/// How many nodes are registered at the same time.
const AT_ONCE: usize = 32;
/// How long pods from files wait for the apiserver, which knows the node's addresses.
const WITHOUT_APISERVER: Duration = Duration::from_secs(3);

/// What all nodes of the process share.
pub(super) struct Process {
    pub(super) config: Config,
    pub(super) client: Client,
    pub(super) nodes: Api<Node>,
    pub(super) leases: Api<Lease>,
    pub(super) recorder: Recorder,
    pub(super) sources: Sources,
    pub(super) dns: NodeDns,
    pub(super) clock: Clock,
    pub(super) machine: Machine,
    pub(super) root_dir: PathBuf,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    pub(super) running_pods: Gauge,
    pub(super) eviction: EvictionPolicy,
    pub(super) image_gc: Policy,
}

/// A node that has not begun.
pub(super) struct Hosted {
    pub(super) context: Arc<NodeContext>,
    /// Where its pods are told.
    pub(super) changes: UnboundedSender<PodChange>,
    workers: Workers,
    static_pods: Option<Arc<StaticPods>>,
}

impl Process {
    /// Puts a node together.
    pub(super) fn host(&self, name: &str, runtime: NodeRuntime, static_pods: Option<Arc<StaticPods>>) -> Hosted {
        let facts = NodeFacts {
            host_ip: self.address.to_string(),
            runtime_name: RuntimeName::default(),
            init_image_restarts: self.config.on_init_image_change == OnInitImageChange::Restart,
        };
        let recorder = self.recorder.on_host(name);
        let api = ApiServer::new(&self.client, self.sources.clone(), static_pods.clone(), recorder);
        let context = Arc::new(NodeContext {
            name: name.to_owned(),
            runtime: runtime.runtime,
            api: Arc::new(api),
            root_dir: self.root_dir.clone(),
            volumes: Volumes::new(runtime.files),
            dns: self.dns.clone(),
            facts,
            clock: self.clock.clone(),
            trace_mode: self.config.trace_mode,
            node: watch::Sender::default(),
            running_pods: self.running_pods.clone(),
            admitted: Mutex::default(),
            health: Mutex::default(),
            changed: Notify::new(),
        });
        let (workers, changes) = Workers::new(Arc::clone(&context));
        if let Some(static_pods) = &static_pods {
            // Before the watch tells that all pods are known: what runs from files is no orphan.
            static_pods.begin(changes.clone());
        }
        Hosted { context, changes, workers, static_pods }
    }

    /// Brings all nodes up. Returns when they are registered; their tasks go on under the supervisor.
    pub(super) async fn begin(
        self: Arc<Self>,
        hosted: Vec<Hosted>,
        supervisor: Supervisor,
        shutdown: Shutdown,
    ) -> Result<(), TaskError> {
        let mut pod_cidr = self.config.pod_cidr;
        let known = match timeout(self.patience(), self.known(&hosted)).await {
            Ok(known) => known?,
            Err(_) => {
                // Pods from files get addresses as before.
                pod_cidr = pod_cidr.or(addresses::remembered(&self.root_dir));
                HashMap::new()
            }
        };
        futures::stream::iter(hosted)
            .map(|node| {
                let known = known.get(&node.context.name);
                Box::pin(self.begin_node(node, known, pod_cidr, &supervisor, &shutdown))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Who keeps room on a node.
    pub(super) fn housekeeper(&self, hosted: &Hosted, pods: Cache<Pod>) -> Housekeeper {
        let Hosted { context, changes, .. } = hosted;
        let recorder = self.recorder.on_host(&context.name);
        let bytes = |amounts: &Resources, resource: &str| amounts.get(resource).map_or(0, |amount| amount.value());
        let capacity = &self.config.capacity.0;
        let capacities = Capacities {
            memory: bytes(capacity, "memory"),
            memory_of_pods: bytes(&self.allocatable(&[]), "memory"),
            disk: bytes(capacity, "ephemeral-storage"),
            pids: self.config.node.max_pids,
        };
        let images = Collector::new(Arc::clone(context), recorder.clone(), self.image_gc, capacities.disk);
        let told = (pods, changes.clone());
        let evictor = Evictor::new(Arc::clone(context), told, recorder, capacities, self.eviction.clone());
        Housekeeper::new(evictor, images)
    }

    fn allocatable(&self, thresholds: &[Threshold]) -> Resources {
        let reserved = [&self.config.node.kube_reserved.0, &self.config.node.system_reserved.0];
        allocatable(&self.config.capacity.0, &reserved, thresholds)
    }

    /// How long to wait for what the apiserver knows.
    fn patience(&self) -> Duration {
        if self.config.pod_manifest_path.is_some() { WITHOUT_APISERVER } else { Duration::MAX }
    }

    /// The nodes that have objects already.
    async fn known(&self, hosted: &[Hosted]) -> Result<HashMap<String, Node>, TaskError> {
        let nodes = if let (None, [one]) = (self.config.nodes, hosted) {
            let name = &one.context.name;
            let known = patiently("read the node", || async {
                match self.nodes.get(name).await {
                    Err(error) if error.is_not_found() => Ok(None),
                    other => other.map(Some),
                }
            });
            known.await?.into_iter().collect()
        } else {
            patiently("list the nodes", || self.nodes.list(ListOptions::default())).await?.items
        };
        Ok(nodes.into_iter().map(|node| (node.metadata.name.clone(), node)).collect())
    }

    async fn begin_node(
        &self,
        node: Hosted,
        known: Option<&Node>,
        pod_cidr: Option<Cidr>,
        supervisor: &Supervisor,
        shutdown: &Shutdown,
    ) -> Result<(), TaskError> {
        let Hosted { context, workers, static_pods, .. } = node;
        let name = context.name.clone();
        if let Some(known) = known {
            context.learn(Arc::new(known.clone()));
        }
        let heartbeat = Arc::new(Heartbeat {
            facts: Facts {
                name: name.clone(),
                address: self.address.to_string(),
                port: self.port,
                capacity: self.config.capacity.0.clone(),
                allocatable: self.allocatable(&self.eviction.thresholds),
                machine: self.machine.clone(),
            },
            context: Arc::clone(&context),
            nodes: self.nodes.clone(),
            leases: self.leases.clone(),
            lease_seconds: self.config.node_lease_duration_seconds,
            pod_cidr,
            runtime_version: OnceCell::new(),
            addressed: OnceCell::new(),
            update_frequency: self.config.node.node_status_update_frequency,
            report_frequency: self.config.node.node_status_report_frequency,
            recorder: self.recorder.on_host(&name),
        });
        let specifics = NodeSpecifics {
            name: name.clone(),
            labels: self.config.node_labels.0.clone(),
            taints: self.config.register_with_taints.0.clone(),
            pod_cidr,
        };
        let status = heartbeat.status(&known.map(|node| node.status.clone()).unwrap_or_default()).await;
        let spawn = |what: &str, task: BoxFuture<'static, ()>| {
            let shutdown = shutdown.clone();
            supervisor.spawn(format!("{what} of {name}"), OnFailure::StopService, async move {
                shutdown.run_until_triggered(task).await;
            });
        };
        let mut pods: Option<BoxFuture<'static, ()>> = {
            let until = shutdown.clone();
            Some(Box::pin(async move { workers.run(until).await }))
        };
        if let Some(static_pods) = static_pods {
            // Pods from files do not wait for the apiserver: they may be what it takes for one to answer.
            if let Some(pods) = pods.take_if(|_| static_pods.has_files()) {
                if known.is_none() {
                    context.learn(Arc::new(new_node(&specifics, &status)));
                }
                spawn("pods", pods);
                let (context, root) = (Arc::clone(&context), self.root_dir.clone());
                spawn("memory of addresses", Box::pin(async move { addresses::remember(&context, &root).await }));
            }
            spawn("static pods", Box::pin(Arc::clone(&static_pods).follow()));
            spawn("mirror pods", Box::pin(static_pods.mirror()));
        }
        let registered = patiently("register the node", || register(&self.nodes, &specifics, &status)).await?;
        if let Some(known) = known {
            heartbeat.tell_reboot(&known.status, &registered);
        }
        if self.config.nodes.is_none() {
            // Each of many nodes would only say what all of them say.
            heartbeat.announce(&registered);
        }
        context.learn(Arc::new(registered));
        info!(node = name, "the node is registered");

        let renewing = Arc::clone(&heartbeat);
        spawn("lease", Box::pin(async move { renewing.renew().await }));
        spawn("status", Box::pin(async move { heartbeat.report().await }));
        let addressed = known.and_then(range_of).or(pod_cidr).is_some();
        if !addressed {
            let context = Arc::clone(&context);
            spawn("addresses", Box::pin(async move { addresses::assigned(&context).await }));
        }
        if let Some(pods) = pods {
            spawn("pods", pods);
        }
        Ok(())
    }
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
