//! The state that a plan is made on: the Deployment, its ReplicaSets as they are, and as they shall be.

use super::annotations;
use super::bounds::Bounds;
use api::apps::v1::{Deployment, ReplicaSet};
use api::controller_ref::controller_ref;
use api::core::v1::PodTemplateSpec;
use api::meta::v1::ObjectMeta;
use api::template_hash::{self, template_hash};
use jiff::Timestamp;
use std::sync::Arc;

/// A ReplicaSet in a plan.
#[derive(Debug, Clone)]
pub(super) struct Set {
    /// As it is; `None`: it is to be created.
    pub(super) before: Option<Arc<ReplicaSet>>,
    /// As it shall be.
    pub(super) after: ReplicaSet,
}

impl Set {
    /// Pods that it shall have.
    pub(super) fn size(&self) -> i32 {
        size(&self.after)
    }

    /// Pods that it had been asked for before.
    pub(super) fn size_before(&self) -> i32 {
        self.before.as_deref().map_or(0, size)
    }

    /// Pods of it that certainly serve, and go on to.
    ///
    /// The status may be older than the size, and count pods that are about to go. If the size changed more than once since the status, it
    /// may count pods that went when the size was smaller: then none is certain. (Counting on such a status is how a rollout that is
    /// changed in mid-course could take away more than it may.)
    pub(super) fn available(&self) -> i32 {
        if self.unseen_changes() > 1 { 0 } else { self.after.status.available_replicas.min(self.size()) }
    }

    /// Pods of it that serve nobody, as far as is known.
    pub(super) fn unhealthy(&self) -> i32 {
        if self.unseen_changes() > 0 { 0 } else { self.size() - self.available() }
    }

    /// Changes of the spec that its status does not reflect.
    fn unseen_changes(&self) -> i64 {
        self.after.metadata.generation - self.after.status.observed_generation
    }

    /// Gives it a size, and notes the sizes that the Deployment has in mind.
    pub(super) fn resize(&mut self, size: i32, bounds: Bounds) {
        self.after.spec.replicas = Some(size);
        annotations::set_sizes(&mut self.after, bounds);
    }
}

/// What a plan is made on. The functions around it change `sets[..].after`.
pub(super) struct Draft<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) bounds: Bounds,
    pub(super) now: Timestamp,
    /// Oldest first.
    pub(super) sets: Vec<Set>,
    /// Which of them has the Deployment's template.
    pub(super) newest: Option<usize>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(deployment: &'a Deployment, replica_sets: &[Arc<ReplicaSet>], now: Timestamp) -> Self {
        let mut sets: Vec<Set> =
            replica_sets.iter().map(|set| Set { before: Some(Arc::clone(set)), after: (**set).clone() }).collect();
        sets.sort_by(|a, b| age(&a.after.metadata).cmp(&age(&b.after.metadata)));
        // Of several with this template the oldest counts, whoever made the others: otherwise two controllers could disagree.
        let newest = sets.iter().position(|set| same_template(&set.after.spec.template, &deployment.spec.template));
        Draft { deployment, bounds: Bounds::of(deployment), now, sets, newest }
    }

    pub(super) fn newest(&self) -> Option<&Set> {
        self.newest.map(|index| &self.sets[index])
    }

    /// Indexes of all but the newest, oldest first.
    pub(super) fn old(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| Some(*index) != self.newest).collect()
    }

    /// Indexes of those with pods, oldest first.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|index| self.sets[*index].size() > 0).collect()
    }

    /// Pods that all of them shall have.
    pub(super) fn total(&self) -> i32 {
        self.sets.iter().map(Set::size).sum()
    }

    /// Revision of the newest template: one more than that of any other.
    fn next_revision(&self) -> i64 {
        self.old().into_iter().map(|index| annotations::revision(&self.sets[index].after)).max().unwrap_or(0) + 1
    }

    /// Keeps the newest ReplicaSet's annotations up to date, if there is one.
    pub(super) fn refresh_newest(&mut self) {
        let revision = self.next_revision();
        let (Some(index), deployment) = (self.newest, self.deployment) else { return };
        let set = &mut self.sets[index].after;
        annotations::inherit(set, deployment);
        annotations::renew_revision(set, revision);
        set.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
    }

    /// Makes the ReplicaSet of the Deployment's template, without pods.
    pub(super) fn create_newest(&mut self) {
        let deployment = self.deployment;
        let hash = template_hash(&deployment.spec.template, deployment.status.collision_count);
        let mut after = ReplicaSet::default();
        after.metadata.name = format!("{}-{hash}", deployment.metadata.name);
        after.metadata.namespace.clone_from(&deployment.metadata.namespace);
        after.metadata.owner_references = vec![controller_ref(deployment)];
        after.spec.replicas = Some(0);
        after.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
        after.spec.template = deployment.spec.template.clone();
        after.spec.template.metadata.labels.insert(template_hash::LABEL.to_owned(), hash.clone());
        after.metadata.labels.clone_from(&after.spec.template.metadata.labels);
        let mut selector = deployment.spec.selector.clone().unwrap_or_default();
        selector.match_labels.insert(template_hash::LABEL.to_owned(), hash);
        after.spec.selector = Some(selector);
        annotations::inherit(&mut after, deployment);
        annotations::renew_revision(&mut after, self.next_revision());
        annotations::set_sizes(&mut after, self.bounds);
        self.newest = Some(self.sets.len());
        self.sets.push(Set { before: None, after });
    }
}

/// Pods that a ReplicaSet asks for.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// Orders by age; objects made within one second, by name.
pub(super) fn age(metadata: &ObjectMeta) -> (Timestamp, &str) {
    let created = metadata.creation_timestamp.and_then(|time| time.timestamp()).unwrap_or(Timestamp::MAX);
    (created, &metadata.name)
}

/// Whether two templates make the same pods: the label that tells their ReplicaSets apart does not count.
pub(super) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let without_hash = |template: &PodTemplateSpec| {
        let mut metadata = template.metadata.clone();
        metadata.labels.remove(template_hash::LABEL);
        metadata
    };
    a.spec == b.spec && without_hash(a) == without_hash(b)
}
