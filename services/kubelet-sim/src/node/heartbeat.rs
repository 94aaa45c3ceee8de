//! A node's signs of life: the lease, and the status when there is something to say.

use std::sync::Arc;
use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Node, NodeStatus};
use client::Api;
use jiff::{SignedDuration, Timestamp};
use service_kit::Backoff;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::{debug, warn};

use super::registration::report;
use super::status::{Facts, Readings, node_status, says_the_same};
use crate::pod::NodeContext;

/// The namespace of all nodes' leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// How often the status is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is reported although nothing has changed (`--node-status-report-frequency` of Kubernetes).
const REPORT: SignedDuration = SignedDuration::from_mins(5);

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
}

impl Heartbeat {
    /// The status as of now, on top of the last one.
    pub async fn status(&self, last: &NodeStatus) -> NodeStatus {
        let runtime = &self.context.runtime;
        let answered = runtime.containers.status().await;
        let readings = Readings {
            runtime: answered
                .map(|answer| answer.status.unwrap_or_default().conditions)
                .map_err(|error| error.to_string()),
            images: runtime.images.list_images().await.unwrap_or_default(),
        };
        node_status(&self.facts, &readings, last, self.context.clock.now())
    }

    /// Renews the lease for ever, four times as often as it lasts. A failed renewal is tried again soon.
    pub async fn renew(&self) {
        let every = Duration::from_secs(u64::try_from(self.lease_seconds).unwrap_or(40)) / 4;
        let mut held: Option<Lease> = None;
        let mut backoff = Backoff::new(Duration::from_millis(200), every).with_jitter(0.2);
        loop {
            let delay = match self.renew_once(held.take()).await {
                Ok(lease) => {
                    held = Some(lease);
                    backoff.reset();
                    // A little early, so that the nodes of a process do not all come at once.
                    every.mul_f64(1.0 - 0.2 * rand::random::<f64>())
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
            let owner = api::controller_ref::owner_ref(self.context.node.read().as_ref());
            lease.metadata.owner_references = vec![owner];
        }
        let spec = &mut lease.spec;
        spec.holder_identity = Some(name.clone());
        spec.lease_duration_seconds = Some(self.lease_seconds);
        spec.renew_time = Some(self.context.clock.now().into());
        lease
    }

    /// Reports the status for ever: when it says something new, and every five minutes.
    pub async fn report(&self) {
        let mut reported_at = self.context.clock.now();
        let mut tick = interval_at(Instant::now() + LOOK.mul_f64(rand::random()), LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.report_once(&mut reported_at).await {
                debug!(node = self.context.name, %error, "the node's status is not reported");
            }
        }
    }

    async fn report_once(&self, reported_at: &mut Timestamp) -> Result<(), api::Error> {
        let node = Arc::clone(&self.context.node.read());
        let status = self.status(&node.status).await;
        let now = self.context.clock.now();
        if says_the_same(&status, &node.status) && now.duration_since(*reported_at) < REPORT {
            return Ok(());
        }
        let node = report(&self.nodes, node.as_ref().clone(), &status).await?;
        *self.context.node.write() = Arc::new(node);
        *reported_at = now;
        Ok(())
    }

    /// The leases of nodes, seen through a client.
    pub fn leases_of(client: &client::Client) -> Api<Lease> {
        Api::namespaced(client.clone(), LEASE_NAMESPACE).untraced()
    }
}
