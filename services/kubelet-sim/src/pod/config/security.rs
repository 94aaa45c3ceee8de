//! Security contexts: a container's own, completed by its pod's.

use std::path::Path;

use api::core::v1::{AppArmorProfile, Container, Pod, SeLinuxOptions, SeccompProfile, SecurityContext};

use crate::cri;
use crate::cri::security_profile::ProfileType;

/// What of `/proc` and `/sys` containers do not see, and what they cannot write to, unless `procMount: Unmasked` (Kubernetes' lists).
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The sandbox's. Its own process runs under the runtime's seccomp profile, whatever the containers do.
pub(super) fn of_sandbox(pod: &Pod) -> cri::LinuxSandboxSecurityContext {
    let context = pod.spec.security_context.clone().unwrap_or_default();
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        selinux_options: context.se_linux_options.as_ref().map(selinux),
        run_as_user: number(context.run_as_user),
        run_as_group: number(context.run_as_group),
        supplemental_groups: supplemental_groups(pod),
        supplemental_groups_policy: supplemental_groups_policy(pod).into(),
        // A runtime lets no privileged container into a sandbox that is not.
        privileged: containers.filter_map(|c| c.security_context.as_ref()).any(|c| c.privileged == Some(true)),
        seccomp: Some(profile(ProfileType::RuntimeDefault)),
        ..Default::default()
    }
}

