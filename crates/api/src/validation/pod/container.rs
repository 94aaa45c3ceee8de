//! Containers and init containers.

use std::collections::BTreeSet;

use crate::core::v1::{Container, ContainerPort, PodSpec};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::pod_resources::is_sidecar;
use crate::validation::{PROTOCOLS, one_of, required, required_name};

use super::volume::Volumes;
use super::{env, handler, mount, resources, security};

pub(super) fn containers(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path, errors: &mut ErrorList) {
    if spec.containers.is_empty() {
        return errors.push(FieldError::required(path, ""));
    }
    let mut seen = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.index(index);
        common(container, spec, volumes, &path, errors);
        if !seen.insert(&container.name) {
            errors.push(FieldError::duplicate(&path.child("name"), &container.name));
        }
        handler::hooks_and_probes(container, spec, &path, errors);
        if container.restart_policy.is_some() {
            let detail = "may not be set for non-init containers";
            errors.push(FieldError::forbidden(&path.child("restartPolicy"), detail));
        }
    }
    // All of them listen at once.
    host_port_conflicts(&spec.containers, path, errors);
}

pub(super) fn init_containers(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path, errors: &mut ErrorList) {
    let mut seen: BTreeSet<&String> = spec.containers.iter().map(|container| &container.name).collect();
    for (index, container) in spec.init_containers.iter().enumerate() {
        let at = path.index(index);
        common(container, spec, volumes, &at, errors);
        if let Some(policy) = &container.restart_policy
            && policy != "Always"
        {
            errors.push(FieldError::not_supported(&at.child("restartPolicy"), policy, &["Always"]));
        }
        if !seen.insert(&container.name) {
            errors.push(FieldError::duplicate(&at.child("name"), &container.name));
        }
        // One runs after the other, so each has the ports for itself.
        host_port_conflicts(std::slice::from_ref(container), path, errors);
        if is_sidecar(container) {
            handler::hooks_and_probes(container, spec, &at, errors);
            continue;
        }
        let not_for_init = [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ];
        for (field, _) in not_for_init.into_iter().filter(|(_, set)| *set) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(&at.child(field), detail));
        }
    }
}

fn common(container: &Container, spec: &PodSpec, volumes: &Volumes<'_>, path: &Path, errors: &mut ErrorList) {
    let at = |name: &str| path.child(name);
    required_name(&container.name, names::dns1123_label, &at("name"), errors);
    required(&container.image, &at("image"), errors);
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(&container.termination_message_policy, &policies, &at("terminationMessagePolicy"), errors);
    ports(&container.ports, &at("ports"), errors);
    env::variables(&container.env, &at("env"), errors);
    env::sources(&container.env_from, &at("envFrom"), errors);
    mount::mounts(container, volumes, &at("volumeMounts"), errors);
    mount::devices(container, volumes, &at("volumeDevices"), errors);
    one_of(&container.image_pull_policy, &["Always", "IfNotPresent", "Never"], &at("imagePullPolicy"), errors);
    resources::of_container(container, spec, &at("resources"), errors);
    resize_policy(container, spec, &at("resizePolicy"), errors);
    security::of_container(container, spec, &at("securityContext"), errors);
    if !container.restart_policy_rules.is_empty() {
        let detail = "rules by exit code are not supported by this server";
        errors.push(FieldError::forbidden(&at("restartPolicyRules"), detail));
    }
}

/// An image's name has no blanks around it. Templates were allowed to before anybody looked.
pub(super) fn image_is_trimmed(image: &str, path: &Path, errors: &mut ErrorList) {
    if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, detail));
    }
}

fn ports(ports: &[ContainerPort], path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        if !port.name.is_empty() {
            let faults = names::port_name(&port.name);
            if faults.is_empty() && !seen.insert(&port.name) {
                errors.push(FieldError::duplicate(&path.child("name"), &port.name));
            }
            errors.push_invalid(&path.child("name"), &port.name, faults);
        }
        let container_port = path.child("containerPort");
        match port.container_port {
            0 => errors.push(FieldError::required(&container_port, "")),
            number => errors.push_invalid(&container_port, number, names::port_number(number)),
        }
        if port.host_port != 0 {
            errors.push_invalid(&path.child("hostPort"), port.host_port, names::port_number(port.host_port));
        }
        one_of(&port.protocol, PROTOCOLS, &path.child("protocol"), errors);
    }
}

fn host_port_conflicts(containers: &[Container], path: &Path, errors: &mut ErrorList) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().enumerate().filter(|(_, port)| port.host_port != 0) {
            let place = format!("{}/{}/{}", port.protocol, port.host_ip, port.host_port);
            if taken.contains(&place) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(FieldError::duplicate(&path, place.as_str()));
            }
            taken.insert(place);
        }
    }
}

fn resize_policy(container: &Container, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (index, policy) in container.resize_policy.iter().enumerate() {
        if !seen.insert(&policy.resource_name) {
            errors.push(FieldError::duplicate(&path.index(index), &policy.resource_name));
        }
        one_of(&policy.resource_name, &["cpu", "memory"], path, errors);
        one_of(&policy.restart_policy, &["NotRequired", "RestartContainer"], path, errors);
        if spec.restart_policy == "Never" && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, &policy.restart_policy, detail));
        }
    }
}
