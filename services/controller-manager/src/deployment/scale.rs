//! A user scales: how the new size is spread over the ReplicaSets, when it is not the rollout's turn.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling>
//!
//! One ReplicaSet with pods takes the whole size. Several, in the middle of a rollout, are scaled in proportion, so that neither the old
//! nor the new version bears the change alone.

use super::annotations;
use super::bounds::is_recreate;
use super::draft::{Draft, Set};
use std::cmp::Reverse;

/// Whether the Deployment's replicas changed since its ReplicaSets were last scaled.
pub(super) fn is_due(draft: &Draft<'_>) -> bool {
    let wanted = draft.bounds.replicas;
    draft
        .active()
        .into_iter()
        .filter_map(|index| annotations::desired_replicas(&draft.sets[index].after))
        .any(|desired| desired != wanted)
}

/// Spreads the Deployment's replicas.
pub(super) fn apply(draft: &mut Draft<'_>) {
    if draft.sets.is_empty() {
        return;
    }
    let (bounds, active) = (draft.bounds, draft.active());
    if active.len() <= 1 {
        let latest = draft.newest.unwrap_or(draft.sets.len() - 1);
        let only = active.first().copied().unwrap_or(latest);
        // Even when only the note of the size changes: without it every later run would take this for a scaling.
        draft.sets[only].resize(bounds.replicas, bounds);
    } else if is_saturated(draft) {
        for index in draft.old() {
            if draft.sets[index].size() > 0 {
                draft.sets[index].resize(0, bounds);
            }
        }
    } else if !is_recreate(draft.deployment) {
        in_proportion(draft, active);
    }
}

/// Whether the newest ReplicaSet has all the replicas, and they are available.
fn is_saturated(draft: &Draft<'_>) -> bool {
    let wanted = draft.bounds.replicas;
    draft.newest().is_some_and(|set| {
        set.size() == wanted && annotations::desired_replicas(&set.after) == Some(wanted) && set.available() == wanted
    })
}

fn in_proportion(draft: &mut Draft<'_>, mut active: Vec<usize>) {
    let bounds = draft.bounds;
    let allowed = if bounds.replicas > 0 { bounds.max_total() } else { 0 };
    let to_add = allowed - active.iter().map(|index| draft.sets[*index].size()).sum::<i32>();
    // What the largest gets is rounded least noticeably. Growing favours the newer of equals, shrinking takes from the older.
    if to_add > 0 {
        active.sort_by_key(|index| Reverse((draft.sets[*index].size(), *index)));
    } else {
        active.sort_by_key(|index| (Reverse(draft.sets[*index].size()), *index));
    }
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for index in &active {
        let set = &draft.sets[*index];
        let share = share(set, draft, to_add, added);
        added += share;
        sizes.push(set.size() + share);
    }
    // Rounding may leave some over.
    if to_add != 0 {
        sizes[0] = (sizes[0] + to_add - added).max(0);
    }
    for (index, size) in active.into_iter().zip(sizes) {
        draft.sets[index].resize(size, bounds);
    }
}

/// What a ReplicaSet gains or loses of `to_add`, of which `added` is given out already.
fn share(set: &Set, draft: &Draft<'_>, to_add: i32, added: i32) -> i32 {
    if set.size() == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = fraction(set, draft);
    let left = to_add - added;
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

/// The change that keeps the ReplicaSet's part of the whole the same.
fn fraction(set: &Set, draft: &Draft<'_>) -> i32 {
    let size = set.size();
    if draft.bounds.replicas == 0 {
        return -size;
    }
    let whole_before = annotations::max_replicas(&set.after).unwrap_or(draft.deployment.status.replicas);
    if whole_before == 0 {
        return 0;
    }
    let whole = i64::from(draft.bounds.max_total());
    let scaled = (i64::from(size) * whole) as f64 / f64::from(whole_before);
    scaled.round() as i32 - size
}
