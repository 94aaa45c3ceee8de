//! Which pods go first when there are too many.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-down-a-replicaset>
//!
//! Those whose loss hurts least: not placed before placed, pending before running, not ready before ready, cheap before dear (annotation
//! `controller.kubernetes.io/pod-deletion-cost`), crowded nodes before others, restarted often before seldom, young before old. Ages are
//! compared by their order of magnitude, so that pods of nearly the same age go by chance and not always the newest node's.

use api::core::v1::{ContainerStatus, Pod};
use api::meta::v1::Time;
use api::pod_conditions::{READY, condition, is_ready};
use jiff::Timestamp;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

/// Pods to be kept longer or shorter than others of the same state; an integer.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods to delete. `per_node` tells how many pods of the same workload each node has.
pub(super) fn choose(
    mut pods: Vec<Arc<Pod>>,
    count: usize,
    per_node: &HashMap<String, usize>,
    now: Timestamp,
) -> Vec<Arc<Pod>> {
    if count < pods.len() {
        let crowd = |pod: &Pod| per_node.get(&pod.spec.node_name).copied().unwrap_or(0);
        pods.sort_by(|a, b| first_to_go(a, b, (crowd(a), crowd(b)), now));
        pods.truncate(count);
    }
    pods
}

fn first_to_go(a: &Pod, b: &Pod, (crowd_a, crowd_b): (usize, usize), now: Timestamp) -> Ordering {
    let is_placed = |pod: &Pod| !pod.spec.node_name.is_empty();
    is_placed(a)
        .cmp(&is_placed(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
        .then_with(|| Reverse(crowd_a).cmp(&Reverse(crowd_b)))
        .then_with(|| age(ready_since(a), now).cmp(&age(ready_since(b), now)))
        .then_with(|| Reverse(restarts(a)).cmp(&Reverse(restarts(b))))
        .then_with(|| age(a.metadata.creation_timestamp, now).cmp(&age(b.metadata.creation_timestamp, now)))
        // Nothing tells them apart: chance decides, the same way every time.
        .then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

fn phase(pod: &Pod) -> u8 {
    match pod.status.phase.as_str() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.metadata.annotations.get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// Since when a ready pod is ready.
fn ready_since(pod: &Pod) -> Option<Time> {
    condition(&pod.status, READY).filter(|ready| ready.status == "True")?.last_transition_time
}

/// The order of magnitude of an age. What has no age counts as youngest.
///
/// Kubernetes decides by uid as soon as two different ages are of one magnitude; here the later criteria come first, because otherwise the
/// comparison would be no order: a could go before b, b before c, and c before a.
fn age(since: Option<Time>, now: Timestamp) -> Option<u32> {
    let nanoseconds = now.duration_since(since?.timestamp()?).as_nanos();
    u128::try_from(nanoseconds).ok()?.checked_ilog2()
}

/// The most restarts of any container: first of the ordinary ones, then of sidecars.
fn restarts(pod: &Pod) -> (i32, i32) {
    let most = |statuses: &[ContainerStatus]| statuses.iter().map(|status| status.restart_count).max().unwrap_or(0);
    let is_sidecar = |status: &&ContainerStatus| {
        let mut containers = pod.spec.init_containers.iter();
        containers.any(|c| c.name == status.name && c.restart_policy.as_deref() == Some("Always"))
    };
    let sidecars: Vec<_> = pod.status.init_container_statuses.iter().filter(is_sidecar).cloned().collect();
    (most(&pod.status.container_statuses), most(&sidecars))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::PodCondition;
    use jiff::SignedDuration;

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    /// A pod that has run for an hour on node n1, changed by `change`.
    fn pod(name: &str, change: impl FnOnce(&mut Pod)) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.metadata.uid = name.to_owned();
        pod.spec.node_name = "n1".to_owned();
        pod.status.phase = "Running".to_owned();
        pod.metadata.creation_timestamp = Some((noon() - SignedDuration::from_hours(1)).into());
        ready_for(&mut pod, SignedDuration::from_hours(1));
        change(&mut pod);
        Arc::new(pod)
    }

    fn ready_for(pod: &mut Pod, time: SignedDuration) {
        let since = Some((noon() - time).into());
        pod.status.conditions = vec![PodCondition {
            r#type: READY.to_owned(),
            status: "True".to_owned(),
            last_transition_time: since,
            ..Default::default()
        }];
    }

    fn status(restart_count: i32) -> ContainerStatus {
        ContainerStatus { restart_count, ..Default::default() }
    }

    #[test]
    fn w6_pods_go_in_the_order_in_which_their_loss_hurts_less() {
        // In the order in which they shall go.
        let pods = vec![
            pod("unplaced", |p| p.spec.node_name.clear()),
            pod("pending", |p| p.status.phase = "Pending".to_owned()),
            pod("unknown", |p| p.status.phase = "Unknown".to_owned()),
            pod("unready", |p| p.status.conditions.clear()),
            pod("cheap", |p| _ = p.metadata.annotations.insert(DELETION_COST.to_owned(), "-5".to_owned())),
            pod("crowded", |p| p.spec.node_name = "full".to_owned()),
            pod("just ready", |p| ready_for(p, SignedDuration::from_mins(2))),
            pod("restarted", |p| p.status.container_statuses = vec![status(4), status(0)]),
            pod("young", |p| p.metadata.creation_timestamp = Some((noon() - SignedDuration::from_mins(2)).into())),
            pod("a twin", |_| {}),
            pod("b twin", |_| {}),
            pod("dear", |p| _ = p.metadata.annotations.insert(DELETION_COST.to_owned(), "5".to_owned())),
        ];
        let per_node = HashMap::from([("full".to_owned(), 7), ("n1".to_owned(), 2)]);
        let expected: Vec<_> = pods.iter().map(|p| p.metadata.name.clone()).collect();
        for turn in 0..pods.len() {
            let mut mixed = pods.clone();
            mixed.rotate_left(turn);
            let chosen = choose(mixed, pods.len() - 1, &per_node, noon());
            let chosen: Vec<_> = chosen.iter().map(|p| p.metadata.name.clone()).collect();
            assert_eq!(chosen, expected[..expected.len() - 1]);
        }
    }
}
