//! Looks at a Deployment and its ReplicaSets, and carries the plan out.
//!
//! A run is workload.apply.2 if the Deployment itself changed; a run that an answer of a ReplicaSet caused becomes 2c when it takes a
//! further step of the rollout, and otherwise only rolls the status up.

use super::bounds::is_recreate;
use super::draft::same_template;
use super::plan::{self, CREATE_FAILED, Observed, Resized, plan};
use crate::claim::{CONTROLLER, by_controller, candidates, claim, controlled};
use crate::context::{Context, Start, is_namespace_terminating};
use crate::origin::{Marks, echo, origin, sign};
use crate::written::Written;
use api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use api::controller_ref::controller_of;
use api::core::v1::Pod;
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::is_finished;
use api::selector::label::Selector;
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use service_kit::Clock;
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes, SpanExt, Step};
use tracing::Span;

/// The Deployment's own intent queued it.
#[derive(Debug, Clone, Copy)]
struct Intent;

struct Deployments {
    deployments: Cache<Deployment>,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
    deployments_api: Api<Deployment>,
    sets_api: Api<ReplicaSet>,
    /// Deployments, by themselves.
    written: Written,
    /// ReplicaSets, by their Deployments.
    written_sets: Written,
    marks: Marks<Intent>,
    recorder: Recorder,
    clock: Clock,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let this = Arc::new(Deployments {
        deployments: context.informers.of().cache(),
        sets: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        deployments_api: context.api(),
        sets_api: context.api(),
        written: Written::default(),
        written_sets: Written::default(),
        marks: Marks::default(),
        recorder: context.recorder("deployment-controller"),
        clock: context.clock.clone(),
        queue: WorkQueue::new(&context.shutdown),
    });
    context.informers.of::<Deployment>().add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.deployment_changed(change, cause)
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
    let origin = move |key: &Key, causes: &Causes| {
        of.sees_its_writes(key).then(|| origin(&of.deployments, key, of.steps(key, causes)))
    };
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("deployment", Deployment::INFO.kind, workers), &queue, origin, reconcile)
}

/// What the events mean.
impl Deployments {
    fn deployment_changed(&self, change: &Change<Deployment>, cause: &Cause) {
        let key = Key::of(&**change.object());
        match change {
            Change::Removed(_) => self.marks.forget(&key),
            Change::Updated { old, new } if old.metadata.generation == new.metadata.generation => {
                self.queue.add(key, &echo(cause));
            }
            Change::Added(_) | Change::Updated { .. } => {
                self.marks.note(&key, cause, Intent);
                self.queue.add(key, cause);
            }
        }
    }

    fn replica_set_changed(&self, change: &Change<ReplicaSet>, cause: &Cause) {
        let set = change.object();
        let owner = owner(set);
        if let Change::Updated { old, .. } = change
            && let Some(before) = self::owner(old).filter(|before| owner.as_ref() != Some(before))
        {
            self.queue.add(before, &echo(cause));
        }
        match owner {
            Some(key) => self.queue.add(key, &echo(cause)),
            None => self.orphan_changed(set, cause),
        }
    }

    /// A ReplicaSet without controller may be adopted.
    fn orphan_changed(&self, set: &ReplicaSet, cause: &Cause) {
        if controller_of(&set.metadata).is_some() || set.metadata.deletion_timestamp.is_some() {
            return;
        }
        for deployment in self.deployments.list_in(&set.metadata.namespace) {
            let selector = Selector::of(deployment.spec.selector.as_ref());
            if selector.is_ok_and(|selector| selector.matches(&set.metadata.labels)) {
                self.queue.add(Key::of(&*deployment), &echo(cause));
            }
        }
    }

    /// Recreate goes on when the last old pod is gone; nothing else waits for a pod here.
    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        let pod = change.object();
        if !matches!(change, Change::Removed(_)) && !is_finished(pod) {
            return;
        }
        let Some(owner) = controller_of(&pod.metadata).filter(|owner| owner.kind == ReplicaSet::INFO.kind) else {
            return;
        };
        let set = self.sets.get(&Key::new(&*pod.metadata.namespace, &*owner.name));
        let Some(key) = set.and_then(|set| self::owner(&set)) else { return };
        if self.deployments.get(&key).is_some_and(|deployment| is_recreate(&deployment)) {
            self.queue.add(key, &echo(cause));
        }
    }

    /// Whether the caches show what the last run of this Deployment did.
    fn sees_its_writes(&self, key: &Key) -> bool {
        self.written.is_shown(key, &self.deployments) && self.written_sets.is_shown(key, &self.sets)
    }

    fn steps(&self, key: &Key, causes: &Causes) -> RunSteps {
        match self.marks.of(key, causes) {
            Some(Intent) => RunSteps {
                watch: Some(Step::WorkloadApply2a),
                queue: Some(Step::WorkloadApply2b),
                sync: Some(Step::WorkloadApply2c),
            },
            None => RunSteps::default(),
        }
    }
}

