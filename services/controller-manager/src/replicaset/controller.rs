//! Looks at a ReplicaSet and its pods, and carries the plan out.

use super::events::Why;
use super::plan::{Failure, Observed, Plan, plan, pod_of};
use super::slow_start::slow_start;
use crate::claim::{self, CONTROLLER, by_controller, candidates, claim, controlled};
use crate::context::{Context, Start, is_namespace_terminating};
use crate::origin::{Marks, origin, sign};
use crate::written::Written;
use api::apps::v1::ReplicaSet;
use api::controller_ref::controller_of;
use api::core::v1::Pod;
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::{is_active, is_finished, is_terminating};
use api::selector::label::Selector;
use api::{Error, Resource};
use client::Api;
use controller::{Cache, EventType, Expectations, Key, Outcome, Recorder, WorkQueue};
use futures::future::join_all;
use service_kit::Clock;
use std::collections::HashMap;
use std::sync::Arc;
use telemetry::{Causes, SpanExt, Step};
use tracing::Span;

/// The controller. Its events are in [`super::events`].
pub(super) struct ReplicaSets {
    pub(super) sets: Cache<ReplicaSet>,
    pub(super) pods: Cache<Pod>,
    pub(super) sets_api: Api<ReplicaSet>,
    pub(super) pods_api: Api<Pod>,
    /// Pods that were created or deleted.
    pub(super) expectations: Expectations,
    /// Statuses.
    pub(super) written: Written,
    pub(super) marks: Marks<Why>,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
    pub(super) queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let this = Arc::new(ReplicaSets {
        sets: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        sets_api: context.api(),
        pods_api: context.api(),
        expectations: Expectations::new(),
        written: Written::default(),
        marks: Marks::default(),
        recorder: context.recorder("replicaset-controller"),
        clock: context.clock.clone(),
        queue: WorkQueue::new(&context.shutdown),
    });
    let sets = context.informers.of::<ReplicaSet>();
    sets.add_index(CONTROLLER, by_controller);
    sets.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.replica_set_changed(change, cause)
    });
    let pods = context.informers.of::<Pod>();
    pods.add_index(CONTROLLER, by_controller);
    pods.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.pod_changed(change, cause)
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin =
        move |key: &Key, causes: &Causes| of.sees_its_writes(key).then(|| origin(&of.sets, key, of.steps(key, causes)));
    let reconcile = move |key: Key, causes: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key, &causes).await }
    };
    context.workers(("replicaset", ReplicaSet::INFO.kind, workers), &queue, origin, reconcile)
}

/// A run.
impl ReplicaSets {
    async fn reconcile(&self, key: &Key, causes: &Causes) -> Result<Outcome, Error> {
        let Some(set) = self.sets.get(key) else { return Ok(Outcome::Done) };
        let selector = Selector::of(set.spec.selector.as_ref()).map_err(Error::internal)?;
        let (active, others): (Vec<_>, Vec<_>) =
            candidates(&self.pods, &set.metadata).into_iter().partition(|pod| is_active(pod));
        let terminating = others
            .iter()
            .filter(|pod| is_terminating(pod) && !is_finished(pod))
            .filter(|pod| claim::tie(&set.metadata, &selector, &pod.metadata) == claim::Tie::Mine)
            .count();
        let active = claim(&*set, &self.sets_api, &self.pods_api, active, &selector).await?;
        let now = self.clock.now();
        let per_node = || self.pods_per_node(&set);
        let plan = plan(Observed { replica_set: &set, active, terminating, per_node: &per_node }, now);
        let failed = self.carry_out(key, &set, &plan, causes).await;
        // The events of pods that were made or deleted a moment ago bring the run that counts them: one status, and not two.
        if failed.is_none() && plan.changes_pods() {
            return Ok(Outcome::Done);
        }
        let failure = failed.as_ref().map(|(failure, _)| failure);
        if let Some(status) = plan.status(&set, failure, now) {
            let mut changed = (*set).clone();
            changed.status = status;
            // Nobody else writes it, and the last one is seen; a Deployment that scales meanwhile is no conflict.
            changed.metadata.resource_version.clear();
            self.written.changed(key, &self.sets_api.update_status(&changed).await?);
        }
        match failed {
            Some((_, error)) => Err(error),
            None => Ok(plan.again.map_or(Outcome::Done, Outcome::After)),
        }
    }

