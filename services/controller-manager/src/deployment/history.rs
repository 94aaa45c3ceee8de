//! Which old ReplicaSets are beyond `revisionHistoryLimit`.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#clean-up-policy>

use super::annotations;
use super::draft::{Draft, age, size};
use api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// The ones to delete, oldest revision first. One that has pods, or may have, stays and still counts.
pub(super) fn surplus(draft: &Draft<'_>) -> Vec<Arc<ReplicaSet>> {
    let Some(limit) = draft.deployment.spec.revision_history_limit.filter(|limit| *limit < i32::MAX) else {
        return Vec::new();
    };
    let mut old: Vec<Arc<ReplicaSet>> = draft
        .old()
        .into_iter()
        .filter_map(|index| draft.sets[index].before.clone())
        .filter(|set| set.metadata.deletion_timestamp.is_none())
        .collect();
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    old.sort_by(|a, b| {
        annotations::revision(a).cmp(&annotations::revision(b)).then_with(|| age(&a.metadata).cmp(&age(&b.metadata)))
    });
    old.truncate(surplus);
    old.retain(|set| is_empty(set));
    old
}

/// Whether the ReplicaSet certainly has no pods: it asks for none, and its status is not older than that.
fn is_empty(set: &ReplicaSet) -> bool {
    size(set) == 0 && set.status.replicas == 0 && set.metadata.generation <= set.status.observed_generation
}
