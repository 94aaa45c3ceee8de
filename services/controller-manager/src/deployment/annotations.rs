//! What a Deployment writes on its ReplicaSets: its own annotations, the revision, and the sizes that it had in mind.
//!
//! `kubectl rollout history` reads the revisions, proportional scaling the sizes.

use super::bounds::Bounds;
use api::apps::v1::{Deployment, ReplicaSet};
use std::collections::BTreeMap;
use telemetry::TRACEPARENT_ANNOTATION;

/// Which template of the Deployment's history this is; on the Deployment, the newest.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Revisions that a ReplicaSet had before a rollback gave it a new one.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when the ReplicaSet was last scaled.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The same, with surge.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Kubernetes' bound of the history annotation, in bytes.
const HISTORY_LIMIT: usize = 2000;

/// Annotations of the Deployment that say something about itself and are not passed on.
const OWN: [&str; 7] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
    TRACEPARENT_ANNOTATION,
];

/// The revision of a ReplicaSet; 0 if it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    set.metadata.annotations.get(REVISION).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Passes the Deployment's annotations on.
pub(super) fn inherit(set: &mut ReplicaSet, deployment: &Deployment) {
    for (name, value) in &deployment.metadata.annotations {
        if !OWN.contains(&name.as_str()) {
            set.metadata.annotations.insert(name.clone(), value.clone());
        }
    }
}

/// Makes this the newest revision, unless it is already; remembers the one before.
pub(super) fn renew_revision(set: &mut ReplicaSet, newest: i64) {
    let before = revision(set);
    if before >= newest {
        return;
    }
    if before > 0 {
        let history = set.metadata.annotations.entry(REVISION_HISTORY.to_owned()).or_default();
        if !history.is_empty() {
            history.push(',');
        }
        history.push_str(&before.to_string());
        while history.len() > HISTORY_LIMIT {
            let cut = history.find(',').map_or(history.len(), |comma| comma + 1);
            history.drain(..cut);
        }
    }
    set.metadata.annotations.insert(REVISION.to_owned(), newest.to_string());
}

/// Notes the sizes that the Deployment has in mind.
pub(super) fn set_sizes(set: &mut ReplicaSet, bounds: Bounds) {
    let annotations: &mut BTreeMap<_, _> = &mut set.metadata.annotations;
    annotations.insert(DESIRED_REPLICAS.to_owned(), bounds.replicas.to_string());
    annotations.insert(MAX_REPLICAS.to_owned(), bounds.max_total().to_string());
}

/// The Deployment's replicas when the ReplicaSet was last scaled.
pub(super) fn desired_replicas(set: &ReplicaSet) -> Option<i32> {
    set.metadata.annotations.get(DESIRED_REPLICAS)?.parse().ok()
}

/// The most pods that the Deployment allowed when the ReplicaSet was last scaled.
pub(super) fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    set.metadata.annotations.get(MAX_REPLICAS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w5_a_rollback_renews_the_revision_and_remembers_the_old_ones() {
        let mut set = ReplicaSet::default();
        for newest in [1, 1, 3, 2, 7] {
            renew_revision(&mut set, newest);
        }
        assert_eq!(revision(&set), 7);
        assert_eq!(set.metadata.annotations[REVISION_HISTORY], "1,3");
    }

    #[test]
    fn the_history_keeps_its_newest_entries_within_its_bound() {
        let mut set = ReplicaSet::default();
        (1..=1000).for_each(|newest| renew_revision(&mut set, newest));
        let history = &set.metadata.annotations[REVISION_HISTORY];
        assert!(history.len() <= HISTORY_LIMIT && history.ends_with(",998,999"), "{history}");
        assert!(history.split(',').all(|entry| entry.parse::<i64>().is_ok()));
    }

    #[test]
    fn what_a_deployment_says_about_itself_is_not_passed_on() {
        let mut deployment = Deployment::default();
        for name in OWN.iter().chain(&["kubernetes.io/change-cause"]) {
            deployment.metadata.annotations.insert((*name).to_owned(), "x".to_owned());
        }
        let mut set = ReplicaSet::default();
        inherit(&mut set, &deployment);
        assert_eq!(set.metadata.annotations.into_keys().collect::<Vec<_>>(), ["kubernetes.io/change-cause"]);
    }
}
