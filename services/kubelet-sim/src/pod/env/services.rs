//! Variables that describe services: `REDIS_SERVICE_HOST` and the like, and those that Docker's links once made.
//!
//! A container gets those of its namespace (unless `enableServiceLinks` is false) and always those of `default/kubernetes`, by which
//! programs find the apiserver: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{Pod, Service};

const MASTER: (&str, &str) = ("default", "kubernetes");

/// The variables for a pod, of all `services` that there are or at least those that concern it.
pub(super) fn variables(pod: &Pod, services: &[Arc<Service>]) -> BTreeMap<String, String> {
    let links = pod.spec.enable_service_links != Some(false);
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services.iter().filter(|service| !matches!(service.spec.cluster_ip.as_str(), "" | "None")) {
        let meta = &service.metadata;
        if (meta.namespace.as_str(), meta.name.as_str()) == MASTER {
            chosen.entry(&meta.name).or_insert(service);
        } else if meta.namespace == pod.metadata.namespace && links {
            chosen.insert(&meta.name, service);
        }
    }
    let mut variables = BTreeMap::new();
    for service in chosen.values() {
        describe(service, &mut variables);
    }
    variables
}

fn describe(service: &Service, variables: &mut BTreeMap<String, String>) {
    let name = variable(&service.metadata.name);
    let address = &service.spec.cluster_ip;
    let mut set = |key: String, value: String| drop(variables.insert(key, value));
    set(format!("{name}_SERVICE_HOST"), address.clone());
    let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
    for (index, port) in service.spec.ports.iter().enumerate() {
        let (number, protocol) = (port.port, if port.protocol.is_empty() { "TCP" } else { &port.protocol });
        let lower = protocol.to_lowercase();
        let url = format!("{lower}://{host}:{number}");
        if index == 0 {
            set(format!("{name}_SERVICE_PORT"), number.to_string());
            set(format!("{name}_PORT"), url.clone());
        }
        if !port.name.is_empty() {
            set(format!("{name}_SERVICE_PORT_{}", variable(&port.name)), number.to_string());
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        set(format!("{prefix}_PROTO"), lower);
        set(format!("{prefix}_PORT"), number.to_string());
        set(format!("{prefix}_ADDR"), address.clone());
        set(prefix, url);
    }
}

fn variable(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(namespace: &str, name: &str, ip: &str, ports: serde_json::Value) -> Arc<Service> {
        let service = serde_json::json!({
            "metadata": {"namespace": namespace, "name": name}, "spec": {"clusterIP": ip, "ports": ports},
        });
        Arc::new(serde_json::from_value(service).unwrap())
    }

    fn pod(namespace: &str, links: Option<bool>) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = namespace.to_owned();
        pod.spec.enable_service_links = links;
        pod
    }

    /// The example of Kubernetes' documentation, with a second, named port.
    #[test]
    fn a_service_is_described_by_its_address_and_every_port() {
        let ports = serde_json::json!([{"port": 6379, "protocol": "TCP"}, {"name": "peer-sync", "port": 53, "protocol": "UDP"}]);
        let found = variables(&pod("a", None), &[service("a", "redis-primary", "10.0.0.11", ports)]);
        let found: Vec<String> = found.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            found,
            [
                "REDIS_PRIMARY_PORT=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_53_UDP=udp://10.0.0.11:53",
                "REDIS_PRIMARY_PORT_53_UDP_ADDR=10.0.0.11",
                "REDIS_PRIMARY_PORT_53_UDP_PORT=53",
                "REDIS_PRIMARY_PORT_53_UDP_PROTO=udp",
                "REDIS_PRIMARY_PORT_6379_TCP=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.0.0.11",
                "REDIS_PRIMARY_PORT_6379_TCP_PORT=6379",
                "REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp",
                "REDIS_PRIMARY_SERVICE_HOST=10.0.0.11",
                "REDIS_PRIMARY_SERVICE_PORT=6379",
                "REDIS_PRIMARY_SERVICE_PORT_PEER_SYNC=53",
            ]
        );
    }

    #[test]
    fn a_pod_is_told_of_its_own_namespace_and_of_the_apiserver() {
        let port = || serde_json::json!([{"port": 1}]);
        let services = [
            service("default", "kubernetes", "10.0.0.1", port()),
            service("default", "other", "10.0.0.2", port()),
            service("a", "web", "10.0.0.3", port()),
            service("a", "headless", "None", port()),
            service("a", "external", "", port()),
        ];
        let hosts = |pod: &Pod| -> Vec<String> {
            let all = variables(pod, &services);
            all.into_keys().filter(|key| key.ends_with("_SERVICE_HOST")).collect()
        };
        assert_eq!(hosts(&pod("a", Some(true))), ["KUBERNETES_SERVICE_HOST", "WEB_SERVICE_HOST"]);
        assert_eq!(hosts(&pod("a", Some(false))), ["KUBERNETES_SERVICE_HOST"]);
        assert_eq!(hosts(&pod("default", None)), ["KUBERNETES_SERVICE_HOST", "OTHER_SERVICE_HOST"]);
    }
}
