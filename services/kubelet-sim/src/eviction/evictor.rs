//! One node's eviction manager: looks, decides by the pure parts, and ends at most one pod at a time.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use controller::EventType::Warning;
use controller::{Cache, Recorder};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::limits::exceeded;
use super::message;
use super::monitor::{Look, Monitor};
use super::observation::{Capacities, Observations, PodUsage, observe, usages};
use super::rank::{Candidate, rank};
use super::threshold::Threshold;
use crate::image_gc::{Collector, image_bytes};
use crate::lifecycle::critical::is_critical;
use crate::lifecycle::{Ended, Eviction};
use crate::pod::{NodeContext, PodChange};
use crate::runtime::RuntimeError;

/// The grace period of a pod that goes at once, in seconds.
const AT_ONCE: i64 = 1;
/// How long an evicted pod is waited for before the next one goes.
const CLEANED_UP_WITHIN: Duration = Duration::from_secs(30);

/// When and how pods are ended.
#[derive(Clone, Debug)]
pub struct EvictionPolicy {
    /// The lines that must not be crossed.
    pub thresholds: Vec<Threshold>,
    /// How long a pressure outlives its cause.
    pub transition: Duration,
    /// The longest grace period of a pod that goes because of a soft threshold, in seconds.
    pub max_grace: i64,
}

/// The eviction manager of a node.
pub struct Evictor {
    context: Arc<NodeContext>,
    /// The pods that the apiserver has bound to nodes of this process.
    pods: Cache<Pod>,
    /// Where the node's pods are told to end.
    changes: UnboundedSender<PodChange>,
    /// Events about the node.
    recorder: Recorder,
    capacities: Capacities,
    max_grace: i64,
    monitor: Monitor,
    /// The pod that was ended last, by uid, and until when it is waited for.
    awaited: Option<(String, Instant)>,
}

type Usages = std::collections::HashMap<String, PodUsage>;

impl Evictor {
    /// For a node that has `capacities`.
    pub fn new(
        context: Arc<NodeContext>,
        (pods, changes): (Cache<Pod>, UnboundedSender<PodChange>),
        recorder: Recorder,
        capacities: Capacities,
        policy: EvictionPolicy,
    ) -> Self {
        let monitor = Monitor::new(policy.thresholds, policy.transition);
        Self { context, pods, changes, recorder, capacities, max_grace: policy.max_grace, monitor, awaited: None }
    }

    /// Whether a pod that was ended is still waited for: then it is worth looking again soon.
    pub fn waits(&self) -> bool {
        let gone = |(uid, until): &(String, Instant)| {
            !self.context.admitted.lock().contains_key(uid) || *until <= Instant::now()
        };
        self.awaited.as_ref().is_some_and(|awaited| !gone(awaited))
    }

    /// Looks at the node once, and ends a pod if it has to be.
    pub async fn pass(&mut self, images: &mut Collector) {
        if self.waits() {
            return;
        }
        self.awaited = None;
        if let Err(error) = self.try_pass(images).await {
            debug!(node = self.context.name, %error, "the node cannot be measured");
        }
    }

    async fn try_pass(&mut self, images: &mut Collector) -> Result<(), RuntimeError> {
        let (usages, observations) = self.measure().await?;
        let Look { pressures, starved } = self.monitor.look(&observations, self.context.clock.now());
        self.context.set_pressures(pressures);
        if self.over_limits(&usages) {
            return Ok(());
        }
        let Some(first) = starved.first() else { return Ok(()) };
        let resource = first.signal.resource();
        let node = self.context.node.borrow().clone();
        self.recorder.record(
            node.as_ref(),
            Warning,
            "EvictionThresholdMet",
            format!("Attempting to reclaim {resource}"),
        );
        if resource == "ephemeral-storage" && self.reclaim(images).await? {
            return Ok(());
        }
        let mut candidates = self.candidates(&usages);
        rank(&mut candidates, resource);
        let grace = if first.is_hard() { AT_ONCE } else { self.max_grace };
        match candidates.into_iter().find(|candidate| !is_critical(&candidate.pod)) {
            Some(Candidate { pod, usage }) => {
                let message = message::pressure(resource, &pod, usage.as_ref(), &starved, &observations);
                self.evict(&pod, message, grace, true);
            }
            None => warn!(node = self.context.name, resource, "no pod can be ended to reclaim it"),
        }
        Ok(())
    }

    async fn measure(&self) -> Result<(Usages, Observations), RuntimeError> {
        let usages = usages(&self.context.runtime.containers.list_container_stats(None).await?);
        let observations = observe(&self.capacities, usages.values(), image_bytes(&self.context).await?);
        Ok((usages, observations))
    }

    /// Makes room without ending pods. True: that was enough.
    async fn reclaim(&self, images: &mut Collector) -> Result<bool, RuntimeError> {
        if let Err(error) = images.delete_unused().await {
            warn!(node = self.context.name, error, "not all unused images could be removed");
        }
        let (_, observations) = self.measure().await?;
        Ok(!self.monitor.is_short(&observations))
    }

    /// Ends pods that use more local storage than they may.
    fn over_limits(&mut self, usages: &Usages) -> bool {
        let mut any = false;
        for Candidate { pod, usage } in self.candidates(usages) {
            // Most pods have written nothing, and reading limits takes longer than seeing that.
            let writes = usage.filter(|usage| usage.disk() > 0);
            let Some(message) = writes.and_then(|usage| exceeded(&pod, &usage)) else { continue };
            if !is_critical(&pod) {
                self.evict(&pod, message, AT_ONCE, false);
                any = true;
            }
        }
        any
    }

    /// The pods that use the node, as the apiserver knows them.
    fn candidates(&self, usages: &Usages) -> Vec<Candidate> {
        let admitted = self.context.admitted.lock();
        let active = admitted.iter().filter_map(|(uid, admitted)| {
            let pod = self.pods.get(&admitted.key).filter(|pod| pod.metadata.uid == *uid)?;
            Some(Candidate { usage: usages.get(uid).cloned(), pod })
        });
        active.collect()
    }

    fn evict(&mut self, pod: &Arc<Pod>, message: String, grace: i64, disrupts: bool) {
        let uid = pod.metadata.uid.clone();
        info!(node = self.context.name, pod = pod.metadata.name, message, "ending a pod");
        self.context.api.event(pod, "", Warning, "Evicted", message.clone());
        let ended = Ended { reason: "Evicted".to_owned(), message };
        // A node that has ended hears nothing more.
        let _ = self.changes.send(PodChange::Evict(uid.clone(), Box::new(Eviction { ended, grace, disrupts })));
        self.awaited = Some((uid, Instant::now() + CLEANED_UP_WITHIN));
    }
}
