//! A pod's spec as a whole: what is not about one container, volume or rule of placement.

use crate::core::v1::PodSpec;
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names::{self, Rule};
use crate::validation::{ip, metadata, named, one_of};

use super::place::In;
use super::{affinity, container, placement, resources, security, volume};

/// What the C library's resolver can take.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;

pub(super) fn pod_spec(spec: &PodSpec, path: &Path, place: In<'_>, errors: &mut ErrorList) {
    let at = |name: &str| path.child(name);
    if spec.termination_grace_period_seconds.is_none() {
        errors.push(FieldError::required(&at("terminationGracePeriodSeconds"), ""));
    }
    let volumes = volume::volumes(&spec.volumes, &at("volumes"), place, errors);
    resource_claims(spec, &at("resourceClaims"), errors);
    container::containers(spec, &volumes, &at("containers"), errors);
    container::init_containers(spec, &volumes, &at("initContainers"), errors);
    resources::of_pod(spec, &at("resources"), errors);
    host_ports(spec, &at("containers"), place, errors);
    one_of(&spec.restart_policy, &["Always", "OnFailure", "Never"], &at("restartPolicy"), errors);
    let dns_policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(&spec.dns_policy, &dns_policies, &at("dnsPolicy"), errors);
    metadata::labels(&spec.node_selector, &at("nodeSelector"), errors);
    security::of_pod(spec, path, errors);
    affinity::affinity(spec.affinity.as_ref(), &at("affinity"), errors);
    dns_config(spec, &at("dnsConfig"), errors);
    for (index, gate) in spec.readiness_gates.iter().enumerate() {
        let path = at("readinessGates").index(index).child("conditionType");
        named(&gate.condition_type, names::qualified_name, &path, errors);
    }
    placement::scheduling_gates(spec, &at("schedulingGates"), errors);
    placement::topology_spread(spec, &at("topologySpreadConstraints"), errors);
    identity(spec, path, errors);
    placement::tolerations(&spec.tolerations, &at("tolerations"), errors);
    host_aliases(spec, &at("hostAliases"), errors);
    classes(spec, path, errors);
    resources::limits_only(&spec.overhead, &at("overhead"), errors);
    operating_system(spec, path, errors);
    if let In::Pod(_) = place {
        only_in_pods(spec, path, errors);
    }
}

/// What templates may say for reasons of history, and pods may not.
fn only_in_pods(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if spec.service_account_name.is_empty() {
        for (index, volume) in spec.volumes.iter().enumerate() {
            let sources = volume.volume_source.projected.iter().flat_map(|projected| &projected.sources);
            for (source, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
                let path = path.child("volumes").index(index).child("projected.sources").index(source);
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(&path.child("serviceAccountToken"), detail));
            }
        }
    }
    for (list, containers) in [("containers", &spec.containers), ("initContainers", &spec.init_containers)] {
        for (index, container) in containers.iter().enumerate() {
            container::image_is_trimmed(&container.image, &path.child(list).index(index), errors);
        }
    }
}

fn resource_claims(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, claim) in spec.resource_claims.iter().enumerate() {
        let path = path.index(index);
        if spec.resource_claims[..index].iter().any(|other| other.name == claim.name && !claim.name.is_empty()) {
            errors.push(FieldError::duplicate(&path.child("name"), &claim.name));
        } else {
            crate::validation::required_name(&claim.name, names::dns1123_label, &path.child("name"), errors);
        }
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(FieldError::invalid(&path, Json(claim), detail));
            }
            (None, None) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(FieldError::invalid(&path, Json(claim), detail));
            }
            _ => {}
        }
        if let Some(name) = &claim.resource_claim_name {
            named(name, names::dns1123_subdomain, &path.child("resourceClaimName"), errors);
        }
        if let Some(name) = &claim.resource_claim_template_name {
            named(name, names::dns1123_subdomain, &path.child("resourceClaimTemplateName"), errors);
        }
    }
}

