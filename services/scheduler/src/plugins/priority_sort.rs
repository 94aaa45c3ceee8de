//! PrioritySort: the greater priority first, then who waits longer.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::framework::{ExtensionPoints, Plugin, QueueSort};
use crate::queue::QueuedPod;

/// See <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>.
#[derive(Debug)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn extend(self: Arc<Self>, points: &mut ExtensionPoints) {
        points.queue_sort(self);
    }
}

impl QueueSort for PrioritySort {
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering {
        b.info.priority.cmp(&a.info.priority).then_with(|| a.queued.cmp(&b.queued))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[tokio::test(start_paused = true)]
    async fn priority_goes_before_age() {
        let old = QueuedPod::new(pod("old").info());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let young = QueuedPod::new(pod("young").info());
        let urgent = QueuedPod::new(pod("urgent").priority(7).info());
        assert_eq!(PrioritySort.compare(&old, &young), Ordering::Less);
        assert_eq!(PrioritySort.compare(&urgent, &old), Ordering::Less);
        assert_eq!(PrioritySort.compare(&old, &old), Ordering::Equal);
    }
}
