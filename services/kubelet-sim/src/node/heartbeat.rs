//! A node's signs of life: the lease, and the status when there is something to say.

use std::sync::Arc;
use std::time::Duration;

use api::cidr::Cidr;
use api::coordination::v1::Lease;
use api::core::v1::{Node, NodeStatus};
use client::Api;
use controller::{EventType, Recorder};
use jiff::Timestamp;
use service_kit::Backoff;
use tokio::sync::OnceCell;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, info, warn};

use super::registration::report;
use super::status::{Facts, Readings, node_status, says_the_same, transitions};
use crate::cri;
use crate::pod::NodeContext;
use crate::runtime::RuntimeError;

/// The namespace of all nodes' leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// One node's heartbeat.
pub struct Heartbeat {
    /// The node's context; its node object is kept up to date.
    pub context: Arc<NodeContext>,
    /// The node.
    pub facts: Facts,
    /// Nodes, untraced.
    pub nodes: Api<Node>,
    /// Leases, untraced.
    pub leases: Api<Lease>,
    /// How long a lease lasts, in seconds.
    pub lease_seconds: i32,
    /// The pods' addresses that the operator has chosen; else those that the node's object names.
    pub pod_cidr: Option<Cidr>,
    /// `containerd://1.6.20`, as soon as the runtime has answered.
    pub runtime_version: OnceCell<String>,
    /// Filled when the runtime knows the pods' addresses.
    pub addressed: OnceCell<()>,
    /// How often the status is worked out.
    pub update_frequency: Duration,
    /// How often it is reported although nothing has changed.
    pub report_frequency: Duration,
    /// Events about the node.
    pub recorder: Recorder,
}

impl Heartbeat {
    /// The status as of now, on top of the last one.
    pub async fn status(&self, last: &NodeStatus) -> NodeStatus {
        let runtime = &self.context.runtime;
        let met = self.meet_runtime().await.cloned();
        let answered = match &met {
            Ok(_) => runtime.containers.status().await,
            Err(error) => Err(error.clone()),
        };
        let readings = Readings {
            runtime_version: met.unwrap_or_default(),
            runtime: answered
                .map(|answer| answer.status.unwrap_or_default().conditions)
                .map_err(|error| error.to_string()),
            images: runtime.images.list_images().await.unwrap_or_default(),
            health: self.context.health.lock().clone(),
        };
        node_status(&self.facts, &readings, last, self.context.clock.world())
    }

    /// Learns the runtime's name, and tells it the pods' addresses when they are known. A runtime may come up later than its kubelet; the
    /// node is then registered without it and is not ready.
    async fn meet_runtime(&self) -> Result<&String, RuntimeError> {
        let containers = &self.context.runtime.containers;
        let meet = || async {
            let version = containers.version().await?;
            self.context.facts.runtime_name.learn(&version.runtime_name);
            info!(
                node = self.context.name,
                runtime = version.runtime_name,
                version.runtime_version,
                "the runtime answers"
            );
            Ok::<String, RuntimeError>(format!("{}://{}", version.runtime_name, version.runtime_version))
        };
        let met = self.runtime_version.get_or_try_init(meet).await?;
        let assigned = self.context.node.borrow().spec.pod_cidr.parse().ok();
        if let Some(range) = assigned.or(self.pod_cidr) {
            let give = || async {
                let network_config = Some(cri::NetworkConfig { pod_cidr: range.to_string() });
                let runtime_config = Some(cri::RuntimeConfig { network_config });
                containers.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await?;
                info!(node = self.context.name, %range, "the node has addresses for its pods");
                Ok::<(), RuntimeError>(())
            };
            if let Err(error) = self.addressed.get_or_try_init(give).await {
                // The runtime's own condition tells that its network is not ready.
                warn!(node = self.context.name, %range, %error, "the runtime does not take the pods' addresses");
            }
        }
        Ok(met)
    }

    /// Renews the lease for ever, four times as often as it lasts. A failed renewal is tried again soon.
    pub async fn renew(&self) {
        let every = Duration::from_secs(u64::try_from(self.lease_seconds).unwrap_or(40)) / 4;
        let mut held: Option<Lease> = None;
        let mut backoff = Backoff::new(Duration::from_millis(200), every).with_jitter(0.2);
        // The nodes of a process begin together, and come one by one from then on.
        let mut wait = every.mul_f64(rand::random());
        loop {
            let delay = match self.renew_once(held.take()).await {
                Ok(lease) => {
                    held = Some(lease);
                    backoff.reset();
                    // Kubernetes' number.
                    std::mem::replace(&mut wait, every).mul_f64(1.0 + 0.04 * rand::random::<f64>())
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    if backoff.failures() == 3 {
                        warn!(node = self.context.name, %error, "the node's lease is not renewed");
                    }
                    delay
                }
            };
            sleep(delay).await;
        }
    }

