//! Pods that are being scheduled, and what happens meanwhile.
//!
//! An attempt looks at a snapshot. What happens after it was taken cannot be seen by the attempt, and the pod is not in the
//! queue to be woken: so events are logged while pods are in flight, and a pod that comes back is held against those since.
//! The log is bounded: a pod that was away for longer than it reaches is taken to have been helped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use telemetry::{Cause, Causes};

use super::Wake;
use crate::framework::ClusterEvent;
use crate::pod_info::PodInfo;

/// Events that are kept at most.
const LOG_LIMIT: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct InFlight {
    pods: HashMap<Arc<str>, Flight>,
    log: VecDeque<(ClusterEvent, Wake)>,
    /// The number of the log's first event; they are numbered from the start of the process.
    first: u64,
}

/// One pod that is away.
#[derive(Debug)]
pub(super) struct Flight {
    /// The number of the first event that its attempt cannot have seen.
    since: u64,
    /// The newest version of the pod; the attempt has the one it left with.
    pub(super) version: Arc<PodInfo>,
    /// Why newer versions came, if they are different to a scheduler.
    pub(super) causes: Causes,
    /// The pod is gone, or has a node.
    pub(super) removed: bool,
}

impl Flight {
    /// A newer version came. The cause of one that is the same to a scheduler explains nothing.
    pub(super) fn renew(&mut self, version: Arc<PodInfo>, cause: &Cause) {
        if version.differs_for_scheduling(&self.version) {
            self.causes.merge(cause.clone());
        }
        self.version = version;
    }
}

/// What happened while a pod was away.
#[derive(Debug)]
pub(super) enum Missed {
    Events(Vec<(ClusterEvent, Wake)>),
    TooMany,
}

impl InFlight {
    pub(super) fn begin(&mut self, pod: &Arc<PodInfo>) {
        let since = self.first + self.log.len() as u64;
        let flight = Flight { since, version: Arc::clone(pod), causes: Causes::none(), removed: false };
        self.pods.insert(Arc::clone(&pod.uid), flight);
    }

    pub(super) fn get_mut(&mut self, uid: &str) -> Option<&mut Flight> {
        self.pods.get_mut(uid)
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    pub(super) fn record(&mut self, event: &ClusterEvent, wake: &Wake) {
        if self.pods.is_empty() {
            return;
        }
        self.log.push_back((event.clone(), wake.clone()));
        if self.log.len() > LOG_LIMIT {
            self.log.pop_front();
            self.first += 1;
        }
    }

    /// The pod is back, or done.
    pub(super) fn end(&mut self, uid: &str) -> Option<(Flight, Missed)> {
        let flight = self.pods.remove(uid)?;
        let missed = match flight.since.checked_sub(self.first) {
            Some(seen) => {
                let seen = usize::try_from(seen).unwrap_or(usize::MAX).min(self.log.len());
                Missed::Events(self.log.range(seen..).cloned().collect())
            }
            None => Missed::TooMany,
        };
        self.trim();
        Some((flight, missed))
    }

    /// Drops what everybody who is still away has seen.
    fn trim(&mut self) {
        let end = self.first + self.log.len() as u64;
        let needed = self.pods.values().map(|flight| flight.since).min().unwrap_or(end);
        while self.first < needed && self.log.pop_front().is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod};
    use telemetry::TraceContext;

    fn happen(in_flight: &mut InFlight, times: usize) {
        let event = ClusterEvent::NodeAdded(Arc::new(node("n").info()));
        let wake = Wake { event: event.label(), context: TraceContext::NONE };
        (0..times).for_each(|_| in_flight.record(&event, &wake));
    }

    fn missed(in_flight: &mut InFlight, uid: &Arc<str>) -> Option<usize> {
        match in_flight.end(uid).unwrap().1 {
            Missed::Events(events) => Some(events.len()),
            Missed::TooMany => None,
        }
    }

    #[test]
    fn a_pod_misses_what_happens_between_its_leaving_and_its_return() {
        let (a, b) = (pod("a").info(), pod("b").info());
        let mut in_flight = InFlight::default();
        happen(&mut in_flight, 3);
        in_flight.begin(&a);
        happen(&mut in_flight, 2);
        in_flight.begin(&b);
        happen(&mut in_flight, 1);
        assert_eq!(missed(&mut in_flight, &a.uid), Some(3));
        assert_eq!(in_flight.log.len(), 1, "what only a needed is dropped");
        assert_eq!(missed(&mut in_flight, &b.uid), Some(1));
        assert_eq!(in_flight.log.len(), 0);
        assert!(in_flight.end(&b.uid).is_none());
    }

    #[test]
    fn the_log_is_bounded_and_says_so() {
        let first = pod("a").info();
        let mut in_flight = InFlight::default();
        in_flight.begin(&first);
        happen(&mut in_flight, LOG_LIMIT);
        in_flight.begin(&pod("other").info());
        happen(&mut in_flight, 1);
        assert_eq!(in_flight.log.len(), LOG_LIMIT);
        assert_eq!(missed(&mut in_flight, &first.uid), None);
    }
}