/// The Deployment that controls a ReplicaSet.
fn owner(set: &ReplicaSet) -> Option<Key> {
    let owner = controller_of(&set.metadata).filter(|owner| owner.kind == Deployment::INFO.kind)?;
    Some(Key::new(&*set.metadata.namespace, &*owner.name))
}

/// A run.
impl Deployments {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(Outcome::Done) };
        let selector = Selector::of(deployment.spec.selector.as_ref()).map_err(Error::internal)?;
        let sets = if selector.is_everything() {
            Vec::new()
        } else {
            let candidates = candidates(&self.sets, &deployment.metadata);
            claim(&*deployment, &self.deployments_api, &self.sets_api, candidates, &selector).await?
        };
        let old_pods_left = is_recreate(&deployment) && self.old_pods_left(&deployment, &sets);
        let now = self.clock.now();
        let plan = plan(Observed { deployment: &deployment, replica_sets: &sets, old_pods_left }, now);
        if plan.selects_all {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.record(&*deployment, EventType::Warning, "SelectingAll", message);
        }
        if plan.changes_replica_sets() {
            Span::current().step(Step::WorkloadApply2c);
        }
        if let Some(set) = plan.create
            && !self.create(&deployment, set).await?
        {
            return Ok(Outcome::Done);
        }
        for resized in plan.update {
            self.update(&deployment, resized).await?;
        }
        for set in &plan.delete {
            self.delete(set).await?;
        }
        self.report(&deployment, plan.revision, plan.status).await?;
        Ok(plan.again.map_or(Outcome::Done, Outcome::After))
    }

    /// Whether pods of old templates still run.
    fn old_pods_left(&self, deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> bool {
        sets.iter()
            .filter(|set| !same_template(&set.spec.template, &deployment.spec.template))
            .any(|set| controlled(&self.pods, &set.metadata).iter().any(|pod| !is_finished(pod)))
    }

    /// Creates the newest ReplicaSet. False: something changed meanwhile, and its event brings the next run.
    async fn create(&self, deployment: &Deployment, mut set: ReplicaSet) -> Result<bool, Error> {
        sign(&mut set);
        match self.sets_api.create(&set).await {
            Ok(created) => {
                self.written_sets.created(&Key::of(deployment), &created);
                let size = created.spec.replicas.unwrap_or(0);
                if size > 0 {
                    self.scaled(deployment, &created.metadata.name, 0, size);
                }
                Ok(true)
            }
            Err(error) if error.is_already_exists() => {
                let sets = self.sets_api.within(&set.metadata.namespace);
                let existing = sets.get(&set.metadata.name).await?;
                if !plan::is_the_same(&existing, &set, deployment) {
                    self.report(deployment, None, Some(plan::name_collided(deployment))).await?;
                }
                Ok(false)
            }
            Err(error) if is_namespace_terminating(&error) => Ok(false),
            Err(error) => {
                let message = format!("Failed to create new replica set \"{}\": {error}", set.metadata.name);
                self.recorder.record(deployment, EventType::Warning, CREATE_FAILED, message.clone());
                let status = plan::create_failed(deployment, message, self.clock.now());
                if status != deployment.status {
                    self.report(deployment, None, Some(status)).await?;
                }
                Err(error)
            }
        }
    }

    async fn update(&self, deployment: &Deployment, resized: Resized) -> Result<(), Error> {
        let Resized { mut replica_set, from, to } = resized;
        if from != to {
            sign(&mut replica_set);
        }
        self.written_sets.changed(&Key::of(deployment), &self.sets_api.update(&replica_set).await?);
        if from != to {
            self.scaled(deployment, &replica_set.metadata.name, from, to);
        }
        Ok(())
    }

    fn scaled(&self, deployment: &Deployment, name: &str, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        self.recorder.record(deployment, EventType::Normal, "ScalingReplicaSet", message);
    }

    async fn delete(&self, set: &ReplicaSet) -> Result<(), Error> {
        // A ReplicaSet that changed since is looked at again before it goes.
        let preconditions = Preconditions {
            uid: Some(set.metadata.uid.clone()),
            resource_version: Some(set.metadata.resource_version.clone()),
        };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        match self.sets_api.within(&set.metadata.namespace).delete(&set.metadata.name, options).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notes revision and status on the Deployment, in one write: as in Kubernetes, a Deployment's status update carries annotations.
    async fn report(
        &self,
        deployment: &Deployment,
        revision: Option<String>,
        status: Option<DeploymentStatus>,
    ) -> Result<(), Error> {
        if revision.is_none() && status.is_none() {
            return Ok(());
        }
        let mut changed = deployment.clone();
        if let Some(revision) = revision {
            changed.metadata.annotations.insert(super::annotations::REVISION.to_owned(), revision);
        }
        changed.status = status.unwrap_or(changed.status);
        self.written.changed(&Key::of(deployment), &self.deployments_api.update_status(&changed).await?);
        Ok(())
    }
}