    async fn renew_once(&self, held: Option<Lease>) -> Result<Lease, api::Error> {
        let name = &self.context.name;
        let mut lease = match held {
            Some(lease) => lease,
            None => match self.leases.get(name).await {
                Ok(lease) => lease,
                Err(error) if error.is_not_found() => return self.leases.create(&self.renewed(Lease::default())).await,
                Err(error) => return Err(error),
            },
        };
        lease = self.renewed(lease);
        self.leases.update(&lease).await
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        let name = &self.context.name;
        lease.metadata.name.clone_from(name);
        lease.metadata.namespace = LEASE_NAMESPACE.to_owned();
        if lease.metadata.owner_references.is_empty() {
            // With the node goes its lease.
            let owner = api::controller_ref::owner_ref(self.context.node.borrow().as_ref());
            lease.metadata.owner_references = vec![owner];
        }
        let spec = &mut lease.spec;
        spec.holder_identity = Some(name.clone());
        spec.lease_duration_seconds = Some(self.lease_seconds);
        spec.renew_time = Some(self.context.clock.world().into());
        lease
    }

    /// Reports the status for ever: at once when something happened that it tells, soon when it says something new, and now and then.
    pub async fn report(&self) {
        let mut reported_at = self.context.clock.world();
        let every = self.update_frequency;
        let mut tick = interval_at(Instant::now() + every.mul_f64(rand::random()), every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cordoned = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.context.changed.notified() => {}
            }
            self.tell_whether_schedulable(&mut cordoned);
            if let Err(error) = self.report_once(&mut reported_at).await {
                debug!(node = self.context.name, %error, "the node's status is not reported");
            }
        }
    }

    async fn report_once(&self, reported_at: &mut Timestamp) -> Result<(), api::Error> {
        let node = Arc::clone(&self.context.node.borrow());
        let status = self.status(&node.status).await;
        let now = self.context.clock.world();
        let silent_for = Duration::try_from(now.duration_since(*reported_at)).unwrap_or_default();
        if says_the_same(&status, &node.status) && silent_for < self.report_frequency {
            return Ok(());
        }
        let stored = report(&self.nodes, node.as_ref().clone(), &status).await?;
        self.tell(&node.status, &stored);
        self.context.learn(Arc::new(stored));
        *reported_at = now;
        Ok(())
    }

    /// Tells that the kubelet has begun, and how it finds its node.
    pub fn announce(&self, node: &Node) {
        let tell =
            |reason: &str, message: &str| self.recorder.record(node, EventType::Normal, reason, message.to_owned());
        tell("Starting", "Starting kubelet.");
        self.tell(&NodeStatus::default(), node);
        tell("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods");
    }

    /// Tells that the machine was started anew since the node was last heard of.
    pub fn tell_reboot(&self, before: &NodeStatus, node: &Node) {
        let (old, new) = (&before.node_info.boot_id, &node.status.node_info.boot_id);
        if !old.is_empty() && old != new {
            let message = format!("Node {} has been rebooted, boot id: {new}", self.context.name);
            self.recorder.record(node, EventType::Warning, "Rebooted", message);
        }
    }

    /// Tells how the node has changed.
    fn tell(&self, before: &NodeStatus, node: &Node) {
        transitions(before, &node.status).into_iter().for_each(|reason| self.tell_status(node, reason));
    }

    /// Tells that the node was cordoned or uncordoned.
    pub(super) fn tell_whether_schedulable(&self, cordoned: &mut bool) {
        let node = Arc::clone(&self.context.node.borrow());
        if std::mem::replace(cordoned, node.spec.unschedulable) != node.spec.unschedulable {
            self.tell_status(&node, if *cordoned { "NodeNotSchedulable" } else { "NodeSchedulable" });
        }
    }

    fn tell_status(&self, node: &Node, reason: &str) {
        let message = format!("Node {} status is now: {reason}", self.context.name);
        self.recorder.record(node, EventType::Normal, reason, message);
    }

    /// The leases of nodes, seen through a client.
    pub fn leases_of(client: &client::Client) -> Api<Lease> {
        Api::namespaced(client.clone(), LEASE_NAMESPACE).untraced()
    }
}
