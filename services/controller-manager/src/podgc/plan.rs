//! Which pods nobody looks after, without I/O and clock.

use crate::nodelifecycle::plan::is_node_ready;
use api::core::v1::{Node, Pod};
use api::pod_conditions::{is_finished, is_terminating};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Taint by which an administrator says that a node is switched off and will not come back by itself.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Why a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It finished, and there are too many that did.
    Finished,
    /// Its node is gone.
    Orphaned,
    /// It was deleted before it had a node.
    Unscheduled,
    /// It was deleted, and its node is out of service.
    OutOfService,
}

/// What a plan is made from.
pub struct Observed<'a> {
    /// All pods.
    pub pods: &'a [Arc<Pod>],
    /// All nodes, by name.
    pub nodes: &'a HashMap<String, Arc<Node>>,
    /// Names of nodes that are certainly gone: missing for long enough, and not only in a cache.
    pub gone: &'a HashSet<String>,
    /// Finished pods to keep; `None` keeps all.
    pub keep: Option<usize>,
}

/// The pods that go.
pub fn plan(observed: &Observed<'_>) -> Vec<(Arc<Pod>, Why)> {
    let mut going: Vec<_> =
        observed.pods.iter().filter_map(|pod| Some((Arc::clone(pod), lost(observed, pod)?))).collect();
    let mut finished: Vec<_> =
        observed.pods.iter().filter(|pod| is_finished(pod) && lost(observed, pod).is_none()).cloned().collect();
    let surplus = observed.keep.map_or(0, |keep| finished.len().saturating_sub(keep));
    // Evicted ones are worth least, then the oldest.
    finished.sort_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.map_or(0, |time| time.seconds);
        (pod.status.reason != "Evicted", created, pod.metadata.name.clone())
    });
    going.extend(finished.into_iter().take(surplus).map(|pod| (pod, Why::Finished)));
    going
}

fn lost(observed: &Observed<'_>, pod: &Pod) -> Option<Why> {
    let node = &pod.spec.node_name;
    if node.is_empty() {
        return is_terminating(pod).then_some(Why::Unscheduled);
    }
    if observed.gone.contains(node) {
        return Some(Why::Orphaned);
    }
    let node = observed.nodes.get(node)?;
    let is_off = !is_node_ready(node) && node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE);
    (is_off && is_terminating(pod)).then_some(Why::OutOfService)
}

/// Names of nodes that pods name and that are not there.
pub fn missing_nodes(pods: &[Arc<Pod>], nodes: &HashMap<String, Arc<Node>>) -> HashSet<String> {
    let named = pods.iter().map(|pod| &pod.spec.node_name).filter(|name| !name.is_empty());
    named.filter(|name| !nodes.contains_key(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Taint;

    /// A pod from words: a node (`@n1`), a phase, `deleted`, `evicted`, an age (`5s`).
    fn pod(name: &str, words: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        for word in words.split_whitespace() {
            match word {
                "deleted" => pod.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into()),
                "evicted" => pod.status.reason = "Evicted".to_owned(),
                _ if word.starts_with('@') => pod.spec.node_name = word[1..].to_owned(),
                _ if word.ends_with('s') => {
                    let age: i64 = word[..word.len() - 1].parse().unwrap();
                    let created = jiff::Timestamp::from_second(1_800_000_000 - age).unwrap();
                    pod.metadata.creation_timestamp = Some(created.into());
                }
                phase => pod.status.phase = phase.to_owned(),
            }
        }
        Arc::new(pod)
    }

    fn nodes() -> HashMap<String, Arc<Node>> {
        let mut off = Node::default();
        off.spec.taints = vec![Taint { key: OUT_OF_SERVICE.to_owned(), ..Default::default() }];
        HashMap::from([("n1".to_owned(), Arc::new(Node::default())), ("off".to_owned(), Arc::new(off))])
    }

    #[test]
    fn d14_pods_that_nobody_looks_after_go() {
        let pods = [
            pod("runs", "@n1 Running"),
            pod("terminates", "@n1 Running deleted"),
            pod("waits", "Pending"),
            pod("unscheduled", "Pending deleted"),
            pod("orphan", "@vanished Running"),
            pod("finished orphan", "@vanished Succeeded"),
            pod("missing only now", "@restarting Running"),
            pod("switched off", "@off Running deleted"),
            pod("not deleted yet", "@off Running"),
        ];
        let nodes = nodes();
        assert_eq!(missing_nodes(&pods, &nodes), HashSet::from(["vanished".to_owned(), "restarting".to_owned()]));
        let gone = HashSet::from(["vanished".to_owned()]);
        let going = plan(&Observed { pods: &pods, nodes: &nodes, gone: &gone, keep: None });
        let going: Vec<_> = going.iter().map(|(pod, why)| (pod.metadata.name.as_str(), *why)).collect();
        assert_eq!(
            going,
            [
                ("unscheduled", Why::Unscheduled),
                ("orphan", Why::Orphaned),
                ("finished orphan", Why::Orphaned),
                ("switched off", Why::OutOfService)
            ]
        );
    }

    #[test]
    fn d14_finished_pods_over_the_threshold_go_the_oldest_first() {
        let pods = [
            pod("new", "@n1 Succeeded 10s"),
            pod("old", "@n1 Failed 50s"),
            pod("older", "@n1 Succeeded 90s"),
            pod("evicted", "@n1 Failed evicted 5s"),
            pod("runs", "@n1 Running 99s"),
        ];
        for (keep, expected) in
            [(None, vec![]), (Some(4), vec![]), (Some(3), vec!["evicted"]), (Some(1), vec!["evicted", "older", "old"])]
        {
            let going = plan(&Observed { pods: &pods, nodes: &nodes(), gone: &HashSet::new(), keep });
            assert_eq!(going.iter().map(|(pod, _)| pod.metadata.name.as_str()).collect::<Vec<_>>(), expected);
            assert!(going.iter().all(|(_, why)| *why == Why::Finished));
        }
    }
}