/// A container's. Profiles of the node's own (`Localhost`) lie under `<root>/seccomp`.
pub(super) fn of_container(pod: &Pod, container: &Container, root: &Path) -> cri::LinuxContainerSecurityContext {
    let of_pod = pod.spec.security_context.clone().unwrap_or_default();
    let own: SecurityContext = container.security_context.clone().unwrap_or_default();
    let capabilities = own.capabilities.map(|capabilities| cri::Capability {
        add_capabilities: capabilities.add,
        drop_capabilities: capabilities.drop,
        ..Default::default()
    });
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |paths: &[&str]| if unmasked { Vec::new() } else { paths.iter().map(|&p| p.to_owned()).collect() };
    cri::LinuxContainerSecurityContext {
        capabilities,
        privileged: own.privileged == Some(true),
        namespace_options: Some(namespaces(pod)),
        selinux_options: own.se_linux_options.or(of_pod.se_linux_options).as_ref().map(selinux),
        run_as_user: number(own.run_as_user.or(of_pod.run_as_user)),
        run_as_group: number(own.run_as_group.or(of_pod.run_as_group)),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: supplemental_groups(pod),
        supplemental_groups_policy: supplemental_groups_policy(pod).into(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(seccomp(own.seccomp_profile.or(of_pod.seccomp_profile).as_ref(), root)),
        apparmor: own.app_armor_profile.or(of_pod.app_armor_profile).as_ref().map(apparmor),
        ..Default::default()
    }
}

fn number(value: Option<i64>) -> Option<cri::Int64Value> {
    value.map(|value| cri::Int64Value { value })
}

fn namespaces(pod: &Pod) -> cri::NamespaceOption {
    let mode = |host: bool, otherwise: cri::NamespaceMode| if host { cri::NamespaceMode::Node } else { otherwise };
    let shared = pod.spec.share_process_namespace == Some(true);
    let own_pid = if shared { cri::NamespaceMode::Pod } else { cri::NamespaceMode::Container };
    cri::NamespaceOption {
        network: mode(pod.spec.host_network, cri::NamespaceMode::Pod).into(),
        pid: mode(pod.spec.host_pid, own_pid).into(),
        ipc: mode(pod.spec.host_ipc, cri::NamespaceMode::Pod).into(),
        // Said only by those who say it: a runtime has its own mind about the others.
        userns_options: pod
            .spec
            .host_users
            .map(|host| cri::UserNamespace { mode: mode(host, cri::NamespaceMode::Pod).into(), ..Default::default() }),
        ..Default::default()
    }
}

fn supplemental_groups(pod: &Pod) -> Vec<i64> {
    let context = pod.spec.security_context.as_ref();
    context.into_iter().flat_map(|c| c.fs_group.into_iter().chain(c.supplemental_groups.iter().copied())).collect()
}

fn supplemental_groups_policy(pod: &Pod) -> cri::SupplementalGroupsPolicy {
    let context = pod.spec.security_context.as_ref();
    match context.and_then(|context| context.supplemental_groups_policy.as_deref()) {
        Some("Strict") => cri::SupplementalGroupsPolicy::Strict,
        _ => cri::SupplementalGroupsPolicy::Merge,
    }
}

fn selinux(options: &SeLinuxOptions) -> cri::SeLinuxOption {
    cri::SeLinuxOption {
        user: options.user.clone(),
        role: options.role.clone(),
        r#type: options.r#type.clone(),
        level: options.level.clone(),
    }
}

fn profile(kind: ProfileType) -> cri::SecurityProfile {
    cri::SecurityProfile { profile_type: kind.into(), localhost_ref: String::new() }
}

/// Without a word about it a container is unconfined, as in a kubelet without `--seccomp-default`.
fn seccomp(wanted: Option<&SeccompProfile>, root: &Path) -> cri::SecurityProfile {
    match wanted.map(|wanted| (wanted.r#type.as_str(), wanted.localhost_profile.as_deref())) {
        Some(("RuntimeDefault", _)) => profile(ProfileType::RuntimeDefault),
        Some(("Localhost", Some(file))) => cri::SecurityProfile {
            profile_type: ProfileType::Localhost.into(),
            localhost_ref: root.join("seccomp").join(file).display().to_string(),
        },
        _ => profile(ProfileType::Unconfined),
    }
}

/// Without a word about it the runtime's own profile holds, where the kernel has AppArmor.
fn apparmor(wanted: &AppArmorProfile) -> cri::SecurityProfile {
    match (wanted.r#type.as_str(), &wanted.localhost_profile) {
        ("Unconfined", _) => profile(ProfileType::Unconfined),
        ("Localhost", Some(name)) => {
            cri::SecurityProfile { profile_type: ProfileType::Localhost.into(), localhost_ref: name.clone() }
        }
        _ => profile(ProfileType::RuntimeDefault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({ "spec": json })).unwrap()
    }

    fn container(json: serde_json::Value) -> cri::LinuxContainerSecurityContext {
        let pod = pod(json);
        of_container(&pod, &pod.spec.containers[0], Path::new("/root-dir"))
    }

    #[test]
    fn a_containers_own_word_counts_before_its_pods() {
        let context = container(serde_json::json!({
            "securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 7, "supplementalGroups": [8],
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": {
                "runAsUser": 5, "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}
            }}],
        }));
        assert_eq!(context.run_as_user.map(|user| user.value), Some(5));
        assert_eq!(context.run_as_group.map(|group| group.value), Some(2));
        assert_eq!(context.supplemental_groups, [7, 8]);
        assert_eq!(context.seccomp.unwrap().localhost_ref, "/root-dir/seccomp/p.json");
    }

    #[test]
    fn what_is_not_asked_for_is_as_in_kubernetes() {
        let context = container(serde_json::json!({"containers": [{"name": "c"}]}));
        assert_eq!(context.seccomp.unwrap().profile_type(), ProfileType::Unconfined);
        assert_eq!(context.apparmor, None, "the runtime's own");
        assert_eq!((context.masked_paths.len(), context.readonly_paths.len()), (MASKED.len(), READ_ONLY.len()));
        assert!(!context.privileged && !context.no_new_privs && !context.readonly_rootfs);
        let open = container(serde_json::json!({
            "containers": [{"name": "c", "securityContext": {"procMount": "Unmasked", "allowPrivilegeEscalation": false}}],
        }));
        assert!(open.masked_paths.is_empty() && open.readonly_paths.is_empty() && open.no_new_privs);
    }

    #[test]
    fn one_privileged_container_makes_the_sandbox_privileged() {
        let sandbox = of_sandbox(&pod(serde_json::json!({
            "shareProcessNamespace": true,
            "containers": [{"name": "a"}],
            "initContainers": [{"name": "b", "securityContext": {"privileged": true}}],
        })));
        assert!(sandbox.privileged);
        assert_eq!(sandbox.seccomp.unwrap().profile_type(), ProfileType::RuntimeDefault);
        assert_eq!(sandbox.namespace_options.unwrap().pid(), cri::NamespaceMode::Pod);
    }
}
