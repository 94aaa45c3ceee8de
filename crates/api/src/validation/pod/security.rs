//! Security contexts: users and groups in range, profiles complete, options that fit the operating system.

use crate::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl,
};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names;
use crate::validation::supported_or_empty;

use super::volume::stays_inside;

/// The kinds of seccomp and AppArmor profiles.
const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
/// The longest path that Linux takes.
const MAX_PATH: usize = 4095;

pub(super) fn of_pod(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if spec.host_users == Some(false) {
        // A user namespace of its own does not go with namespaces of the host.
        let shared = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
        for (field, _) in shared.into_iter().filter(|(_, set)| *set) {
            errors.push(FieldError::forbidden(&path.child(field), "when `pod.Spec.HostUsers` is false"));
        }
    }
    let Some(context) = &spec.security_context else { return };
    let path = path.child("securityContext");
    let at = |name: &str| path.child(name);
    id(context.fs_group, &at("fsGroup"), errors);
    id(context.run_as_user, &at("runAsUser"), errors);
    id(context.run_as_group, &at("runAsGroup"), errors);
    for (index, group) in context.supplemental_groups.iter().enumerate() {
        id(Some(*group), &at("supplementalGroups").index(index), errors);
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&at("shareProcessNamespace"), true, detail));
    }
    sysctls(&context.sysctls, spec, &at("sysctls"), errors);
    seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile"), errors);
    app_armor(context.app_armor_profile.as_ref(), &at("appArmorProfile"), errors);
    policies(context, &path, errors);
}

fn policies(context: &PodSecurityContext, path: &Path, errors: &mut ErrorList) {
    let policies: [(&str, &Option<String>, &[&str]); 3] = [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, &["MountOption", "Recursive"]),
    ];
    for (field, policy, supported) in policies {
        if let Some(policy) = policy {
            supported_or_empty(policy, supported, &path.child(field), errors);
        }
    }
}

pub(super) fn of_container(container: &Container, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(context) = &container.security_context else { return };
    let at = |name: &str| path.child(name);
    id(context.run_as_user, &at("runAsUser"), errors);
    id(context.run_as_group, &at("runAsGroup"), errors);
    if let Some(mount) = &context.proc_mount {
        supported_or_empty(mount, &["Default", "Unmasked"], &at("procMount"), errors);
        if mount == "Unmasked" && spec.host_users != Some(false) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.push(FieldError::invalid(&at("procMount"), mount, detail));
        }
    }
    seccomp(context.seccomp_profile.as_ref(), &at("seccompProfile"), errors);
    escalation(context, path, errors);
    app_armor(context.app_armor_profile.as_ref(), &at("appArmorProfile"), errors);
}

/// Whoever has all privileges cannot be kept from gaining them.
fn escalation(context: &SecurityContext, path: &Path, errors: &mut ErrorList) {
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(FieldError::invalid(path, Json(context), detail));
    }
    let added = context.capabilities.iter().flat_map(|capabilities| &capabilities.add);
    if added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(FieldError::invalid(path, Json(context), detail));
    }
}

/// Users and groups are numbers of 31 bits.
fn id(id: Option<i64>, path: &Path, errors: &mut ErrorList) {
    if let Some(id) = id {
        errors.push_invalid(path, id, names::in_range(id, 0, i32::MAX.into()));
    }
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    match profile.r#type.as_str() {
        "" => errors.push(FieldError::required(&path.child("type"), "type is required when seccompProfile is set")),
        kind => supported_or_empty(kind, PROFILES, &path.child("type"), errors),
    }
    let path = path.child("localhostProfile");
    match (profile.r#type.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => {
            errors.push(FieldError::required(&path, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", Some(file)) => stays_inside(file, &path, errors),
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(&path, Json(profile), detail));
        }
        (_, None) => {}
    }
}

