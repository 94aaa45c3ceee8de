//! Services.

mod cluster_ips;

use std::collections::BTreeSet;

use crate::core::v1::{Service, ServicePort};
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::names::{self, NameRule};

use super::{PROTOCOLS, ip, metadata, named, one_of, port, required, supported_or_empty};

/// The longest time a client may stick to an endpoint: a day.
const MAX_AFFINITY_SECONDS: i32 = 86_400;
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

/// Checks a new Service, whose `clusterIP` and `clusterIPs` agree already.
pub fn create(service: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&service.metadata, true, NameRule::Label1035, &mut errors);
    whole(service, &mut errors);
    errors
}

/// Checks a change of a Service.
pub fn update(new: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    cluster_ips::update(new, old, &mut errors);
    let both = |test: fn(&Service) -> bool| test(new) && test(old);
    if both(is_load_balancer) && new.spec.load_balancer_class != old.spec.load_balancer_class {
        let shown = Json(&new.spec.load_balancer_class);
        let path = Path::new("spec.loadBalancerClass");
        errors.push(FieldError::invalid(&path, shown, "may not change once set"));
    }
    if both(needs_health_check) && new.spec.health_check_node_port != old.spec.health_check_node_port {
        errors.push(FieldError::forbidden(&Path::new("spec.healthCheckNodePort"), super::IMMUTABLE));
    }
    whole(new, &mut errors);
    errors
}

/// Checks a change of a Service's status.
pub fn status_update(new: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    let path = Path::new("status.loadBalancer.ingress");
    let ingress = &new.status.load_balancer.ingress;
    if !is_load_balancer(new) && !ingress.is_empty() {
        let detail = "may only be used when `spec.type` is 'LoadBalancer'";
        errors.push(FieldError::forbidden(&path, detail));
        return errors;
    }
    for (index, one) in ingress.iter().enumerate() {
        let path = path.index(index);
        let mode = path.child("ipMode");
        match (one.ip.is_empty(), &one.ip_mode) {
            (false, None) => errors.push(FieldError::required(&mode, "must be specified when `ip` is set")),
            (true, Some(_)) => errors.push(FieldError::forbidden(&mode, "may not be specified when `ip` is not set")),
            (_, Some(one)) => supported_or_empty(one, &["Proxy", "VIP"], &mode, &mut errors),
            (true, None) => {}
        }
        if !one.ip.is_empty() {
            ip::address(&one.ip, &path.child("ip"), &mut errors);
        }
        if !one.hostname.is_empty() {
            let path = path.child("hostname");
            named(&one.hostname, names::dns1123_subdomain, &path, &mut errors);
            if one.hostname.parse::<std::net::IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(&path, &one.hostname, detail));
            }
        }
    }
    errors
}

fn whole(service: &Service, errors: &mut ErrorList) {
    let path = Path::new("spec");
    let spec = &service.spec;
    if spec.ports.is_empty() && !is_headless(service) && spec.r#type != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    if is_headless(service) && ["LoadBalancer", "NodePort"].contains(&spec.r#type.as_str()) {
        let detail = format!("may not be set to 'None' for {} services", spec.r#type);
        errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", detail));
    }
    if spec.r#type == "ExternalName" {
        external_name(service, &path, errors);
    }
    ports(service, &path.child("ports"), errors);
    metadata::labels(&spec.selector, &path.child("selector"), errors);
    session_affinity(service, &path, errors);
    cluster_ips::all(service, &path, errors);
    for (index, text) in spec.external_ips.iter().enumerate() {
        let path = path.child("externalIPs").index(index);
        if let Some(parsed) = ip::address(text, &path, errors) {
            ip::not_special(parsed, text, &path, errors);
        }
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    one_of(&spec.r#type, &types, &path.child("type"), errors);
    load_balancer(service, &path, errors);
    traffic(service, &path, errors);
}

fn external_name(service: &Service, path: &Path, errors: &mut ErrorList) {
    let spec = &service.spec;
    let set = [
        ("clusterIPs", !spec.cluster_ips.is_empty()),
        ("ipFamilies", !spec.ip_families.is_empty()),
        ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        errors.push(FieldError::forbidden(&path.child(field), "may not be set for ExternalName services"));
    }
    let name = spec.external_name.strip_suffix('.').unwrap_or(&spec.external_name);
    super::required_name(name, names::dns1123_subdomain, &path.child("externalName"), errors);
}

fn ports(service: &Service, path: &Path, errors: &mut ErrorList) {
    let ports = &service.spec.ports;
    let mut seen = BTreeSet::new();
    for (index, one) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = path.child("name");
        if one.name.is_empty() {
            // A single port may go without.
            if ports.len() > 1 {
                errors.push(FieldError::required(&name, ""));
            }
        } else {
            named(&one.name, names::dns1123_label, &name, errors);
            if !seen.insert(&one.name) {
                errors.push(FieldError::duplicate(&name, &one.name));
            }
        }
        errors.push_invalid(&path.child("port"), one.port, names::port_number(one.port));
        one_of(&one.protocol, PROTOCOLS, &path.child("protocol"), errors);
        port(&one.target_port, &path.child("targetPort"), errors);
        if let Some(protocol) = &one.app_protocol {
            named(protocol, names::qualified_name, &path.child("appProtocol"), errors);
        }
        if service.spec.r#type == "ClusterIP" && one.node_port != 0 {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&path.child("nodePort"), detail));
        }
        let before = &ports[..index];
        if one.node_port != 0 && before.iter().any(|p| (&p.protocol, p.node_port) == (&one.protocol, one.node_port)) {
            errors.push(FieldError::duplicate(&path.child("nodePort"), one.node_port));
        }
        if before.iter().any(|p| (&p.protocol, p.port) == (&one.protocol, one.port)) {
            let key = ServicePort { protocol: one.protocol.clone(), port: one.port, ..Default::default() };
            errors.push(FieldError::duplicate(&path, Json(&key)));
        }
    }
}

