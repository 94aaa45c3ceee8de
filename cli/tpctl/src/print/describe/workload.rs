//! Deployments and ReplicaSets, and the pod template that they have in common.

use super::container::{Place, containers};
use super::events::events;
use super::metadata::{annotations, controlled_by, labels, tolerations};
use super::volume::volumes;
use super::writer::Writer;
use crate::print::age::date;
use crate::print::columns::{NONE, selector};
use api::apps::v1::{Deployment, ReplicaSet};
use api::controller_ref::is_controlled_by;
use api::core::v1::{Event, Pod, PodTemplateSpec};
use api::template_hash;
use jiff::Timestamp;

/// A Deployment, its ReplicaSets, and what happened to it.
pub(crate) fn deployment(deployment: &Deployment, sets: &[ReplicaSet], happened: &[Event], now: Timestamp) -> String {
    let (meta, spec, status) = (&deployment.metadata, &deployment.spec, &deployment.status);
    let mut writer = Writer::default();
    writer.line(0, format!("Name:\t{}", meta.name));
    writer.line(0, format!("Namespace:\t{}", meta.namespace));
    writer.line(0, format!("CreationTimestamp:\t{}", date(meta.creation_timestamp.as_ref())));
    labels(&mut writer, "", "Labels", &meta.labels);
    annotations(&mut writer, "", &meta.annotations);
    writer.line(0, format!("Selector:\t{}", selector(spec.selector.as_ref())));
    writer.line(
        0,
        format!(
            "Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable",
            spec.replicas.unwrap_or_default(),
            status.updated_replicas,
            status.replicas,
            status.available_replicas,
            status.unavailable_replicas
        ),
    );
    writer.line(0, format!("StrategyType:\t{}", spec.strategy.r#type));
    writer.line(0, format!("MinReadySeconds:\t{}", spec.min_ready_seconds));
    if let Some(rolling) = &spec.strategy.rolling_update {
        let number =
            |value: &Option<api::intstr::IntOrString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let (unavailable, surge) = (number(&rolling.max_unavailable), number(&rolling.max_surge));
        writer.line(0, format!("RollingUpdateStrategy:\t{unavailable} max unavailable, {surge} max surge"));
    }
    template(&mut writer, &spec.template);
    let all = status.conditions.iter().map(|c| (&c.r#type, &c.status, &c.reason));
    conditions(&mut writer, all);
    replica_sets(&mut writer, deployment, sets);
    events(&mut writer, happened, now);
    writer.finish()
}

/// A ReplicaSet, its pods, and what happened to it.
pub(crate) fn replica_set(set: &ReplicaSet, pods: &[Pod], happened: &[Event], now: Timestamp) -> String {
    let (meta, spec, status) = (&set.metadata, &set.spec, &set.status);
    let mut writer = Writer::default();
    writer.line(0, format!("Name:\t{}", meta.name));
    writer.line(0, format!("Namespace:\t{}", meta.namespace));
    writer.line(0, format!("Selector:\t{}", selector(spec.selector.as_ref())));
    labels(&mut writer, "", "Labels", &meta.labels);
    annotations(&mut writer, "", &meta.annotations);
    controlled_by(&mut writer, meta);
    writer.line(0, format!("Replicas:\t{} current / {} desired", status.replicas, spec.replicas.unwrap_or_default()));
    let own = || pods.iter().filter(|pod| is_controlled_by(&pod.metadata, meta));
    let count = |phase: &str| own().filter(|pod| pod.status.phase == phase).count();
    writer.line(
        0,
        format!(
            "Pods Status:\t{} Running / {} Waiting / {} Succeeded / {} Failed",
            count("Running"),
            count("Pending"),
            count("Succeeded"),
            count("Failed")
        ),
    );
    template(&mut writer, &spec.template);
    let all = status.conditions.iter().map(|c| (&c.r#type, &c.status, &c.reason));
    conditions(&mut writer, all);
    events(&mut writer, happened, now);
    writer.finish()
}

/// A pod template alone.
pub(crate) fn pod_template(spec: &PodTemplateSpec) -> String {
    let mut writer = Writer::default();
    template(&mut writer, spec);
    writer.finish()
}

fn template(writer: &mut Writer, template: &PodTemplateSpec) {
    let (meta, spec) = (&template.metadata, &template.spec);
    writer.line(0, "Pod Template:");
    labels(writer, "  ", "Labels", &meta.labels);
    if !meta.annotations.is_empty() {
        annotations(writer, "  ", &meta.annotations);
    }
    if !spec.service_account_name.is_empty() {
        writer.line(0, format!("  Service Account:\t{}", spec.service_account_name));
    }
    containers(writer, "Init Containers", &spec.init_containers, Place::Template);
    containers(writer, "Containers", &spec.containers, Place::Template);
    volumes(writer, "  ", &spec.volumes);
    if !spec.priority_class_name.is_empty() {
        writer.line(0, format!("  Priority Class Name:\t{}", spec.priority_class_name));
    }
    labels(writer, "  ", "Node-Selectors", &spec.node_selector);
    tolerations(writer, "  ", &spec.tolerations);
}

fn conditions<'a>(writer: &mut Writer, all: impl Iterator<Item = (&'a String, &'a String, &'a String)>) {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return;
    }
    writer.line(0, "Conditions:");
    writer.line(1, "Type\tStatus\tReason");
    writer.line(1, "----\t------\t------");
    all.for_each(|(r#type, status, reason)| writer.line(1, format!("{}\t{status}\t{reason}", r#type)));
}

fn replica_sets(writer: &mut Writer, deployment: &Deployment, sets: &[ReplicaSet]) {
    let bare = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        template.metadata.labels.remove(template_hash::LABEL);
        template
    };
    let wanted = bare(&deployment.spec.template);
    let own = sets.iter().filter(|set| is_controlled_by(&set.metadata, &deployment.metadata));
    let (new, old): (Vec<_>, Vec<_>) = own.partition(|set| bare(&set.spec.template) == wanted);
    let shown = |sets: Vec<&ReplicaSet>| {
        let one = |set: &&ReplicaSet| {
            let wanted = set.spec.replicas.unwrap_or_default();
            format!("{} ({}/{wanted} replicas created)", set.metadata.name, set.status.replicas)
        };
        if sets.is_empty() { NONE.to_owned() } else { sets.iter().map(one).collect::<Vec<_>>().join(", ") }
    };
    writer.line(0, format!("OldReplicaSets:\t{}", shown(old)));
    writer.line(0, format!("NewReplicaSet:\t{}", shown(new)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template_with(image: &str, hash: &str) -> Value {
        json!({ "metadata": { "labels": { "app": "web", "pod-template-hash": hash } },
            "spec": { "containers": [{ "name": "nginx", "image": image }] } })
    }

    #[test]
    fn a_deployment_is_described_with_its_replica_sets() {
        let mut shown: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default", "uid": "u", "labels": { "app": "web" } },
            "spec": {
                "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": template_with("nginx:2", ""),
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "25%", "maxSurge": 1 } },
            },
            "status": { "updatedReplicas": 3, "replicas": 4, "availableReplicas": 3, "unavailableReplicas": 1,
                "conditions": [{ "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable" }] },
        }))
        .unwrap();
        shown.spec.template.metadata.labels.remove("pod-template-hash");
        let set = |name: &str, image: &str, replicas: i32| -> ReplicaSet {
            serde_json::from_value(json!({
                "metadata": { "name": name, "ownerReferences": [{ "kind": "Deployment", "name": "web", "uid": "u", "apiVersion": "apps/v1", "controller": true }] },
                "spec": { "replicas": replicas, "template": template_with(image, name) }, "status": { "replicas": replicas } }))
            .unwrap()
        };
        let text =
            deployment(&shown, &[set("web-1", "nginx:1", 1), set("web-2", "nginx:2", 3)], &[], Timestamp::UNIX_EPOCH);
        let expected = "\
Name:                   web
Namespace:              default
CreationTimestamp:      <unknown>
Labels:                 app=web
Annotations:            <none>
Selector:               app=web
Replicas:               3 desired | 3 updated | 4 total | 3 available | 1 unavailable
StrategyType:           RollingUpdate
MinReadySeconds:        0
RollingUpdateStrategy:  25% max unavailable, 1 max surge
Pod Template:
  Labels:  app=web
  Containers:
   nginx:
    Image:         nginx:2
    Port:          <none>
    Host Port:     <none>
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Available      True    MinimumReplicasAvailable
OldReplicaSets:  web-1 (1/1 replicas created)
NewReplicaSet:   web-2 (3/3 replicas created)
Events:          <none>
";
        assert_eq!(text, expected);
    }
}
