//! Pods.

use super::container::{Place, containers};
use super::events::events;
use super::metadata::{annotations, controlled_by, labels, tolerations};
use super::volume::volumes;
use super::writer::Writer;
use crate::print::age::{date, duration};
use crate::print::columns::NONE;
use api::core::v1::{Event, Pod};
use api::pod_conditions::is_finished;
use api::qos::qos_class;
use jiff::Timestamp;

/// A pod and what happened to it.
pub(crate) fn pod(pod: &Pod, happened: &[Event], now: Timestamp) -> String {
    let mut writer = Writer::default();
    identity(&mut writer, pod);
    status(&mut writer, pod, now);
    addresses(&mut writer, pod);
    controlled_by(&mut writer, &pod.metadata);
    if !pod.status.nominated_node_name.is_empty() {
        writer.line(0, format!("NominatedNodeName:\t{}", pod.status.nominated_node_name));
    }
    let place = |statuses| Place::Pod(pod, statuses);
    containers(&mut writer, "Init Containers", &pod.spec.init_containers, place(&pod.status.init_container_statuses));
    containers(&mut writer, "Containers", &pod.spec.containers, place(&pod.status.container_statuses));
    conditions(&mut writer, pod);
    volumes(&mut writer, "", &pod.spec.volumes);
    let class = match pod.status.qos_class.as_str() {
        "" => qos_class(&pod.spec).as_str(),
        class => class,
    };
    writer.line(0, format!("QoS Class:\t{class}"));
    labels(&mut writer, "", "Node-Selectors", &pod.spec.node_selector);
    tolerations(&mut writer, "", &pod.spec.tolerations);
    events(&mut writer, happened, now);
    writer.finish()
}

fn identity(writer: &mut Writer, pod: &Pod) {
    let (meta, spec) = (&pod.metadata, &pod.spec);
    writer.line(0, format!("Name:\t{}", meta.name));
    writer.line(0, format!("Namespace:\t{}", meta.namespace));
    if let Some(priority) = spec.priority {
        writer.line(0, format!("Priority:\t{priority}"));
    }
    for (title, text) in [
        ("Priority Class Name", spec.priority_class_name.as_str()),
        ("Runtime Class Name", spec.runtime_class_name.as_deref().unwrap_or_default()),
        ("Service Account", &spec.service_account_name),
    ] {
        if !text.is_empty() {
            writer.line(0, format!("{title}:\t{text}"));
        }
    }
    match spec.node_name.as_str() {
        "" => writer.line(0, format!("Node:\t{NONE}")),
        node => writer.line(0, format!("Node:\t{node}/{}", pod.status.host_ip)),
    }
    if pod.status.start_time.is_some() {
        writer.line(0, format!("Start Time:\t{}", date(pod.status.start_time.as_ref())));
    }
    labels(writer, "", "Labels", &meta.labels);
    annotations(writer, "", &meta.annotations);
}

fn status(writer: &mut Writer, pod: &Pod, now: Timestamp) {
    let deletion = pod.metadata.deletion_timestamp.as_ref().and_then(|time| time.timestamp());
    match deletion.filter(|_| !is_finished(pod)) {
        Some(time) => {
            writer.line(0, format!("Status:\tTerminating (lasts {})", duration(now.duration_since(time))));
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
            writer.line(0, format!("Termination Grace Period:\t{grace}s"));
        }
        None => writer.line(0, format!("Status:\t{}", pod.status.phase)),
    }
    for (title, text) in [("Reason", &pod.status.reason), ("Message", &pod.status.message)] {
        if !text.is_empty() {
            writer.line(0, format!("{title}:\t{text}"));
        }
    }
}

fn addresses(writer: &mut Writer, pod: &Pod) {
    writer.line(0, format!("IP:\t{}", pod.status.pod_ip));
    if pod.status.pod_ips.is_empty() {
        writer.line(0, format!("IPs:\t{NONE}"));
        return;
    }
    writer.line(0, "IPs:");
    pod.status.pod_ips.iter().for_each(|ip| writer.line(1, format!("IP:\t{}", ip.ip)));
}

fn conditions(writer: &mut Writer, pod: &Pod) {
    if pod.status.conditions.is_empty() {
        return;
    }
    writer.line(0, "Conditions:");
    writer.line(1, "Type\tStatus");
    pod.status.conditions.iter().for_each(|c| writer.line(1, format!("{} \t{} ", c.r#type, c.status)));
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
