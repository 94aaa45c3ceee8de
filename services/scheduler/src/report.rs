//! What users hear of a pod's scheduling: its `PodScheduled` condition, and Events.
//!
//! The condition that says *yes* is written by the apiserver together with the binding; only the ones that say why not yet are
//! written here. Neither is worth failing for: what cannot be written is logged, and said again at the next attempt.

use api::core::v1::{Pod, PodCondition};
use api::pod_conditions::{self, POD_SCHEDULED};
use async_trait::async_trait;
use client::{Api, Patch};
use controller::{EventType, Recorder};
use jiff::Timestamp;
use serde_json::json;
use tracing::debug;

/// The reason of a condition `PodScheduled=False`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotScheduled {
    /// No node is feasible.
    Unschedulable,
    /// Something went wrong.
    SchedulerError,
    /// Its gates are closed.
    SchedulingGated,
}

impl NotScheduled {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unschedulable => "Unschedulable",
            Self::SchedulerError => "SchedulerError",
            Self::SchedulingGated => "SchedulingGated",
        }
    }
}

/// Where users look.
#[async_trait]
pub trait Report: Send + Sync + 'static {
    /// Sets the condition, unless the pod has it.
    async fn not_scheduled(&self, pod: &Pod, reason: NotScheduled, message: &str);

    /// Records an Event about the pod.
    fn event(&self, pod: &Pod, kind: EventType, reason: &'static str, message: String);
}

/// The apiserver is where they look.
#[derive(Debug)]
pub struct ApiReport {
    pods: Api<Pod>,
    events: Recorder,
}

impl ApiReport {
    /// Writes conditions through `pods`.
    pub fn new(pods: Api<Pod>, events: Recorder) -> Self {
        Self { pods, events }
    }
}

#[async_trait]
impl Report for ApiReport {
    async fn not_scheduled(&self, pod: &Pod, reason: NotScheduled, message: &str) {
        let Some(patch) = patch(pod, reason, message, Timestamp::now()) else { return };
        let meta = &pod.metadata;
        if let Err(error) = self.pods.within(&meta.namespace).patch_status(&meta.name, &patch).await {
            debug!(pod = %meta.name, namespace = %meta.namespace, %error, "cannot write the pod's condition");
        }
    }

    fn event(&self, pod: &Pod, kind: EventType, reason: &'static str, message: String) {
        self.events.record(pod, kind, reason, message);
    }
}

/// The change of status that is needed; `None` if the pod says it already.
fn patch(pod: &Pod, reason: NotScheduled, message: &str, now: Timestamp) -> Option<Patch> {
    let condition = PodCondition {
        r#type: POD_SCHEDULED.to_owned(),
        status: "False".to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    };
    let mut status = pod.status.clone();
    if !pod_conditions::set_condition(&mut status, condition, now) {
        return None;
    }
    let condition = pod_conditions::condition(&status, POD_SCHEDULED);
    // Conditions merge by type. The uid makes sure that a pod which was replaced meanwhile is left alone.
    Some(Patch::Strategic(json!({
        "metadata": { "uid": pod.metadata.uid },
        "status": { "conditions": [condition] },
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn a_condition_is_written_only_if_it_says_something_new() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let mut pod = pod("web").object;
        pod.metadata.generation = 2;
        let Some(Patch::Strategic(body)) = patch(&pod, NotScheduled::Unschedulable, "0/1 nodes", now) else {
            panic!("the condition is new")
        };
        assert_eq!(body["metadata"]["uid"], "uid-web");
        let written = &body["status"]["conditions"][0];
        for (field, value) in [
            ("type", "PodScheduled"),
            ("status", "False"),
            ("reason", "Unschedulable"),
            ("message", "0/1 nodes"),
            ("lastTransitionTime", "2026-01-01T12:00:00Z"),
        ] {
            assert_eq!(written[field], value, "{body}");
        }
        assert_eq!(written["observedGeneration"], 2);

        pod.status.conditions = vec![serde_json::from_value(written.clone()).unwrap()];
        let later = "2026-01-01T13:00:00Z".parse().unwrap();
        assert!(patch(&pod, NotScheduled::Unschedulable, "0/1 nodes", later).is_none());
        let Some(Patch::Strategic(body)) = patch(&pod, NotScheduled::Unschedulable, "0/2 nodes", later) else {
            panic!("the message is new")
        };
        let since = &body["status"]["conditions"][0]["lastTransitionTime"];
        assert_eq!(since, "2026-01-01T12:00:00Z", "it has been False since then");
    }
}
