//! One step of a rolling update: the newest ReplicaSet grows, or old ones shrink, and both bounds hold.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment>

use super::draft::{Draft, Set};

/// Takes one step. Growing comes first; only when there is nothing to grow, or no room, is anything taken away.
pub(super) fn step(draft: &mut Draft<'_>) {
    if draft.newest.is_none() {
        draft.create_newest();
    }
    if !resize_newest(draft) {
        shrink_old(draft);
    }
}

/// Brings the newest to its size, as far as surge allows. True if an existing one changed: the next step has to wait for it.
fn resize_newest(draft: &mut Draft<'_>) -> bool {
    let bounds = draft.bounds;
    let Some(index) = draft.newest else { return false };
    let (size, total) = (draft.sets[index].size(), draft.total());
    let wanted = if size > bounds.replicas {
        bounds.replicas
    } else {
        let room = (bounds.max_total() - total).max(0);
        size + room.min(bounds.replicas - size)
    };
    if wanted != size {
        draft.sets[index].resize(wanted, bounds);
    }
    wanted != size && draft.sets[index].before.is_some()
}

/// Takes from the old ones what may be missing: first pods that serve nobody anyway, then available ones beyond the minimum.
fn shrink_old(draft: &mut Draft<'_>) {
    let bounds = draft.bounds;
    let old = draft.old();
    if old.iter().all(|index| draft.sets[*index].size() == 0) {
        return;
    }
    // New pods that are not available yet may fail: they do not count as replacements.
    let newest_unavailable = draft.newest().map_or(0, |set| set.size() - set.available());
    let most = draft.total() - bounds.min_available() - newest_unavailable;
    if most <= 0 {
        return;
    }
    take(draft, &old, most, Set::unhealthy);
    let available: i32 = draft.sets.iter().map(Set::available).sum();
    take(draft, &old, available - bounds.min_available(), Set::size);
}

/// Takes up to `most` pods from `sets` in their order, from each at most what `spare` says.
fn take(draft: &mut Draft<'_>, sets: &[usize], most: i32, spare: impl Fn(&Set) -> i32) {
    let mut left = most;
    for index in sets {
        let set = &mut draft.sets[*index];
        let taken = spare(set).min(set.size()).min(left);
        if taken > 0 {
            set.resize(set.size() - taken, draft.bounds);
            left -= taken;
        }
    }
}
