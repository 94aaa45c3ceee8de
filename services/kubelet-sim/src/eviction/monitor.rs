//! Which thresholds are crossed, since when, and what follows. Pure, with a memory.
//!
//! A threshold counts from when it is first seen crossed, and no longer when the signal is back above it; one that was acted upon, when the
//! least reclaim is there as well. A pressure outlives its cause by the transition period, so that a node does not swing between
//! two states.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::observation::Observations;
use super::signal::Signal;
use super::threshold::Threshold;
use crate::lifecycle::admission::Pressure;

/// What a node has crossed.
#[derive(Clone, Debug)]
pub struct Monitor {
    thresholds: Vec<Threshold>,
    transition: Duration,
    /// Crossed thresholds by their places, and since when.
    crossed: BTreeMap<usize, Timestamp>,
    /// Those whose grace period was over at the last look.
    met: BTreeSet<usize>,
    last_seen: BTreeMap<Pressure, Timestamp>,
}

/// What one look at a node shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// What the node's conditions say.
    pub pressures: BTreeSet<Pressure>,
    /// Thresholds that something must be done about now, the most urgent first.
    pub starved: Vec<Threshold>,
}

impl Monitor {
    /// Nothing has been seen yet.
    pub fn new(thresholds: Vec<Threshold>, transition: Duration) -> Self {
        let (crossed, met, last_seen) = Default::default();
        Self { thresholds, transition, crossed, met, last_seen }
    }

    /// Takes a look.
    pub fn look(&mut self, observations: &Observations, now: Timestamp) -> Look {
        let places = 0..self.thresholds.len();
        let still = |at: &usize| {
            let threshold = &self.thresholds[*at];
            is_met(threshold, observations, false) || (self.met.contains(at) && is_met(threshold, observations, true))
        };
        let crossed: BTreeMap<usize, Timestamp> =
            places.filter(still).map(|at| (at, self.crossed.get(&at).copied().unwrap_or(now))).collect();
        for at in crossed.keys() {
            self.last_seen.insert(self.thresholds[*at].signal.pressure(), now);
        }
        let since = |time: Timestamp| Duration::try_from(now.duration_since(time)).unwrap_or_default();
        let transition = self.transition;
        self.last_seen.retain(|_, seen| since(*seen) < transition);
        self.met = crossed
            .iter()
            .filter(|(at, from)| since(**from) >= self.thresholds[**at].grace)
            .map(|(at, _)| *at)
            .collect();
        self.crossed = crossed;
        let mut starved: Vec<Threshold> = self.met.iter().map(|at| self.thresholds[*at].clone()).collect();
        // Memory runs out fastest.
        starved.sort_by_key(|t| !matches!(t.signal, Signal::MemoryAvailable | Signal::AllocatableMemoryAvailable));
        Look { pressures: self.last_seen.keys().copied().collect(), starved }
    }

    /// Whether anything is still short of what reclaiming has to bring back, after something was reclaimed.
    pub fn is_short(&self, observations: &Observations) -> bool {
        self.thresholds.iter().any(|threshold| is_met(threshold, observations, true))
    }
}

fn is_met(threshold: &Threshold, observations: &Observations, with_reclaim: bool) -> bool {
    let Some(observed) = observations.get(&threshold.signal) else { return false };
    let mut line = threshold.value.of(observed.capacity);
    if with_reclaim && let Some(reclaim) = threshold.min_reclaim {
        line += reclaim.of(observed.capacity);
    }
    line > observed.available
}
