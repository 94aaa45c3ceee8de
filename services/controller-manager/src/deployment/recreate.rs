//! One step of the Recreate strategy: everything old goes, and only then anything new comes.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#recreate-deployment>

use super::draft::Draft;

/// Takes one step. `pods_left` says whether pods of old templates still run, also terminating ones.
pub(super) fn step(draft: &mut Draft<'_>, pods_left: bool) {
    let bounds = draft.bounds;
    let mut shrunk = false;
    for index in draft.old() {
        if draft.sets[index].size() > 0 {
            draft.sets[index].resize(0, bounds);
            shrunk = true;
        }
    }
    let counted = draft.old().into_iter().any(|index| draft.sets[index].after.status.replicas > 0);
    if shrunk || counted || pods_left {
        return;
    }
    if draft.newest.is_none() {
        draft.create_newest();
    }
    if let Some(index) = draft.newest
        && draft.sets[index].size() != bounds.replicas
    {
        draft.sets[index].resize(bounds.replicas, bounds);
    }
}
