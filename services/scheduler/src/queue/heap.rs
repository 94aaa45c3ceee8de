//! A binary heap whose entries can be found, changed and removed by uid.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::QueuedPod;

/// Waiting pods in the order of a comparison: the least is first, equals come as they came. Each uid is in it once.
pub(super) struct Heap {
    /// With the number of its arrival.
    pods: Vec<(u64, QueuedPod)>,
    arrivals: u64,
    position: HashMap<Arc<str>, usize>,
    compare: Box<Compare>,
}

type Compare = dyn Fn(&QueuedPod, &QueuedPod) -> Ordering + Send;

impl Heap {
    pub(super) fn new(compare: impl Fn(&QueuedPod, &QueuedPod) -> Ordering + Send + 'static) -> Self {
        Self { pods: Vec::new(), arrivals: 0, position: HashMap::new(), compare: Box::new(compare) }
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    pub(super) fn push(&mut self, pod: QueuedPod) {
        debug_assert!(!self.position.contains_key(&pod.info.uid), "a pod waits in one place");
        let index = self.pods.len();
        self.position.insert(Arc::clone(&pod.info.uid), index);
        self.arrivals += 1;
        self.pods.push((self.arrivals, pod));
        self.rise(index);
    }

    pub(super) fn peek(&self) -> Option<&QueuedPod> {
        self.pods.first().map(|(_, pod)| pod)
    }

    pub(super) fn pop(&mut self) -> Option<QueuedPod> {
        (!self.pods.is_empty()).then(|| self.take(0))
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<QueuedPod> {
        let index = *self.position.get(uid)?;
        Some(self.take(index))
    }

    /// Changes a pod in place; true if it was here.
    pub(super) fn change(&mut self, uid: &str, change: impl FnOnce(&mut QueuedPod)) -> bool {
        let Some(&index) = self.position.get(uid) else { return false };
        change(&mut self.pods[index].1);
        self.restore(index);
        true
    }

    fn take(&mut self, index: usize) -> QueuedPod {
        let (_, pod) = self.pods.swap_remove(index);
        self.position.remove(&pod.info.uid);
        if index < self.pods.len() {
            self.position.insert(Arc::clone(&self.pods[index].1.info.uid), index);
            self.restore(index);
        }
        pod
    }

    /// Moves an entry to where it belongs, up or down.
    fn restore(&mut self, index: usize) {
        let index = self.rise(index);
        self.sink(index);
    }

    fn rise(&mut self, mut index: usize) -> usize {
        while index > 0 {
            let parent = (index - 1) / 2;
            if !self.is_before(index, parent) {
                break;
            }
            self.swap(index, parent);
            index = parent;
        }
        index
    }

    fn sink(&mut self, mut index: usize) {
        loop {
            let children = [2 * index + 1, 2 * index + 2].into_iter().filter(|&child| child < self.pods.len());
            let Some(first) = children.reduce(|a, b| if self.is_before(b, a) { b } else { a }) else { return };
            if !self.is_before(first, index) {
                return;
            }
            self.swap(index, first);
            index = first;
        }
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let ((arrived_a, a), (arrived_b, b)) = (&self.pods[a], &self.pods[b]);
        (self.compare)(a, b).then(arrived_a.cmp(arrived_b)) == Ordering::Less
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.pods.swap(a, b);
        for index in [a, b] {
            self.position.insert(Arc::clone(&self.pods[index].1.info.uid), index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::pod;

    fn queued(name: &str, priority: i32) -> QueuedPod {
        QueuedPod::new(pod(name).priority(priority).info())
    }

    fn by_priority() -> Heap {
        Heap::new(|a, b| b.info.priority.cmp(&a.info.priority))
    }

    proptest! {
        #[test]
        fn whatever_is_removed_or_changed_the_rest_comes_in_order(
            pods in prop::collection::vec((any::<i8>(), any::<i8>(), 0..3_u8), 0..40)
        ) {
            let mut heap = by_priority();
            for (index, (priority, _, _)) in pods.iter().enumerate() {
                heap.push(queued(&index.to_string(), i32::from(*priority)));
            }
            let mut expected = Vec::new();
            for (index, (priority, new, action)) in pods.iter().enumerate() {
                let uid = queued(&index.to_string(), 0).info.uid.clone();
                match action {
                    0 => expected.push(i32::from(*priority)),
                    1 => prop_assert!(heap.remove(&uid).is_some() && heap.remove(&uid).is_none()),
                    _ => {
                        let info = pod(&index.to_string()).priority(i32::from(*new)).info();
                        prop_assert!(heap.change(&uid, |queued| queued.info = info));
                        expected.push(i32::from(*new));
                    }
                }
            }
            expected.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(heap.len(), expected.len());
            let popped: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|queued| queued.info.priority).collect();
            prop_assert_eq!(popped, expected);
        }
    }
}
