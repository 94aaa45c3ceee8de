//! From a pod's spec to what CRI asks for.

use api::core::v1::{Container, Pod, SecurityContext};

use super::env::expand;
use crate::cri;
use crate::lifecycle::Slot;
use crate::runtime::CONTAINER_NAME;

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";

/// A pod's sandbox.
pub(super) fn sandbox(pod: &Pod, attempt: u32) -> cri::PodSandboxConfig {
    let meta = &pod.metadata;
    let metadata = cri::PodSandboxMetadata {
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        namespace: meta.namespace.clone(),
        attempt,
    };
    let mut labels = meta.labels.clone();
    labels.extend(identity(pod));
    cri::PodSandboxConfig {
        metadata: Some(metadata),
        hostname: if pod.spec.hostname.is_empty() { meta.name.clone() } else { pod.spec.hostname.clone() },
        log_directory: format!("/var/log/pods/{}_{}_{}", meta.namespace, meta.name, meta.uid),
        dns_config: dns(pod),
        port_mappings: pod.spec.containers.iter().flat_map(ports).collect(),
        labels,
        annotations: meta.annotations.clone(),
        linux: Some(linux_sandbox(pod)),
    }
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

/// One attempt at a container, with its environment and the image's id.
pub(super) fn container(
    pod: &Pod,
    slot: &Slot<'_>,
    attempt: u32,
    image_id: &str,
    env: &[(String, String)],
) -> cri::ContainerConfig {
    let spec = slot.spec;
    let expanded = |words: &[String]| words.iter().map(|word| expand(word, env)).collect();
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
        mounts: mounts(pod, spec),
        devices: Vec::new(),
        labels,
        annotations: annotations.into(),
        log_path: format!("{}/{attempt}.log", spec.name),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        tty: spec.tty,
        linux: Some(linux_container(pod, spec)),
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

/// What the pod asks for itself; the cluster's DNS server is added where there is one.
fn dns(pod: &Pod) -> Option<cri::DnsConfig> {
    pod.spec.dns_config.as_ref().map(|dns| cri::DnsConfig {
        servers: dns.nameservers.clone(),
        searches: dns.searches.clone(),
        options: (dns.options.iter())
            .map(|option| match &option.value {
                Some(value) => format!("{}:{value}", option.name),
                None => option.name.clone(),
            })
            .collect(),
    })
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

fn namespaces(pod: &Pod) -> cri::NamespaceOption {
    let mode = |host: bool, otherwise: cri::NamespaceMode| if host { cri::NamespaceMode::Node } else { otherwise };
    let shared = pod.spec.share_process_namespace == Some(true);
    let own_pid = if shared { cri::NamespaceMode::Pod } else { cri::NamespaceMode::Container };
    cri::NamespaceOption {
        network: mode(pod.spec.host_network, cri::NamespaceMode::Pod).into(),
        pid: mode(pod.spec.host_pid, own_pid).into(),
        ipc: mode(pod.spec.host_ipc, cri::NamespaceMode::Pod).into(),
        ..Default::default()
    }
}

fn linux_sandbox(pod: &Pod) -> cri::LinuxPodSandboxConfig {
    let context = pod.spec.security_context.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| cri::Int64Value { value });
    let security_context = cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: number(context.run_as_user),
        run_as_group: number(context.run_as_group),
        supplemental_groups: context.supplemental_groups.iter().copied().chain(context.fs_group).collect(),
        ..Default::default()
    };
    cri::LinuxPodSandboxConfig {
        cgroup_parent: format!("/kubepods/pod{}", pod.metadata.uid),
        security_context: Some(security_context),
        sysctls: context.sysctls.iter().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        ..Default::default()
    }
}

fn linux_container(pod: &Pod, container: &Container) -> cri::LinuxContainerConfig {
    let amount = |list: &std::collections::BTreeMap<String, api::resource::Quantity>, name: &str| {
        list.get(name).map(|quantity| quantity.amount_or_zero())
    };
    let resources = &container.resources;
    let limit = amount(&resources.limits, "cpu").map_or(0, |amount| amount.milli_value());
    let request = amount(&resources.requests, "cpu").map_or(limit, |amount| amount.milli_value());
    // The kernel's units: 1024 shares for a CPU, and microseconds of CPU time in a period of 100 ms.
    const PERIOD: i64 = 100_000;
    let resources = cri::LinuxContainerResources {
        cpu_period: if limit > 0 { PERIOD } else { 0 },
        cpu_quota: limit * PERIOD / 1_000,
        cpu_shares: (request * 1_024 / 1_000).max(2),
        memory_limit_in_bytes: amount(&resources.limits, "memory").map_or(0, |amount| amount.value()),
        ..Default::default()
    };
    cri::LinuxContainerConfig { resources: Some(resources), security_context: Some(security(pod, container)) }
}

/// A container's security context, completed by its pod's.
fn security(pod: &Pod, container: &Container) -> cri::LinuxContainerSecurityContext {
    let of_pod = pod.spec.security_context.clone().unwrap_or_default();
    let own: SecurityContext = container.security_context.clone().unwrap_or_default();
    let number = |value: Option<i64>| value.map(|value| cri::Int64Value { value });
    let capabilities = own.capabilities.map(|capabilities| cri::Capability {
        add_capabilities: capabilities.add,
        drop_capabilities: capabilities.drop,
        ..Default::default()
    });
    cri::LinuxContainerSecurityContext {
        capabilities,
        privileged: own.privileged == Some(true),
        namespace_options: Some(namespaces(pod)),
        run_as_user: number(own.run_as_user.or(of_pod.run_as_user)),
        run_as_group: number(own.run_as_group.or(of_pod.run_as_group)),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: of_pod.supplemental_groups.into_iter().chain(of_pod.fs_group).collect(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        ..Default::default()
    }
}

fn mounts(pod: &Pod, container: &Container) -> Vec<cri::Mount> {
    let volumes = format!("/var/lib/kubelet/pods/{}/volumes", pod.metadata.uid);
    let mount = |mount: &api::core::v1::VolumeMount| cri::Mount {
        container_path: mount.mount_path.clone(),
        host_path: format!("{volumes}/{}", mount.name),
        readonly: mount.read_only,
        ..Default::default()
    };
    container.volume_mounts.iter().map(mount).collect()
}

fn stop_signal(container: &Container) -> cri::Signal {
    let chosen = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    // Kubernetes writes SIGRTMIN+1 where CRI has SIGRTMINPLUS1.
    let name = chosen.map(|name| name.replace('+', "PLUS").replace('-', "MINUS"));
    name.and_then(|name| cri::Signal::from_str_name(&name)).unwrap_or(cri::Signal::RuntimeDefault)
}
