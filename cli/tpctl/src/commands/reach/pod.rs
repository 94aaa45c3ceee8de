//! Which pod is meant: named itself, or by what has pods.

use std::cmp::Reverse;
use std::time::Duration;

use crate::objects::{Change, Follow, Next, Object, Targets};
use crate::session::Session;
use anyhow::{Result, anyhow, bail};
use api::apps::v1::{Deployment, ReplicaSet};
use api::batch::v1::Job;
use api::core::v1::{Pod, Service};
use api::meta::v1::{LabelSelector, ListOptions};
use api::selector::label::Selector;
use api::{KindInfo, Resource, pod_conditions};
use tokio::time::timeout;

/// What the pod is wanted for: it decides which of several is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Purpose {
    /// Its logs: one that has restarted says more.
    Logs,
    /// Its streams: the one that stands firmest.
    Streams,
}

/// The object that `POD`, `TYPE/NAME` or `TYPE NAME` names.
pub(in crate::commands) async fn reached(session: &Session, words: &[String]) -> Result<Object> {
    let (kind, name) = match words {
        [name] if !name.contains('/') => (Pod::INFO, name.clone()),
        words => Targets::one(words)?,
    };
    Ok(session.api(kind).get(session.namespace_of(kind), &name).await?)
}

/// The pod itself, or the best of those that the object selects, and of how many. One that is still to come is waited for.
pub(in crate::commands) async fn pod_of(
    session: &Session,
    object: &Object,
    purpose: Purpose,
    patience: Duration,
) -> Result<(Pod, usize)> {
    if let Some(pod) = object.typed::<Pod>() {
        return Ok((pod.clone(), 1));
    }
    let selector = selector(object).map_err(|why| match purpose {
        Purpose::Logs => anyhow!("cannot get the logs from {}: {why}", type_of(object.info())),
        Purpose::Streams => anyhow!("cannot attach to {}: {why}", type_of(object.info())),
    })?;
    let options = ListOptions { label_selector: selector, ..ListOptions::default() };
    let api = session.api(Pod::INFO);
    let (items, mut follow) = Follow::start(&*api, &object.metadata().namespace, options).await?;
    let mut pods: Vec<Pod> = items.iter().filter_map(Object::typed).cloned().collect();
    if pods.is_empty() {
        let first = async {
            loop {
                match follow.next().await? {
                    Next::Changed(Change::Added(pod) | Change::Modified(pod)) => return Ok::<_, api::Error>(pod),
                    Next::Anew(mut all) if !all.is_empty() => return Ok(all.remove(0)),
                    _ => {}
                }
            }
        };
        let Ok(first) = timeout(patience, first).await else { bail!("timed out waiting for the condition") };
        pods.extend(first?.typed::<Pod>().cloned());
    }
    sort(&mut pods, purpose);
    let count = pods.len();
    Ok((pods.swap_remove(0), count))
}

/// `*v1.Deployment`, as Go prints a type.
fn type_of(kind: &KindInfo) -> String {
    format!("*{}.{}", kind.version, kind.kind)
}

/// The selector of the object's pods.
fn selector(object: &Object) -> Result<String> {
    let of = |selector: Option<&LabelSelector>| {
        Selector::of(selector).map(|s| s.to_string()).map_err(|error| anyhow!("invalid label selector: {error}"))
    };
    if let Some(deployment) = object.typed::<Deployment>() {
        return of(deployment.spec.selector.as_ref());
    }
    if let Some(set) = object.typed::<ReplicaSet>() {
        return of(set.spec.selector.as_ref());
    }
    if let Some(job) = object.typed::<Job>() {
        return of(job.spec.selector.as_ref());
    }
    let Some(service) = object.typed::<Service>() else {
        bail!("selector for {} not implemented", type_of(object.info()));
    };
    if service.spec.selector.is_empty() {
        bail!("invalid service '{}': Service is defined without a selector", service.metadata.name);
    }
    Ok(Selector::from_labels(&service.spec.selector).to_string())
}

/// The best first, as kubectl orders them.
fn sort(pods: &mut [Pod], purpose: Purpose) {
    let phase = |pod: &Pod| match (purpose, pod.status.phase.as_str()) {
        (_, "Running") => 0,
        (_, "Unknown") => 1,
        (Purpose::Logs, "Pending") => 2,
        (Purpose::Logs, _) => 0,
        (Purpose::Streams, _) => 2,
    };
    let restarts = |pod: &Pod| {
        let most = pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0);
        if purpose == Purpose::Logs { -most } else { most }
    };
    pods.sort_by_key(|pod| {
        let ready = pod_conditions::is_true(&pod.status, pod_conditions::READY);
        let created = pod.metadata.creation_timestamp.map_or(i64::MAX, |time| time.seconds);
        let assigned = !pod.spec.node_name.is_empty();
        (Reverse(assigned), phase(pod), Reverse(ready), ready_since(pod), restarts(pod), created)
    });
}

/// In seconds; the end of time where it is not ready.
fn ready_since(pod: &Pod) -> i64 {
    let ready = pod.status.conditions.iter().find(|c| c.r#type == pod_conditions::READY && c.status == "True");
    ready.and_then(|condition| condition.last_transition_time).map_or(i64::MAX, |time| time.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{ContainerStatus, PodCondition};

    fn pod(name: &str, node: &str, phase: &str, ready: Option<i64>, restarts: i32, created: i64) -> Pod {
        let at = |seconds| jiff::Timestamp::from_second(seconds).unwrap().into();
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.metadata.creation_timestamp = Some(at(created));
        pod.spec.node_name = node.to_owned();
        pod.status.phase = phase.to_owned();
        pod.status.conditions.extend(ready.map(|since| PodCondition {
            r#type: "Ready".to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(at(since)),
            ..PodCondition::default()
        }));
        pod.status.container_statuses.push(ContainerStatus { restart_count: restarts, ..ContainerStatus::default() });
        pod
    }

    #[test]
    fn the_best_pod_comes_first_as_kubectl_orders_them() {
        let mut pods = vec![
            pod("unassigned", "", "Pending", None, 0, 1),
            pod("pending", "n", "Pending", None, 0, 1),
            pod("not-ready", "n", "Running", None, 0, 1),
            pod("ready-late", "n", "Running", Some(20), 0, 1),
            pod("ready-restarted", "n", "Running", Some(10), 3, 1),
            pod("ready-young", "n", "Running", Some(10), 0, 9),
            pod("ready-old", "n", "Running", Some(10), 0, 1),
        ];
        let mut order = |purpose| {
            sort(&mut pods, purpose);
            pods.iter().map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>()
        };
        let rest = ["ready-late", "not-ready", "pending", "unassigned"];
        assert_eq!(order(Purpose::Streams), [&["ready-old", "ready-young", "ready-restarted"][..], &rest].concat());
        assert_eq!(order(Purpose::Logs), [&["ready-restarted", "ready-old", "ready-young"][..], &rest].concat());
    }
}
