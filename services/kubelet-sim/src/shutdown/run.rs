//! Ending a node's pods.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::pod_conditions::is_finished;
use controller::Cache;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::order::{Group, Periods, grace, groups};
use crate::lifecycle::{Ended, Eviction};
use crate::pod::{NodeContext, PodChange};

/// How often is looked whether a group has ended. A kubelet does this once, at its end.
const LOOK: Duration = Duration::from_millis(50);

/// Says that the node shuts down, and ends its pods in order. Returns when they have ended and the apiserver knows, or their time is over.
pub async fn end_pods(
    context: Arc<NodeContext>,
    pods: Cache<Pod>,
    changes: UnboundedSender<PodChange>,
    periods: Periods,
) {
    context.shut_down();
    let active: Vec<Arc<Pod>> = {
        let admitted = context.admitted.lock();
        let known = |(uid, admitted): (&String, &crate::pod::Admitted)| {
            pods.get(&admitted.key).filter(|pod| pod.metadata.uid == *uid)
        };
        admitted.iter().filter_map(known).collect()
    };
    for Group { period, pods: group } in groups(&periods, active) {
        info!(node = context.name, pods = group.len(), ?period, "ending pods before the node");
        for pod in &group {
            let message = "Pod was terminated in response to imminent node shutdown.".to_owned();
            let ended = Ended { reason: "Terminated".to_owned(), message };
            let eviction = Eviction { ended, grace: grace(pod, period), disrupts: true };
            // A node that has ended hears nothing more.
            let _ = changes.send(PodChange::Evict(pod.metadata.uid.clone(), Box::new(eviction)));
        }
        let is_over = |pod: &Arc<Pod>| {
            let known = pods.get(&controller::Key::of(pod.as_ref()));
            known.is_none_or(|known| known.metadata.uid != pod.metadata.uid || is_finished(&known))
        };
        let all_over = async {
            while !group.iter().all(is_over) {
                sleep(LOOK).await;
            }
        };
        if timeout(period, all_over).await.is_err() {
            warn!(node = context.name, ?period, "not all pods have ended in their time");
        }
    }
}