fn session_affinity(service: &Service, path: &Path, errors: &mut ErrorList) {
    let spec = &service.spec;
    one_of(&spec.session_affinity, &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    let path = path.child("sessionAffinityConfig");
    match (spec.session_affinity.as_str(), &spec.session_affinity_config) {
        ("ClientIP", config) => {
            let timeout = config.as_ref().and_then(|config| config.client_ip?.timeout_seconds);
            let path = path.child("clientIP.timeoutSeconds");
            match timeout {
                None => errors.push(FieldError::required(&path, "when session affinity type is ClientIP")),
                Some(seconds) if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                    errors.push(FieldError::invalid(&path, seconds, detail));
                }
                Some(_) => {}
            }
        }
        ("None", Some(_)) => {
            errors.push(FieldError::forbidden(&path, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn load_balancer(service: &Service, path: &Path, errors: &mut ErrorList) {
    let spec = &service.spec;
    let ranges = path.child("LoadBalancerSourceRanges");
    if !spec.load_balancer_source_ranges.is_empty() && !is_load_balancer(service) {
        errors.push(FieldError::forbidden(&ranges, ONLY_LOAD_BALANCER));
    }
    for (index, range) in spec.load_balancer_source_ranges.iter().enumerate() {
        ip::range(range.trim(), &ranges.index(index), errors);
    }
    match (is_load_balancer(service), spec.allocate_load_balancer_node_ports) {
        (false, Some(_)) => {
            let path = path.child("allocateLoadBalancerNodePorts");
            errors.push(FieldError::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        (true, None) => errors.push(FieldError::required(&Path::new("allocateLoadBalancerNodePorts"), "")),
        _ => {}
    }
    if let Some(class) = &spec.load_balancer_class {
        let path = path.child("loadBalancerClass");
        match is_load_balancer(service) {
            true => named(class, names::qualified_name, &path, errors),
            false => errors.push(FieldError::forbidden(&path, ONLY_LOAD_BALANCER)),
        }
    }
}

/// Which endpoints get whose traffic.
fn traffic(service: &Service, path: &Path, errors: &mut ErrorList) {
    let spec = &service.spec;
    let external = path.child("externalTrafficPolicy");
    if is_external(service) {
        one_of(&spec.external_traffic_policy, &["Cluster", "Local"], &external, errors);
    } else if !spec.external_traffic_policy.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(&external, &spec.external_traffic_policy, detail));
    }
    let check = path.child("healthCheckNodePort");
    match (needs_health_check(service), spec.health_check_node_port) {
        (true, 0) => errors.push(FieldError::required(&check, "")),
        (true, number) => errors.push_invalid(&check, number, names::port_number(number)),
        (false, 0) => {}
        (false, number) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(&check, number, detail));
        }
    }
    let internal = path.child("internalTrafficPolicy");
    let policy = spec.internal_traffic_policy.as_deref().unwrap_or_default();
    if spec.r#type != "ExternalName" {
        required(policy, &internal, errors);
    }
    supported_or_empty(policy, &["Cluster", "Local"], &internal, errors);
    if let Some(distribution) = &spec.traffic_distribution {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        one_of(distribution, &known, &path.child("trafficDistribution"), errors);
    }
}

fn is_headless(service: &Service) -> bool {
    service.spec.cluster_ips == ["None"]
}

fn is_load_balancer(service: &Service) -> bool {
    service.spec.r#type == "LoadBalancer"
}

fn is_external(service: &Service) -> bool {
    let spec = &service.spec;
    match spec.r#type.as_str() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.external_ips.is_empty(),
        _ => false,
    }
}

fn needs_health_check(service: &Service) -> bool {
    is_load_balancer(service) && service.spec.external_traffic_policy == "Local"
}
