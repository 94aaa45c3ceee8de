//! From a pod's spec to what CRI asks for.

mod resources;
mod security;

use std::path::{Path, PathBuf};

use api::core::v1::{Container, Pod};

use super::NodeContext;
use super::env::{expand, value_of};
use super::names::{kernel_name, resolver};
use crate::cri;
use crate::lifecycle::Slot;
use crate::runtime::CONTAINER_NAME;

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";

/// Where the containers of a pod are logged: `<namespace>_<name>_<uid>`, the names that Kubernetes' log collectors know.
fn log_directory(root: &Path, pod: &Pod) -> PathBuf {
    let meta = &pod.metadata;
    root.join("logs").join(format!("{}_{}_{}", meta.namespace, meta.name, meta.uid))
}

/// A pod's sandbox. The error says why it cannot be made.
pub(super) fn sandbox(context: &NodeContext, pod: &Pod, attempt: u32) -> Result<cri::PodSandboxConfig, String> {
    let meta = &pod.metadata;
    let metadata = cri::PodSandboxMetadata {
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        namespace: meta.namespace.clone(),
        attempt,
    };
    let mut labels = meta.labels.clone();
    labels.extend(identity(pod));
    // A pod in the machine's network has the machine's name.
    let hostname = if pod.spec.host_network { String::new() } else { kernel_name(pod, &context.dns.cluster_domain)? };
    Ok(cri::PodSandboxConfig {
        metadata: Some(metadata),
        hostname,
        log_directory: log_directory(&context.root_dir, pod).display().to_string(),
        dns_config: Some(resolver(pod, &context.dns)),
        port_mappings: pod.spec.containers.iter().flat_map(ports).collect(),
        labels,
        annotations: meta.annotations.clone(),
        linux: Some(linux_sandbox(pod)),
    })
}

/// The image of a container, asked for on behalf of a pod.
pub(super) fn image(pod: &Pod, container: &Container, image: &str) -> cri::ImageSpec {
    let mut annotations = pod.metadata.annotations.clone();
    annotations.insert(CONTAINER_NAME.to_owned(), container.name.clone());
    cri::ImageSpec {
        image: image.to_owned(),
        annotations,
        user_specified_image: container.image.clone(),
        runtime_handler: String::new(),
    }
}

/// One attempt at a container, with the image's id, its environment and its mounts.
pub(super) fn container(
    context: &NodeContext,
    pod: &Pod,
    slot: &Slot<'_>,
    attempt: u32,
    image_id: &str,
    env: &[(String, String)],
    mounts: Vec<cri::Mount>,
) -> cri::ContainerConfig {
    let spec = slot.spec;
    let expanded = |words: &[String]| words.iter().map(|word| expand(word, |name| value_of(env, name))).collect();
    let mut labels: std::collections::BTreeMap<_, _> = identity(pod).into_iter().collect();
    labels.insert(CONTAINER_NAME.to_owned(), spec.name.clone());
    let annotations = [
        ("io.kubernetes.container.restartCount".to_owned(), attempt.to_string()),
        ("io.kubernetes.container.terminationMessagePath".to_owned(), spec.termination_message_path.clone()),
        ("io.kubernetes.container.terminationMessagePolicy".to_owned(), spec.termination_message_policy.clone()),
    ];
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: spec.name.clone(), attempt }),
        image: Some(image(pod, spec, image_id)),
        command: expanded(&spec.command),
        args: expanded(&spec.args),
        working_dir: spec.working_dir.clone(),
        envs: env.iter().map(|(key, value)| cri::KeyValue { key: key.clone(), value: value.clone() }).collect(),
        mounts,
        devices: Vec::new(),
        labels,
        annotations: annotations.into(),
        log_path: format!("{}/{attempt}.log", spec.name),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        tty: spec.tty,
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(resources::of_container(pod, spec, context.memory_capacity())),
            security_context: Some(security::of_container(pod, spec, &context.root_dir)),
        }),
        stop_signal: stop_signal(spec).into(),
    }
}

fn identity(pod: &Pod) -> [(String, String); 3] {
    let meta = &pod.metadata;
    [
        (POD_NAME.to_owned(), meta.name.clone()),
        (POD_NAMESPACE.to_owned(), meta.namespace.clone()),
        (POD_UID.to_owned(), meta.uid.clone()),
    ]
}

fn ports(container: &Container) -> impl Iterator<Item = cri::PortMapping> + '_ {
    container.ports.iter().filter(|port| port.host_port > 0).map(|port| cri::PortMapping {
        protocol: match port.protocol.as_str() {
            "UDP" => cri::Protocol::Udp,
            "SCTP" => cri::Protocol::Sctp,
            _ => cri::Protocol::Tcp,
        }
        .into(),
        container_port: port.container_port,
        host_port: port.host_port,
        host_ip: port.host_ip.clone(),
    })
}

fn linux_sandbox(pod: &Pod) -> cri::LinuxPodSandboxConfig {
    let sysctls = pod.spec.security_context.iter().flat_map(|context| &context.sysctls);
    cri::LinuxPodSandboxConfig {
        cgroup_parent: resources::cgroup_parent(pod),
        security_context: Some(security::of_sandbox(pod)),
        sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        ..Default::default()
    }
}

fn stop_signal(container: &Container) -> cri::Signal {
    let chosen = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    // Kubernetes writes SIGRTMIN+1 where CRI has SIGRTMINPLUS1.
    let name = chosen.map(|name| name.replace('+', "PLUS").replace('-', "MINUS"));
    name.and_then(|name| cri::Signal::from_str_name(&name)).unwrap_or(cri::Signal::RuntimeDefault)
}
