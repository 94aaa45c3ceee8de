//! Services.

use super::{Column, Columns, NONE, age_of, column, labels, or_none, wide};
use api::core::v1::{Service, ServicePort};
use jiff::Timestamp;

impl Columns for Service {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("TYPE"),
        column("CLUSTER-IP"),
        column("EXTERNAL-IP"),
        column("PORT(S)"),
        column("AGE"),
        wide("SELECTOR"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let cluster_ip = self.spec.cluster_ips.first().unwrap_or(&self.spec.cluster_ip);
        vec![
            self.metadata.name.clone(),
            self.spec.r#type.clone(),
            or_none(cluster_ip),
            external_ip(self),
            ports(&self.spec.ports),
            age_of(self, now),
            labels(&self.spec.selector),
        ]
    }
}

/// Where the service is reached from outside.
fn external_ip(service: &Service) -> String {
    let own = &service.spec.external_ips;
    match service.spec.r#type.as_str() {
        "ExternalName" => service.spec.external_name.clone(),
        "LoadBalancer" => {
            let ingress = service.status.load_balancer.ingress.iter();
            let mut all: Vec<&str> =
                ingress.map(|i| if i.ip.is_empty() { i.hostname.as_str() } else { i.ip.as_str() }).collect();
            all.extend(own.iter().map(String::as_str));
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => or_none(&own.join(",")),
    }
}

/// `80/TCP,443:30443/TCP`.
fn ports(ports: &[ServicePort]) -> String {
    if ports.is_empty() {
        return NONE.to_owned();
    }
    let port = |port: &ServicePort| match port.node_port {
        0 => format!("{}/{}", port.port, port.protocol),
        node_port => format!("{}:{node_port}/{}", port.port, port.protocol),
    };
    ports.iter().map(port).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_shows_where_it_is_reached() {
        let table = [
            (
                json!({ "type": "ClusterIP", "clusterIP": "10.96.0.10", "ports": [{ "port": 80, "protocol": "TCP" }] }),
                "10.96.0.10 <none> 80/TCP",
            ),
            (json!({ "type": "ClusterIP", "clusterIPs": ["None"] }), "None <none> <none>"),
            (
                json!({ "type": "NodePort", "clusterIP": "10.96.0.11", "ports": [
                    { "port": 80, "nodePort": 30080, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }] }),
                "10.96.0.11 <none> 80:30080/TCP,53/UDP",
            ),
            (json!({ "type": "LoadBalancer", "clusterIP": "10.96.0.12" }), "10.96.0.12 <pending> <none>"),
            (json!({ "type": "ExternalName", "externalName": "db.example.com" }), "<none> db.example.com <none>"),
        ];
        for (spec, expected) in table {
            let service: Service = serde_json::from_value(json!({ "spec": spec })).unwrap();
            assert_eq!(service.cells(Timestamp::UNIX_EPOCH)[2..5].join(" "), expected, "{spec}");
        }
    }
}