/// On the node's network, a port is the same inside and outside. In a template the outside may still be open.
fn host_ports(spec: &PodSpec, path: &Path, place: In<'_>, errors: &mut ErrorList) {
    if !spec.host_network {
        return;
    }
    for (index, container) in spec.containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().enumerate() {
            let open = matches!(place, In::Template) && port.host_port == 0;
            if !open && port.host_port != port.container_port {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&path, port.host_port, detail));
            }
        }
    }
}

fn dns_config(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let config = spec.dns_config.as_ref();
    if spec.dns_policy == "None" {
        if config.is_none() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            return errors.push(FieldError::required(path, detail));
        }
        if config.is_some_and(|config| config.nameservers.is_empty()) {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return errors.push(FieldError::required(&path.child("nameservers"), detail));
        }
    }
    let Some(config) = config else { return };
    let nameservers = path.child("nameservers");
    if config.nameservers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(FieldError::invalid(&nameservers, Json(&config.nameservers), detail));
    }
    for (index, server) in config.nameservers.iter().enumerate() {
        ip::address(server, &nameservers.index(index), errors);
    }
    let searches = path.child("searches");
    if config.searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(FieldError::invalid(&searches, Json(&config.searches), detail));
    }
    if config.searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        let detail =
            format!("must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(&searches, Json(&config.searches), detail));
    }
    for (index, search) in config.searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        named(search, names::dns1123_subdomain_with_underscore, &searches.index(index), errors);
    }
    for (index, option) in config.options.iter().enumerate() {
        if option.name.is_empty() {
            errors.push(FieldError::required(&path.child("options").index(index), "must not be empty"));
        }
    }
}

/// The names by which a pod, its account and its node are known.
fn identity(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let names: [(&str, &str, Rule); 5] = [
        ("serviceAccountName", &spec.service_account_name, names::dns1123_subdomain),
        ("nodeName", &spec.node_name, names::dns1123_subdomain),
        ("hostname", &spec.hostname, names::dns1123_label),
        ("subdomain", &spec.subdomain, names::dns1123_label),
        ("hostnameOverride", spec.hostname_override.as_deref().unwrap_or_default(), names::dns1123_subdomain),
    ];
    for (field, name, rule) in names {
        if !name.is_empty() {
            named(name, rule, &path.child(field), errors);
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        let faults = names::in_range(seconds, 1, i32::MAX.into());
        errors.push_invalid(&path.child("activeDeadlineSeconds"), seconds, faults);
    }
}

fn host_aliases(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (index, alias) in spec.host_aliases.iter().enumerate() {
        let path = path.index(index);
        ip::address(&alias.ip, &path.child("ip"), errors);
        for (index, hostname) in alias.hostnames.iter().enumerate() {
            named(hostname, names::dns1123_subdomain, &path.child("hostnames").index(index), errors);
        }
    }
}

/// The classes that a pod refers to.
fn classes(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    if !spec.priority_class_name.is_empty() {
        let path = path.child("priorityClassName");
        named(&spec.priority_class_name, names::dns1123_subdomain, &path, errors);
    }
    if let Some(name) = &spec.runtime_class_name {
        named(name, names::dns1123_subdomain, &path.child("runtimeClassName"), errors);
    }
    if let Some(policy) = &spec.preemption_policy {
        one_of(policy, &["PreemptLowerPriority", "Never"], &path.child("preemptionPolicy"), errors);
    }
}

fn operating_system(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(os) = &spec.os else { return };
    let os_path = path.child("os");
    match os.name.as_str() {
        "" => errors.push(FieldError::required(&os_path.child("name"), "cannot be empty")),
        "linux" => security::no_windows_options(spec, path, errors),
        "windows" => security::no_linux_options(spec, path, errors),
        other => errors.push(FieldError::not_supported(&os_path, other, &["linux", "windows"])),
    }
}
