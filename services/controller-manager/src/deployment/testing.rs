//! Deployments and ReplicaSets for this module's tests.

use super::annotations;
use super::plan::{Observed, Plan, plan};
use api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment};
use api::controller_ref::controller_ref;
use api::intstr::IntOrString;
use jiff::Timestamp;
use std::sync::Arc;

/// Noon of some day, and so many seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A Deployment "web" of version "1".
pub(super) fn rolling(replicas: i32, max_surge: IntOrString, max_unavailable: IntOrString) -> Deployment {
    let mut deployment = Deployment::default();
    deployment.metadata.name = "web".to_owned();
    deployment.metadata.namespace = "default".to_owned();
    deployment.metadata.uid = "uid-web".to_owned();
    deployment.metadata.generation = 1;
    deployment.spec.replicas = Some(replicas);
    deployment.spec.selector = Some(Default::default());
    deployment.spec.selector.as_mut().unwrap().match_labels.insert("app".to_owned(), "web".to_owned());
    deployment.spec.strategy.r#type = "RollingUpdate".to_owned();
    deployment.spec.strategy.rolling_update =
        Some(RollingUpdateDeployment { max_surge: Some(max_surge), max_unavailable: Some(max_unavailable) });
    deployment.spec.progress_deadline_seconds = Some(600);
    deployment.spec.revision_history_limit = Some(10);
    set_version(&mut deployment, "1");
    deployment.metadata.generation = 1;
    deployment
}

/// Changes the template.
pub(super) fn set_version(deployment: &mut Deployment, version: &str) {
    let labels = &mut deployment.spec.template.metadata.labels;
    labels.insert("app".to_owned(), "web".to_owned());
    labels.insert("version".to_owned(), version.to_owned());
    deployment.metadata.generation += 1;
}

/// A cluster of one Deployment: its ReplicaSets answer as the replicaset controller would.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) deployment: Deployment,
    pub(super) sets: Vec<ReplicaSet>,
    pub(super) now: Timestamp,
    pub(super) old_pods_left: bool,
}

impl World {
    pub(super) fn new(deployment: Deployment) -> World {
        World { deployment, sets: Vec::new(), now: at(0), old_pods_left: false }
    }

    pub(super) fn plan(&self) -> Plan {
        let sets: Vec<_> = self.sets.iter().cloned().map(Arc::new).collect();
        let observed =
            Observed { deployment: &self.deployment, replica_sets: &sets, old_pods_left: self.old_pods_left };
        plan(observed, self.now)
    }

    /// Carries out what the Deployment needs; returns it.
    pub(super) fn sync(&mut self) -> Plan {
        let plan = self.plan();
        for deleted in &plan.delete {
            self.sets.retain(|set| set.metadata.name != deleted.metadata.name);
        }
        for changed in &plan.update {
            let set = self.sets.iter_mut().find(|set| set.metadata.name == changed.replica_set.metadata.name).unwrap();
            assert_eq!(set.spec.replicas, Some(changed.from));
            *set = changed.replica_set.clone();
            set.metadata.generation += i64::from(changed.from != changed.to);
        }
        if let Some(mut created) = plan.create.clone() {
            assert!(self.sets.iter().all(|set| set.metadata.name != created.metadata.name), "the name is taken");
            created.metadata.uid = format!("uid-{}", created.metadata.name);
            created.metadata.creation_timestamp = Some(self.now.into());
            created.metadata.generation = 1;
            assert_eq!(created.metadata.owner_references, [controller_ref(&self.deployment)]);
            self.sets.push(created);
        }
        if let Some(revision) = plan.revision.clone() {
            self.deployment.metadata.annotations.insert(annotations::REVISION.to_owned(), revision);
        }
        if let Some(status) = plan.status.clone() {
            self.deployment.status = status;
        }
        plan
    }

    /// Every ReplicaSet gets the pods it asks for, and all are available; until nothing changes any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..100 {
            self.sets.iter_mut().for_each(fill);
            if self.sync() == (Plan { again: self.plan().again, ..Plan::default() }) {
                return;
            }
            self.now += jiff::SignedDuration::from_secs(1);
        }
        panic!("the rollout does not converge: {:#?}", self.plan());
    }

    /// Sizes by version, oldest first.
    pub(super) fn sizes(&self) -> Vec<(String, i32)> {
        let version = |set: &ReplicaSet| set.spec.template.metadata.labels["version"].clone();
        self.sets.iter().map(|set| (version(set), set.spec.replicas.unwrap())).collect()
    }

    pub(super) fn set(&mut self, version: &str) -> &mut ReplicaSet {
        self.sets.iter_mut().find(|set| set.spec.template.metadata.labels["version"] == version).unwrap()
    }

    /// Status and reason of a condition.
    pub(super) fn condition(&self, r#type: &str) -> Option<(&str, &str)> {
        let condition = super::status::find(&self.deployment.status, r#type)?;
        Some((condition.status.as_str(), condition.reason.as_str()))
    }
}

/// The ReplicaSet has what it asks for.
pub(super) fn fill(set: &mut ReplicaSet) {
    let size = set.spec.replicas.unwrap();
    set.status.replicas = size;
    set.status.ready_replicas = size;
    set.status.available_replicas = size;
    set.status.observed_generation = set.metadata.generation;
}
