//! Looks at a ReplicaSet and its pods, and carries the plan out.
//!
//! | event | queues the ReplicaSet | the run is |
//! |---|---|---|
//! | its spec changed, or it is new | always | workload.apply.3 |
//! | a pod of it is deleted | always | pod.delete.10, if it makes a replacement |
//! | its status, a pod's readiness, labels or phase | only if there is work | a status roll-up |

use super::plan::{Failure, Observed, Plan, plan, pod_of};
use super::slow_start::slow_start;
use crate::claim::{self, CONTROLLER, by_controller, candidates, claim, controlled};
use crate::context::{Context, Start, settled};
use crate::origin::{Marks, echo, origin, sign};
use crate::written::Written;
use api::apps::v1::ReplicaSet;
use api::controller_ref::controller_of;
use api::core::v1::Pod;
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::{READY, condition, is_active, is_finished, is_terminating};
use api::selector::label::Selector;
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, Controller, EventType, Expectations, Key, Outcome, Recorder, WorkQueue, run_as};
use futures::future::join_all;
use service_kit::Clock;
use std::collections::HashMap;
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes, SpanExt, Step};
use tracing::Span;

/// What queued a ReplicaSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody wants something else of it.
    Intent,
    /// A pod of it was deleted.
    PodLost,
}

struct ReplicaSets {
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    sets_api: Api<ReplicaSet>,
    pods_api: Api<Pod>,
    /// Pods that were created or deleted.
    expectations: Expectations,
    /// Statuses.
    written: Written,
    marks: Marks<Why>,
    recorder: Recorder,
    clock: Clock,
    queue: WorkQueue<Key>,
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
    let controller = Controller {
        name: "replicaset",
        kind: ReplicaSet::INFO.kind,
        steps: RunSteps::default(),
        mode: context.mode,
        workers,
    };
    let (supervisor, shutdown) = (context.supervisor.clone(), context.shutdown.clone());
    Box::new(move || {
        let queue = this.queue.clone();
        let of = Arc::clone(&this);
        let origin = move |key: &Key, causes: &Causes| {
            of.sees_its_writes(key).then(|| origin(&of.sets, key, of.steps(key, causes)))
        };
        let reconcile = move |key: Key, causes: Causes| {
            let this = Arc::clone(&this);
            async move { settled(Box::pin(this.reconcile(&key, &causes)).await) }
        };
        run_as(controller, queue, origin, reconcile, &supervisor, &shutdown);
    })
}

/// What the events mean.
impl ReplicaSets {
    fn replica_set_changed(&self, change: &Change<ReplicaSet>, cause: &Cause) {
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

    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
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
    fn sees_its_writes(&self, key: &Key) -> bool {
        self.expectations.satisfied(key) && self.written.is_shown(key, &self.sets)
    }

    fn steps(&self, key: &Key, causes: &Causes) -> RunSteps {
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

/// Whether a create was refused because its namespace is being deleted.
pub(crate) fn is_namespace_terminating(error: &Error) -> bool {
    error.details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}
