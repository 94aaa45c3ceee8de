//! A pod's status, as its kubelet and others write it.

use crate::core::v1::{ContainerStatus, Pod, PodSpec};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names;
use crate::pod_resources::is_sidecar;
use crate::validation::{immutable, ip, metadata, named};

/// Checks a change of a pod's status.
pub fn status_update(new: &Pod, old: &Pod) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    for (index, condition) in new.status.conditions.iter().enumerate() {
        let path = Path::new("metadata.conditions").index(index).child("Type");
        named(&condition.r#type, names::qualified_name, &path, &mut errors);
    }
    let path = Path::new("status");
    if new.spec.node_name != old.spec.node_name {
        errors.push(FieldError::forbidden(&path.child("nodeName"), "may not be changed directly"));
    }
    let nominated = &new.status.nominated_node_name;
    if *nominated != old.status.nominated_node_name && !nominated.is_empty() {
        named(nominated, names::dns1123_subdomain, &path.child("nominatedNodeName"), &mut errors);
    }
    immutable(&new.status.qos_class, &old.status.qos_class, &path.child("qosClass"), &mut errors);
    let lists = [
        ("containerStatuses", &new.status.container_statuses, &old.status.container_statuses),
        ("initContainerStatuses", &new.status.init_container_statuses, &old.status.init_container_statuses),
    ];
    for (field, new, old_statuses) in lists {
        no_resurrection(new, old_statuses, &old.spec, &path.child(field), &mut errors);
    }
    pod_ips(new, &path.child("podIPs"), &mut errors);
    host_ips(new, &path.child("hostIPs"), &mut errors);
    errors
}

/// A container that ended for good stays that way, unless its restart policy brings it back.
fn no_resurrection(
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    spec: &PodSpec,
    path: &Path,
    errors: &mut ErrorList,
) {
    if spec.restart_policy == "Always" {
        return;
    }
    for (index, old) in old.iter().enumerate() {
        let Some(end) = &old.state.terminated else { continue };
        let retried = end.exit_code != 0 && spec.restart_policy == "OnFailure";
        let sidecar = spec.init_containers.iter().any(|c| c.name == old.name && is_sidecar(c));
        if retried || sidecar {
            continue;
        }
        if new.iter().any(|new| new.name == old.name && new.state.terminated.is_none()) {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(FieldError::forbidden(&path.index(index).child("state"), detail));
        }
    }
}

fn pod_ips(pod: &Pod, path: &Path, errors: &mut ErrorList) {
    let texts: Vec<&str> = pod.status.pod_ips.iter().map(|ip| ip.ip.as_str()).collect();
    ips(&texts, &pod.status.pod_ips, path, errors);
}

fn host_ips(pod: &Pod, path: &Path, errors: &mut ErrorList) {
    let texts: Vec<&str> = pod.status.host_ips.iter().map(|ip| ip.ip.as_str()).collect();
    if let Some(first) = texts.first()
        && pod.status.host_ip != *first
    {
        let detail = "must be equal to `hostIP`";
        errors.push(FieldError::invalid(&path.index(0).child("ip"), *first, detail));
    }
    ips(&texts, &pod.status.host_ips, path, errors);
}

/// At most one address of each family, and each a real one.
fn ips<T: serde::Serialize>(texts: &[&str], shown: &[T], path: &Path, errors: &mut ErrorList) {
    let mut families = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        families.extend(ip::address(text, &path.index(index), errors).map(|ip| ip.is_ipv6()));
    }
    if !ip::at_most_one_per_family(&families) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, Json(shown), detail));
    }
    for (index, text) in texts.iter().enumerate() {
        if texts[..index].contains(text) {
            errors.push(FieldError::duplicate(&path.index(index), Json(&shown[index])));
        }
    }
}