fn app_armor(profile: Option<&AppArmorProfile>, path: &Path, errors: &mut ErrorList) {
    let Some(profile) = profile else { return };
    let local = path.child("localhostProfile");
    match (profile.r#type.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", name) => {
            let name = name.unwrap_or_default();
            if name.trim() != name {
                errors.push(FieldError::invalid(&local, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(FieldError::required(&local, "must be set when AppArmor type is Localhost"));
            }
            if name.len() > MAX_PATH {
                errors.push(FieldError::too_long(&local, MAX_PATH));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.push(FieldError::invalid(&local, name, "can only be set when AppArmor type is Localhost"));
        }
        ("", _) => {
            let detail = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(&path.child("type"), detail));
        }
        (kind, _) => supported_or_empty(kind, PROFILES, &path.child("type"), errors),
    }
}

fn sysctls(sysctls: &[Sysctl], spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(index).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !is_sysctl(name) {
            let detail = "must have at most 253 characters and match regex \
                          ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&path, name, detail));
        } else if sysctls[..index].iter().any(|other| other.name == name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        let dotted = name.replace('/', ".");
        if spec.host_network && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostNetwork' is true"));
        }
        let of_ipc = ["kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."];
        if spec.host_ipc && of_ipc.iter().any(|prefix| dotted.starts_with(prefix)) {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= names::MAX_SUBDOMAIN
        && name.split(['.', '/']).all(|segment| {
            segment.starts_with(alphanumeric)
                && segment.ends_with(alphanumeric)
                && segment.chars().all(|c| alphanumeric(c) || c == '-' || c == '_')
        })
}

/// A Linux pod has no use for options of Windows.
pub(super) fn no_windows_options(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        errors.push(FieldError::forbidden(&path.child("securityContext.windowsOptions"), DETAIL));
    }
    for (path, context) in contexts(spec, path) {
        if context.windows_options.is_some() {
            errors.push(FieldError::forbidden(&path.child("windowsOptions"), DETAIL));
        }
    }
}

/// A Windows pod cannot have what only Linux knows.
pub(super) fn no_linux_options(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    const DETAIL: &str = "cannot be set for a windows pod";
    let of_spec = [
        ("hostUsers", spec.host_users.is_some()),
        ("hostPID", spec.host_pid),
        ("hostIPC", spec.host_ipc),
        ("shareProcessNamespace", spec.share_process_namespace.is_some()),
    ];
    let of_pod = spec.security_context.iter().flat_map(|context| {
        [
            ("securityContext.appArmorProfile", context.app_armor_profile.is_some()),
            ("securityContext.seLinuxOptions", context.se_linux_options.is_some()),
            ("securityContext.seccompProfile", context.seccomp_profile.is_some()),
            ("securityContext.fsGroup", context.fs_group.is_some()),
            ("securityContext.fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
            ("securityContext.sysctls", !context.sysctls.is_empty()),
            ("securityContext.runAsUser", context.run_as_user.is_some()),
            ("securityContext.runAsGroup", context.run_as_group.is_some()),
            ("securityContext.supplementalGroups", !context.supplemental_groups.is_empty()),
            ("securityContext.supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
            ("securityContext.seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
        ]
    });
    for (field, _) in of_pod.chain(of_spec).filter(|(_, set)| *set) {
        errors.push(FieldError::forbidden(&path.child(field), DETAIL));
    }
    for (path, context) in contexts(spec, path) {
        let of_container = [
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ];
        for (field, _) in of_container.into_iter().filter(|(_, set)| *set) {
            errors.push(FieldError::forbidden(&path.child(field), DETAIL));
        }
    }
}

/// Returns the contexts of all containers with their paths.
fn contexts<'a>(spec: &'a PodSpec, path: &'a Path) -> impl Iterator<Item = (Path, &'a SecurityContext)> {
    let lists = [("initContainers", &spec.init_containers), ("containers", &spec.containers)];
    lists.into_iter().flat_map(move |(list, containers)| {
        containers.iter().enumerate().filter_map(move |(index, container)| {
            let context = container.security_context.as_ref()?;
            Some((path.child(list).index(index).child("securityContext"), context))
        })
    })
}