    /// Active pods of the ReplicaSet and its siblings under one Deployment, by node.
    fn pods_per_node(&self, set: &ReplicaSet) -> HashMap<String, usize> {
        let siblings = match controller_of(&set.metadata) {
            Some(owner) => self.sets.by_index(CONTROLLER, &owner.uid),
            None => Vec::new(),
        };
        let own = siblings.is_empty().then(|| set.metadata.clone());
        let metas = siblings.iter().map(|sibling| &sibling.metadata).chain(&own);
        let mut per_node = HashMap::new();
        for pod in metas.flat_map(|meta| controlled(&self.pods, meta)).filter(|pod| is_active(pod)) {
            *per_node.entry(pod.spec.node_name.clone()).or_insert(0) += 1;
        }
        per_node
    }

    async fn carry_out(&self, key: &Key, set: &ReplicaSet, plan: &Plan, causes: &Causes) -> Option<(Failure, Error)> {
        if plan.create > 0 {
            let step = match self.marks.of(key, causes) {
                Some(Why::PodLost) => Step::PodDelete10,
                Some(Why::Intent) | None => Step::WorkloadApply3c,
            };
            Span::current().step(step);
            let error = self.create(key, set, plan.create).await?;
            return Some((Failure { reason: "FailedCreate", message: error.to_string() }, error));
        }
        if !plan.delete.is_empty() {
            let error = self.delete(key, set, &plan.delete).await?;
            return Some((Failure { reason: "FailedDelete", message: error.to_string() }, error));
        }
        None
    }

    async fn create(&self, key: &Key, set: &ReplicaSet, count: usize) -> Option<Error> {
        self.expectations.expect(key, count, []);
        let mut pod = pod_of(set);
        // The context of the run itself: all of its pods have the same cause.
        sign(&mut pod);
        let (created, error) = slow_start(count, || self.create_one(set, &pod)).await;
        (created..count).for_each(|_| self.expectations.created(key));
        // Nothing can be made any more, and everything that is there is about to go.
        error.filter(|error| !is_namespace_terminating(error))
    }

    async fn create_one(&self, set: &ReplicaSet, pod: &Pod) -> Result<(), Error> {
        match self.pods_api.create(pod).await {
            Ok(created) => {
                let message = format!("Created pod: {}", created.metadata.name);
                self.recorder.record(set, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) => {
                if !is_namespace_terminating(&error) {
                    self.recorder.record(set, EventType::Warning, "FailedCreate", format!("Error creating: {error}"));
                }
                Err(error)
            }
        }
    }

    async fn delete(&self, key: &Key, set: &ReplicaSet, pods: &[Arc<Pod>]) -> Option<Error> {
        self.expectations.expect(key, 0, pods.iter().map(|pod| pod.metadata.uid.clone()));
        let results = join_all(pods.iter().map(|pod| Box::pin(self.delete_one(key, set, pod)))).await;
        results.into_iter().find_map(Result::err)
    }

    async fn delete_one(&self, key: &Key, set: &ReplicaSet, pod: &Pod) -> Result<(), Error> {
        let (name, uid) = (&pod.metadata.name, &pod.metadata.uid);
        let preconditions = Preconditions { uid: Some(uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        match self.pods_api.within(&pod.metadata.namespace).delete(name, options).await {
            Ok(_) => {
                self.recorder.record(set, EventType::Normal, "SuccessfulDelete", format!("Deleted pod: {name}"));
                Ok(())
            }
            Err(error) => {
                self.expectations.deleted(key, uid);
                if error.is_not_found() {
                    return Ok(());
                }
                self.recorder.record(set, EventType::Warning, "FailedDelete", format!("Error deleting: {error}"));
                Err(error)
            }
        }
    }
}
