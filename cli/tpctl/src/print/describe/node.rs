//! Nodes: what they have, what runs on them, and how much of it is promised.

use super::events::events;
use super::metadata::{annotations, labels, list};
use super::writer::Writer;
use crate::print::age::{date, since};
use crate::print::columns::roles;
use api::coordination::v1::Lease;
use api::core::v1::{Event, Node, Pod, Taint};
use api::meta::v1::{MicroTime, Time};
use api::pod_conditions::is_finished;
use api::pod_resources::{Resources, add, limits, requests};
use api::quantity::{Amount, amounts};
use api::resource::Quantity;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Resources that are always shown, in this order.
const MAIN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A node, its lease, its pods, and what happened to it.
pub(crate) fn node(node: &Node, lease: Option<&Lease>, pods: &[Pod], happened: &[Event], now: Timestamp) -> String {
    let mut writer = Writer::default();
    let meta = &node.metadata;
    writer.line(0, format!("Name:\t{}", meta.name));
    writer.line(0, format!("Roles:\t{}", roles(node)));
    labels(&mut writer, "", "Labels", &meta.labels);
    annotations(&mut writer, "", &meta.annotations);
    writer.line(0, format!("CreationTimestamp:\t{}", date(meta.creation_timestamp.as_ref())));
    let taint = |taint: &Taint| match taint.value.as_str() {
        "" => format!("{}:{}", taint.key, taint.effect),
        value => format!("{}={value}:{}", taint.key, taint.effect),
    };
    list(&mut writer, "", "Taints", node.spec.taints.iter().map(taint));
    writer.line(0, format!("Unschedulable:\t{}", node.spec.unschedulable));
    describe_lease(&mut writer, lease);
    conditions(&mut writer, node);
    writer.line(0, "Addresses:");
    node.status.addresses.iter().for_each(|a| writer.line(1, format!("{}:\t{}", a.r#type, a.address)));
    quantities(&mut writer, "Capacity", &node.status.capacity);
    quantities(&mut writer, "Allocatable", &node.status.allocatable);
    system_info(&mut writer, node);
    let running: Vec<&Pod> = pods.iter().filter(|pod| !is_finished(pod)).collect();
    let allocatable = amounts(&node.status.allocatable);
    running_pods(&mut writer, &running, &allocatable, now);
    allocated(&mut writer, &running, &allocatable);
    events(&mut writer, happened, now);
    writer.finish()
}

fn describe_lease(writer: &mut Writer, lease: Option<&Lease>) {
    writer.line(0, "Lease:");
    let spec = lease.map(|lease| &lease.spec);
    let time = |time: Option<&MicroTime>| {
        let seconds = time.and_then(MicroTime::timestamp).map(Time::from);
        seconds.map_or("<unset>".to_owned(), |time| date(Some(&time)))
    };
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("<unset>");
    writer.line(1, format!("HolderIdentity:\t{holder}"));
    writer.line(1, format!("AcquireTime:\t{}", time(spec.and_then(|spec| spec.acquire_time.as_ref()))));
    writer.line(1, format!("RenewTime:\t{}", time(spec.and_then(|spec| spec.renew_time.as_ref()))));
}

fn conditions(writer: &mut Writer, node: &Node) {
    if node.status.conditions.is_empty() {
        return;
    }
    writer.line(0, "Conditions:");
    writer.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    writer.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for c in &node.status.conditions {
        let (beat, change) = (date(c.last_heartbeat_time.as_ref()), date(c.last_transition_time.as_ref()));
        writer.line(1, format!("{} \t{} \t{beat} \t{change} \t{} \t{}", c.r#type, c.status, c.reason, c.message));
    }
}

fn quantities(writer: &mut Writer, title: &str, quantities: &BTreeMap<String, Quantity>) {
    if quantities.is_empty() {
        return;
    }
    writer.line(0, format!("{title}:"));
    quantities.iter().for_each(|(name, amount)| writer.line(1, format!("{name}:\t{}", amount.string)));
}

fn system_info(writer: &mut Writer, node: &Node) {
    let info = &node.status.node_info;
    writer.line(0, "System Info:");
    for (title, text) in [
        ("Machine ID", &info.machine_id),
        ("System UUID", &info.system_uuid),
        ("Boot ID", &info.boot_id),
        ("Kernel Version", &info.kernel_version),
        ("OS Image", &info.os_image),
        ("Operating System", &info.operating_system),
        ("Architecture", &info.architecture),
        ("Container Runtime Version", &info.container_runtime_version),
        ("Kubelet Version", &info.kubelet_version),
    ] {
        writer.line(1, format!("{title}:\t{text}"));
    }
    if !node.spec.pod_cidr.is_empty() {
        writer.line(0, format!("PodCIDR:\t{}", node.spec.pod_cidr));
        writer.line(0, format!("PodCIDRs:\t{}", node.spec.pod_cidrs.join(",")));
    }
    if !node.spec.provider_id.is_empty() {
        writer.line(0, format!("ProviderID:\t{}", node.spec.provider_id));
    }
}

fn running_pods(writer: &mut Writer, pods: &[&Pod], allocatable: &Resources, now: Timestamp) {
    writer.line(0, format!("Non-terminated Pods:\t({} in total)", pods.len()));
    writer.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    writer.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in pods {
        let (requests, limits) = (requests(&pod.spec), limits(&pod.spec));
        let share = |of: &Resources, name: &str| share(of, allocatable, name);
        let age = since(pod.metadata.creation_timestamp.as_ref(), now);
        writer.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{age}",
                pod.metadata.namespace,
                pod.metadata.name,
                share(&requests, "cpu"),
                share(&limits, "cpu"),
                share(&requests, "memory"),
                share(&limits, "memory")
            ),
        );
    }
}

fn allocated(writer: &mut Writer, pods: &[&Pod], allocatable: &Resources) {
    let (mut requested, mut limited) = (Resources::new(), Resources::new());
    for pod in pods {
        add(&mut requested, &requests(&pod.spec));
        add(&mut limited, &limits(&pod.spec));
    }
    writer.line(0, "Allocated resources:");
    writer.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    writer.line(1, "Resource\tRequests\tLimits");
    writer.line(1, "--------\t--------\t------");
    let others = allocatable.keys().map(String::as_str).filter(|name| !MAIN.contains(name) && *name != "pods");
    for name in MAIN.into_iter().chain(others) {
        writer.line(
            1,
            format!("{name}\t{}\t{}", share(&requested, allocatable, name), share(&limited, allocatable, name)),
        );
    }
}

/// `500m (25%)`.
fn share(used: &Resources, allocatable: &Resources, name: &str) -> String {
    let used = used.get(name).copied().unwrap_or(Amount::ZERO);
    let all = allocatable.get(name).copied().unwrap_or(Amount::ZERO).milli_value();
    let percent = if all == 0 { 0 } else { i128::from(used.milli_value()) * 100 / i128::from(all) };
    format!("{} ({percent}%)", Quantity::from(used).string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_adds_up_what_its_pods_ask_for() {
        let shown: Node = serde_json::from_value(json!({
            "metadata": { "name": "node-1" },
            "spec": { "taints": [{ "key": "a", "value": "b", "effect": "NoSchedule" }], "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"] },
            "status": { "allocatable": { "cpu": "2", "memory": "1Gi", "pods": "110" }, "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }] },
        }))
        .unwrap();
        let pod = |name: &str, phase: &str| -> Pod {
            serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "default" }, "status": { "phase": phase },
                "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "500m", "memory": "256Mi" } } }] } }))
            .unwrap()
        };
        let pods = [pod("a", "Running"), pod("b", "Pending"), pod("done", "Succeeded")];
        let text = node(&shown, None, &pods, &[], Timestamp::UNIX_EPOCH);
        for line in [
            "Taints:             a=b:NoSchedule\n",
            "Non-terminated Pods:          (2 in total)\n",
            "  default                     a       500m (25%)    0 (0%)      256Mi (25%)      0 (0%)         <unknown>\n",
            "  cpu                1 (50%)      0 (0%)\n",
            "  memory             512Mi (50%)  0 (0%)\n",
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("done"));
    }
}
