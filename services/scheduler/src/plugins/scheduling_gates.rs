//! SchedulingGates: a pod with gates is not tried until all of them are taken away.

use std::sync::Arc;

use crate::framework::{ClusterEvent, ExtensionPoints, Hint, Plugin, PreEnqueue, Rejection, Verdict};
use crate::pod_info::PodInfo;

/// See <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/>.
#[derive(Debug)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.pre_enqueue(self);
    }

    fn hint(&self, _: &PodInfo, event: &ClusterEvent) -> Hint {
        Hint::queue_if(
            matches!(event, ClusterEvent::PodUpdated { new, .. } if new.pod.spec.scheduling_gates.is_empty()),
        )
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Verdict {
        let gates: Vec<_> = pod.pod.spec.scheduling_gates.iter().map(|gate| gate.name.as_str()).collect();
        if gates.is_empty() {
            return Ok(());
        }
        Err(Rejection::unresolvable(format!("waiting for scheduling gates: [{}]", gates.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn the_rejection_names_the_gates() {
        assert_eq!(SchedulingGates.pre_enqueue(&pod("free").info()), Ok(()));
        let held = pod("held").gate("quota").gate("network").info();
        let rejection = SchedulingGates.pre_enqueue(&held).unwrap_err();
        assert_eq!(rejection.message(), "waiting for scheduling gates: [quota network]");
    }
}
