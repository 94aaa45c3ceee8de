//! Which pods end together, and how long that may take. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use service_kit::flags;

use crate::lifecycle::critical::SYSTEM_CRITICAL_PRIORITY;

/// How long pods of each priority, and of those up to the next one, may take to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Periods(pub BTreeMap<i32, Duration>);

/// Pods that end together.
#[derive(Clone, Debug)]
pub struct Group {
    /// How long that may take.
    pub period: Duration,
    /// The pods.
    pub pods: Vec<Arc<Pod>>,
}

impl Periods {
    /// Regular pods and critical ones, the latter with a part of the whole time. Nothing for no time at all.
    pub fn of(all: Duration, critical: Duration) -> Self {
        if all.is_zero() {
            return Self::default();
        }
        Self(BTreeMap::from([(0, all.saturating_sub(critical)), (SYSTEM_CRITICAL_PRIORITY, critical)]))
    }

    /// All of it.
    pub fn total(&self) -> Duration {
        self.0.values().sum()
    }
}

impl FromStr for Periods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let period = |part: &str| {
            let wrong = || format!("{part:?} is not a priority with a time, such as 100000=10s");
            let (priority, time) = part.split_once('=').ok_or_else(wrong)?;
            Ok((priority.trim().parse().map_err(|_| wrong())?, flags::duration_or_zero(time.trim())?))
        };
        parts.map(period).collect::<Result<_, _>>().map(Self)
    }
}

/// Puts pods into groups, in the order in which they end. A pod belongs to the highest priority that is not above its own; one below all
/// of them to the lowest. Groups without pods take no time and are left out.
pub fn groups(periods: &Periods, pods: impl IntoIterator<Item = Arc<Pod>>) -> Vec<Group> {
    let Some(lowest) = periods.0.keys().next() else { return Vec::new() };
    let mut by_priority: BTreeMap<i32, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in pods {
        let own = pod.spec.priority.unwrap_or_default();
        let priority = periods.0.range(..=own).next_back().map_or(lowest, |(priority, _)| priority);
        by_priority.entry(*priority).or_default().push(pod);
    }
    by_priority.into_iter().map(|(priority, pods)| Group { period: periods.0[&priority], pods }).collect()
}

/// The grace period of a pod of a group, in seconds.
pub(super) fn grace(pod: &Pod, period: Duration) -> i64 {
    let period = i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
    pod.spec.termination_grace_period_seconds.map_or(period, |own| own.clamp(0, period))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, priority: Option<i32>) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.spec.priority = priority;
        Arc::new(pod)
    }

    fn shown(groups: &[Group]) -> Vec<String> {
        let names =
            |group: &Group| group.pods.iter().map(|pod| pod.metadata.name.as_str()).collect::<Vec<_>>().join(" ");
        groups.iter().map(|group| format!("{:?}: {}", group.period, names(group))).collect()
    }

    #[test]
    fn critical_pods_end_after_the_others_with_their_part_of_the_time() {
        let periods = Periods::of(Duration::from_secs(30), Duration::from_secs(10));
        let pods =
            || [pod("dns", Some(2_000_000_000)), pod("web", None), pod("low", Some(-5)), pod("high", Some(1_000_000))];
        assert_eq!(shown(&groups(&periods, pods())), ["20s: web low high", "10s: dns"]);
        assert_eq!(periods.total(), Duration::from_secs(30));
        assert!(groups(&Periods::of(Duration::ZERO, Duration::ZERO), pods()).is_empty(), "turned off");
    }

    #[test]
    fn a_pod_belongs_to_the_highest_priority_that_is_not_above_its_own() {
        let periods: Periods = "1000=120s,100=180s,0=60s".parse().unwrap();
        let pods =
            [pod("a", Some(1000)), pod("b", Some(999)), pod("c", Some(-1)), pod("d", Some(5000)), pod("e", Some(0))];
        assert_eq!(shown(&groups(&periods, pods)), ["60s: c e", "180s: b", "120s: a d"]);
        for text in ["10", "x=10s", "10=soon"] {
            assert!(text.parse::<Periods>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pod_gets_its_own_grace_period_but_no_more_than_its_group_has() {
        for (own, expected) in [(None, 20), (Some(5), 5), (Some(60), 20), (Some(0), 0)] {
            let mut pod = Pod::default();
            pod.spec.termination_grace_period_seconds = own;
            assert_eq!(grace(&pod, Duration::from_secs(20)), expected, "{own:?}");
        }
    }
}
