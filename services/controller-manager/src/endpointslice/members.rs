//! Which pods are behind a Service, and by which ports. Pure; shared with the older Endpoints objects.

use api::core::v1::{Container, Pod, Service, ServicePort};
use api::pod_conditions::{is_finished, is_ready, is_terminating};
use api::selector::label::Selector;
use std::net::IpAddr;

/// "IPv4".
pub const IPV4: &str = "IPv4";
const IPV6: &str = "IPv6";
/// The cluster IP of a Service that has none: its name answers with its pods.
const HEADLESS: &str = "None";

/// The pods that a Service wants; `None` for one whose endpoints somebody else writes.
pub fn selector(service: &Service) -> Option<Selector> {
    let spec = &service.spec;
    let ours = !spec.selector.is_empty() && spec.r#type != "ExternalName";
    ours.then(|| Selector::from_labels(&spec.selector))
}

/// Whether a pod has an address that may be listed: it has one, and will still answer on it.
pub fn is_listed(pod: &Pod) -> bool {
    let has_address = !pod.status.pod_ip.is_empty() || !pod.status.pod_ips.is_empty();
    has_address && !is_finished(pod)
}

/// Whether traffic shall reach the pod.
pub fn serves(service: &Service, pod: &Pod) -> bool {
    service.spec.publish_not_ready_addresses || (is_ready(pod) && !is_terminating(pod))
}

/// Whether a change of a pod may change endpoints: of its many statuses most do not.
pub fn matters(old: &Pod, new: &Pod) -> bool {
    let view = |pod: &Pod| {
        (is_finished(pod), is_ready(pod), is_terminating(pod), pod.status.pod_ips.clone(), pod.status.pod_ip.clone())
    };
    let place = |pod: &Pod| (pod.spec.node_name.clone(), pod.spec.hostname.clone(), pod.spec.subdomain.clone());
    old.metadata.uid != new.metadata.uid
        || old.metadata.labels != new.metadata.labels
        || view(old) != view(new)
        || place(old) != place(new)
}

/// Whether a Service has no cluster IP.
pub fn is_headless(service: &Service) -> bool {
    service.spec.cluster_ip.is_empty() || service.spec.cluster_ip == HEADLESS
}

/// The address families of a Service.
pub fn families(service: &Service) -> Vec<&'static str> {
    let named: Vec<_> =
        [IPV4, IPV6].into_iter().filter(|f| service.spec.ip_families.iter().any(|asked| asked == f)).collect();
    if !named.is_empty() {
        return named;
    }
    match service.spec.cluster_ip.parse() {
        Ok(IpAddr::V6(_)) => vec![IPV6],
        _ => vec![IPV4],
    }
}

/// A pod's address of a family.
pub fn address<'a>(pod: &'a Pod, family: &str) -> Option<&'a str> {
    let listed = pod.status.pod_ips.iter().map(|ip| ip.ip.as_str());
    let is_wanted = |ip: &&str| match ip.parse() {
        Ok(IpAddr::V4(_)) => family == IPV4,
        Ok(IpAddr::V6(_)) => family == IPV6,
        Err(_) => false,
    };
    listed.chain([pod.status.pod_ip.as_str()]).find(is_wanted)
}

/// The hostname under which a headless Service's DNS lists the pod.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let meta = &service.metadata;
    let has_name =
        !pod.spec.hostname.is_empty() && pod.spec.subdomain == meta.name && pod.metadata.namespace == meta.namespace;
    has_name.then(|| pod.spec.hostname.clone())
}

/// A port that a pod offers for a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The Service port's name.
    pub name: String,
    /// "TCP", "UDP" or "SCTP".
    pub protocol: String,
    /// Where the pod listens.
    pub port: i32,
    /// What is spoken there, if that is known.
    pub app_protocol: Option<String>,
}

/// The ports that a pod offers for a Service, sorted. A named target port that the pod does not have is left out.
pub fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let mut ports: Vec<Port> = service
        .spec
        .ports
        .iter()
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone(),
                protocol: protocol(&port.protocol).to_owned(),
                port: target(pod, port)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

fn target(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let Some(name) = port.target_port.as_str() else {
        let number = port.target_port.as_int().unwrap_or(0);
        return Some(if number == 0 { port.port } else { number });
    };
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let containers = pod.spec.containers.iter().chain(pod.spec.init_containers.iter().filter(is_sidecar));
    let mut offered = containers.flat_map(|container| &container.ports);
    let found = offered.find(|p| p.name == name && protocol(&p.protocol) == protocol(&port.protocol));
    found.map(|port| port.container_port)
}

fn protocol(protocol: &str) -> &str {
    if protocol.is_empty() { "TCP" } else { protocol }
}
