//! What the events around a ReplicaSet mean to it.
//!
//! | event | the run leaves spans | it is |
//! |---|---|---|
//! | its spec changed, or it is new | always | workload.apply.3 |
//! | a pod of it is deleted | always | pod.delete.10, if it makes a replacement |
//! | its status, a pod's readiness, labels or phase | if there is work | a status roll-up |

use super::controller::ReplicaSets;
use crate::origin::echo;
use api::Resource;
use api::apps::v1::ReplicaSet;
use api::controller_ref::controller_of;
use api::core::v1::Pod;
use api::pod_conditions::{READY, condition, is_finished, is_terminating};
use api::selector::label::Selector;
use controller::{Change, Key};
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes, Step};

/// What queued a ReplicaSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody wants something else of it.
    Intent,
    /// A pod of it was deleted.
    PodLost,
}

impl ReplicaSets {
    pub(super) fn replica_set_changed(&self, change: &Change<ReplicaSet>, cause: &Cause) {
        let key = Key::of(&**change.object());
        match change {
            Change::Removed(_) => {
                self.expectations.forget(&key);
                self.marks.forget(&key);
            }
            Change::Updated { old, new } if old.metadata.uid != new.metadata.uid => {
                // Deleted and made again under its name: what was expected of the old one will not come.
                self.expectations.forget(&key);
                self.intent(key, cause);
            }
            Change::Updated { old, new } if old.metadata.generation == new.metadata.generation => {
                self.queue.add(key, &echo(cause));
            }
            Change::Added(_) | Change::Updated { .. } => self.intent(key, cause),
        }
    }

    fn intent(&self, key: Key, cause: &Cause) {
        self.marks.note(&key, cause, Why::Intent);
        self.queue.add(key, cause);
    }

    pub(super) fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        match change {
            Change::Added(pod) if is_terminating(pod) => self.pod_lost(pod, cause),
            Change::Added(pod) => match self.owner(pod) {
                Some(key) => {
                    self.expectations.created(&key);
                    self.queue.add(key, &echo(cause));
                }
                None => self.orphan_changed(pod, cause),
            },
            Change::Updated { old, new } => self.pod_updated(old, new, cause),
            // That it is on its way out was told when that began.
            Change::Removed(pod) if is_terminating(pod) => {
                if let Some(key) = self.owner(pod) {
                    self.expectations.deleted(&key, &pod.metadata.uid);
                    self.queue.add(key, &echo(cause));
                }
            }
            Change::Removed(pod) => self.pod_lost(pod, cause),
        }
    }

    fn pod_updated(&self, old: &Arc<Pod>, new: &Arc<Pod>, cause: &Cause) {
        if old.metadata.uid != new.metadata.uid {
            self.pod_lost(old, cause);
        }
        if is_terminating(new) && !is_terminating(old) {
            return self.pod_lost(new, cause);
        }
        if !matters(old, new) {
            return;
        }
        let (before, now) = (self.owner(old), self.owner(new));
        if let Some(key) = before.filter(|before| now.as_ref() != Some(before)) {
            self.queue.add(key, &echo(cause));
        }
        match now {
            Some(key) => self.queue.add(key, &echo(cause)),
            None => self.orphan_changed(new, cause),
        }
    }

    /// A pod begins to go, or went without notice: it needs a replacement.
    fn pod_lost(&self, pod: &Pod, cause: &Cause) {
        let Some(key) = self.owner(pod) else { return };
        self.expectations.deleted(&key, &pod.metadata.uid);
        self.marks.note(&key, cause, Why::PodLost);
        self.queue.add(key, cause);
    }

    /// A pod without controller may be adopted.
    fn orphan_changed(&self, pod: &Pod, cause: &Cause) {
        if controller_of(&pod.metadata).is_some() || is_terminating(pod) {
            return;
        }
        for set in self.sets.list_in(&pod.metadata.namespace) {
            let selector = Selector::of(set.spec.selector.as_ref());
            if selector.is_ok_and(|selector| selector.matches(&pod.metadata.labels)) {
                self.queue.add(Key::of(&*set), &echo(cause));
            }
        }
    }

    /// The ReplicaSet that controls a pod, whether or not it still exists.
    fn owner(&self, pod: &Pod) -> Option<Key> {
        let owner = controller_of(&pod.metadata).filter(|owner| owner.kind == ReplicaSet::INFO.kind)?;
        let key = Key::new(&*pod.metadata.namespace, &*owner.name);
        let is_another = self.sets.get(&key).is_some_and(|set| set.metadata.uid != owner.uid);
        (!is_another).then_some(key)
    }

    /// Whether the caches show what the last run of this ReplicaSet did.
    pub(super) fn sees_its_writes(&self, key: &Key) -> bool {
        self.expectations.satisfied(key) && self.written.is_shown(key, &self.sets)
    }

    pub(super) fn steps(&self, key: &Key, causes: &Causes) -> RunSteps {
        match self.marks.of(key, causes) {
            Some(Why::Intent) => RunSteps {
                watch: Some(Step::WorkloadApply3a),
                queue: Some(Step::WorkloadApply3b),
                sync: Some(Step::WorkloadApply3c),
            },
            Some(Why::PodLost) | None => RunSteps::default(),
        }
    }
}

/// Whether anything that a plan looks at changed: of a pod's many statuses most say nothing new to its ReplicaSet.
fn matters(old: &Pod, new: &Pod) -> bool {
    old.metadata.labels != new.metadata.labels
        || old.metadata.owner_references != new.metadata.owner_references
        || is_finished(old) != is_finished(new)
        || condition(&old.status, READY) != condition(&new.status, READY)
}
