//! Services: a cluster IP, TCP, and traffic to every endpoint. Addresses are allocated elsewhere.

use super::text;
use crate::core::v1::{ClientIpConfig, Service, SessionAffinityConfig};

/// How long a client sticks to one endpoint: three hours.
const AFFINITY_SECONDS: i32 = 10_800;

/// Sets the defaults of a Service.
pub fn service(service: &mut Service) {
    let spec = &mut service.spec;
    text(&mut spec.session_affinity, "None");
    match spec.session_affinity.as_str() {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            let timeout = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip?.timeout_seconds);
            let client_ip = ClientIpConfig { timeout_seconds: Some(timeout.unwrap_or(AFFINITY_SECONDS)) };
            spec.session_affinity_config = Some(SessionAffinityConfig { client_ip: Some(client_ip) });
        }
        _ => {}
    }
    text(&mut spec.r#type, "ClusterIP");
    for port in &mut spec.ports {
        text(&mut port.protocol, "TCP");
        if port.target_port.as_int() == Some(0) || port.target_port.as_str() == Some("") {
            port.target_port = port.port.into();
        }
    }
    let balanced = spec.r#type == "LoadBalancer";
    let with_node_port = balanced || spec.r#type == "NodePort";
    let external = with_node_port || (spec.r#type == "ClusterIP" && !spec.external_ips.is_empty());
    if external {
        text(&mut spec.external_traffic_policy, "Cluster");
    }
    if with_node_port || spec.r#type == "ClusterIP" {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    }
    if balanced {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
        for ingress in service.status.load_balancer.ingress.iter_mut().filter(|ingress| !ingress.ip.is_empty()) {
            ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}
