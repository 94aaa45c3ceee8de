//! What a pod's status says: its conditions, whether it is ready, whether it still runs.
//!
//! Controllers, scheduler and kubelet read and write conditions by these few functions. They take the time as
//! an argument. See [pod conditions](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions).

use jiff::{SignedDuration, Timestamp};

use crate::core::v1::{Pod, PodCondition, PodStatus};

/// The pod has a node.
pub const POD_SCHEDULED: &str = "PodScheduled";
/// The sandbox is there, with network.
pub const READY_TO_START_CONTAINERS: &str = "PodReadyToStartContainers";
/// All init containers have succeeded.
pub const INITIALIZED: &str = "Initialized";
/// All containers are ready.
pub const CONTAINERS_READY: &str = "ContainersReady";
/// The pod can serve: containers and readiness gates are true.
pub const READY: &str = "Ready";
/// Something else than the kubelet is about to end the pod: preemption, eviction, a taint.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// Returns the condition of a type.
pub fn condition<'a>(status: &'a PodStatus, r#type: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().find(|c| c.r#type == r#type)
}

/// True if the condition of a type is there and `True`.
pub fn is_true(status: &PodStatus, r#type: &str) -> bool {
    condition(status, r#type).is_some_and(|c| c.status == "True")
}

/// Adds or replaces the condition of its type and tells whether the status changed.
///
/// `lastTransitionTime` becomes `now` only if the condition is new or its status changed.
pub fn set_condition(status: &mut PodStatus, mut new: PodCondition, now: Timestamp) -> bool {
    new.last_transition_time = Some(now.into());
    match status.conditions.iter_mut().find(|c| c.r#type == new.r#type) {
        None => {
            status.conditions.push(new);
            true
        }
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time;
            }
            let changed = *old != new;
            *old = new;
            changed
        }
    }
}

/// True if the pod can serve.
pub fn is_ready(pod: &Pod) -> bool {
    is_true(&pod.status, READY)
}

/// True if the pod has been ready for at least `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_at(pod, min_ready_seconds).is_some_and(|at| at <= now)
}

/// Returns when a ready pod becomes available if it stays ready; `None` if it is not ready.
pub fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    let ready = condition(&pod.status, READY).filter(|c| c.status == "True")?;
    if min_ready_seconds <= 0 {
        return Some(Timestamp::MIN);
    }
    let since = ready.last_transition_time?.timestamp()?;
    since.checked_add(SignedDuration::from_secs(min_ready_seconds.into())).ok()
}

/// True if no container of the pod will ever run again: phase Succeeded or Failed.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")
}

/// True if the pod is on its way out: a deletion was asked for.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// True if the pod counts as a replica: neither finished nor on its way out.
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_terminating(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str) -> PodCondition {
        PodCondition { r#type: READY.into(), status: status.into(), ..Default::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_is_a_change_of_status() {
        let mut status = PodStatus::default();
        let since = |status: &PodStatus| status.conditions[0].last_transition_time.unwrap().seconds;
        assert!(set_condition(&mut status, ready("False"), at(10)));
        assert!(!set_condition(&mut status, ready("False"), at(20)));
        assert_eq!(since(&status), 10);
        let explained = PodCondition { reason: "ContainersNotReady".into(), ..ready("False") };
        assert!(set_condition(&mut status, explained, at(30)));
        assert_eq!(since(&status), 10);
        assert!(set_condition(&mut status, ready("True"), at(40)));
        assert_eq!((since(&status), status.conditions.len()), (40, 1));
        assert!(is_true(&status, READY) && !is_true(&status, INITIALIZED));
    }

    #[test]
    fn a_pod_is_available_once_it_was_ready_long_enough() {
        let mut pod = Pod::default();
        assert!(!is_available(&pod, 0, at(100)));
        set_condition(&mut pod.status, ready("True"), at(100));
        assert!(is_ready(&pod) && is_available(&pod, 0, at(100)));
        assert!(!is_available(&pod, 10, at(109)));
        assert!(is_available(&pod, 10, at(110)));
        assert_eq!(available_at(&pod, 10), Some(at(110)));
    }

    #[test]
    fn finished_and_terminating_pods_are_no_replicas() {
        let mut pod = Pod::default();
        assert!(is_active(&pod));
        pod.status.phase = "Failed".into();
        assert!(is_finished(&pod) && !is_active(&pod));
        pod.status.phase = "Running".into();
        pod.metadata.deletion_timestamp = Some(at(1).into());
        assert!(is_terminating(&pod) && !is_active(&pod));
    }
}
