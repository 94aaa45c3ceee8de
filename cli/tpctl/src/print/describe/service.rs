//! Services, with the endpoints behind each port.

use super::events::events;
use super::metadata::{annotations, labels};
use super::writer::Writer;
use crate::print::columns::{self, NONE};
use api::core::v1::{Event, Service, ServicePort};
use api::discovery::v1::EndpointSlice;
use jiff::Timestamp;

/// So many endpoints are shown; the rest is counted.
const SHOWN: usize = 3;

/// A Service, where it leads, and what happened to it.
pub(crate) fn service(service: &Service, slices: &[EndpointSlice], happened: &[Event], now: Timestamp) -> String {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut writer = Writer::default();
    writer.line(0, format!("Name:\t{}", meta.name));
    writer.line(0, format!("Namespace:\t{}", meta.namespace));
    labels(&mut writer, "", "Labels", &meta.labels);
    annotations(&mut writer, "", &meta.annotations);
    writer.line(0, format!("Selector:\t{}", columns::labels(&spec.selector)));
    writer.line(0, format!("Type:\t{}", spec.r#type));
    if let Some(policy) = &spec.ip_family_policy {
        writer.line(0, format!("IP Family Policy:\t{policy}"));
    }
    if !spec.ip_families.is_empty() {
        writer.line(0, format!("IP Families:\t{}", spec.ip_families.join(",")));
    }
    writer.line(0, format!("IP:\t{}", spec.cluster_ip));
    let all = if spec.cluster_ips.is_empty() { NONE.to_owned() } else { spec.cluster_ips.join(",") };
    writer.line(0, format!("IPs:\t{all}"));
    for (title, text) in [("External IPs", spec.external_ips.join(",")), ("External Name", spec.external_name.clone())]
    {
        if !text.is_empty() {
            writer.line(0, format!("{title}:\t{text}"));
        }
    }
    spec.ports.iter().for_each(|port| describe_port(&mut writer, port, slices));
    writer.line(0, format!("Session Affinity:\t{}", spec.session_affinity));
    if !spec.external_traffic_policy.is_empty() {
        writer.line(0, format!("External Traffic Policy:\t{}", spec.external_traffic_policy));
    }
    if let Some(policy) = &spec.internal_traffic_policy {
        writer.line(0, format!("Internal Traffic Policy:\t{policy}"));
    }
    events(&mut writer, happened, now);
    writer.finish()
}

fn describe_port(writer: &mut Writer, port: &ServicePort, slices: &[EndpointSlice]) {
    let name = if port.name.is_empty() { "<unset>" } else { &port.name };
    writer.line(0, format!("Port:\t{name}\t{}/{}", port.port, port.protocol));
    writer.line(0, format!("TargetPort:\t{}/{}", port.target_port, port.protocol));
    if port.node_port != 0 {
        writer.line(0, format!("NodePort:\t{name}\t{}/{}", port.node_port, port.protocol));
    }
    writer.line(0, format!("Endpoints:\t{}", endpoints(port, slices)));
}

/// The ready addresses behind a port.
fn endpoints(port: &ServicePort, slices: &[EndpointSlice]) -> String {
    let mut found = Vec::new();
    for slice in slices {
        let same_name = slice.ports.iter().filter(|p| p.name.as_deref().unwrap_or_default() == port.name);
        for number in same_name.filter_map(|p| p.port) {
            let ready = slice.endpoints.iter().filter(|e| e.conditions.ready != Some(false));
            found.extend(ready.flat_map(|e| &e.addresses).map(|address| format!("{address}:{number}")));
        }
    }
    found.sort();
    if found.len() > SHOWN {
        let more = found.len() - SHOWN;
        found.truncate(SHOWN);
        return format!("{} + {more} more...", found.join(","));
    }
    found.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_shows_the_ready_endpoints_of_each_port() {
        let shown: Service = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "type": "ClusterIP", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "selector": { "app": "web" },
                "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{ "port": 80, "protocol": "TCP", "targetPort": "http" }] },
        }))
        .unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "ports": [{ "name": "", "port": 8080, "protocol": "TCP" }],
            "endpoints": [
                { "addresses": ["10.244.0.2"], "conditions": { "ready": true } },
                { "addresses": ["10.244.0.1"], "conditions": {} },
                { "addresses": ["10.244.0.3"], "conditions": { "ready": false } },
            ],
        }))
        .unwrap();
        let text = service(&shown, &[slice], &[], Timestamp::UNIX_EPOCH);
        let expected = "\
Name:                     web
Namespace:                default
Labels:                   <none>
Annotations:              <none>
Selector:                 app=web
Type:                     ClusterIP
IP:                       10.96.0.10
IPs:                      10.96.0.10
Port:                     <unset>  80/TCP
TargetPort:               http/TCP
Endpoints:                10.244.0.1:8080,10.244.0.2:8080
Session Affinity:         None
Internal Traffic Policy:  Cluster
Events:                   <none>
";
        assert_eq!(text, expected);
    }
}
