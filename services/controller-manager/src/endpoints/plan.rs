//! A Service's Endpoints object, without I/O and clock.

use crate::endpointslice::members::{self, Port, address, families, hostname, is_headless, is_listed};
use crate::endpointslice::plan::{HEADLESS, target_ref};
use api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use api::pod_conditions::{is_ready, is_terminating};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Label with the writer of an object.
pub const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// Us.
pub const MANAGER: &str = "endpoint-controller";
/// The most addresses of an object, and the annotation of one that would have more.
const MAX_ADDRESSES: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// The object that there shall be, made from the one that there is; `None` if that is it.
pub fn plan(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Option<Endpoints> {
    let mut wanted = current.cloned().unwrap_or_default();
    wanted.metadata.name.clone_from(&service.metadata.name);
    wanted.metadata.namespace.clone_from(&service.metadata.namespace);
    wanted.metadata.labels = labels(service);
    let (subsets, is_truncated) = subsets(service, pods);
    wanted.subsets = subsets;
    if is_truncated {
        wanted.metadata.annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        wanted.metadata.annotations.remove(OVER_CAPACITY);
    }
    (current != Some(&wanted)).then_some(wanted)
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.remove(HEADLESS);
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

/// Pods by the ports that they offer; and whether there were too many.
fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let everyone = service.spec.publish_not_ready_addresses;
    let family = families(service).first().copied().unwrap_or(members::IPV4);
    let mut found: Vec<(bool, &Pod, &str)> = pods
        .iter()
        .filter(|pod| is_listed(pod) && (everyone || !is_terminating(pod)))
        .filter_map(|pod| Some((everyone || is_ready(pod), &**pod, address(pod, family)?)))
        .collect();
    // The ready ones first, so that they are what is left if there are too many.
    found.sort_by(|(a_ready, _, a), (b_ready, _, b)| b_ready.cmp(a_ready).then_with(|| a.cmp(b)));
    let is_truncated = found.len() > MAX_ADDRESSES;
    found.truncate(MAX_ADDRESSES);
    let mut by_ports: BTreeMap<Vec<Port>, EndpointSubset> = BTreeMap::new();
    for (is_ready, pod, address) in found {
        let ports = members::ports(service, pod);
        if ports.is_empty() && !service.spec.ports.is_empty() {
            continue;
        }
        let subset = by_ports.entry(ports).or_default();
        let addresses = if is_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        addresses.push(EndpointAddress {
            ip: address.to_owned(),
            hostname: hostname(service, pod).unwrap_or_default(),
            node_name: Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty()),
            target_ref: Some(target_ref(pod)),
        });
    }
    let with_ports = by_ports
        .into_iter()
        .map(|(ports, subset)| EndpointSubset { ports: ports.into_iter().map(endpoint_port).collect(), ..subset });
    (with_ports.collect(), is_truncated)
}

fn endpoint_port(port: Port) -> EndpointPort {
    EndpointPort { name: port.name, port: port.port, protocol: port.protocol, app_protocol: port.app_protocol }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{PodCondition, ServicePort};

    fn service() -> Service {
        let mut service = Service::default();
        service.metadata.name = "web".to_owned();
        service.metadata.namespace = "default".to_owned();
        service.spec.selector.insert("app".to_owned(), "web".to_owned());
        service.spec.cluster_ip = "10.96.0.10".to_owned();
        service.spec.ports = vec![ServicePort { port: 80, ..Default::default() }];
        service
    }

    fn pod(name: &str, ip: &str, ready: bool) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.status.phase = "Running".to_owned();
        pod.status.pod_ip = ip.to_owned();
        pod.status.conditions = vec![PodCondition {
            r#type: "Ready".to_owned(),
            status: if ready { "True" } else { "False" }.to_owned(),
            ..Default::default()
        }];
        Arc::new(pod)
    }

    fn ips(addresses: &[EndpointAddress]) -> Vec<&str> {
        addresses.iter().map(|address| address.ip.as_str()).collect()
    }

    #[test]
    fn v1_d5_addresses_are_ready_or_not_and_a_terminating_pod_has_none() {
        let mut going = (*pod("d", "10.0.0.4", true)).clone();
        going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        let pods =
            [pod("b", "10.0.0.2", true), pod("a", "10.0.0.1", true), pod("c", "10.0.0.3", false), Arc::new(going)];
        let endpoints = plan(&service(), &pods, None).unwrap();
        let [subset] = endpoints.subsets.as_slice() else { panic!("{endpoints:#?}") };
        assert_eq!(ips(&subset.addresses), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(ips(&subset.not_ready_addresses), ["10.0.0.3"]);
        assert_eq!(subset.ports[0].port, 80);
        assert_eq!(plan(&service(), &pods, Some(&endpoints)), None, "a second look changes nothing");

        let mut everyone = service();
        everyone.spec.publish_not_ready_addresses = true;
        let endpoints = plan(&everyone, &pods, None).unwrap();
        assert_eq!(endpoints.subsets[0].addresses.len(), 4);
    }

    #[test]
    fn v1_a_service_without_pods_has_an_empty_object() {
        let endpoints = plan(&service(), &[], None).unwrap();
        assert_eq!((endpoints.metadata.name.as_str(), endpoints.subsets.len()), ("web", 0));
        assert_eq!(endpoints.metadata.labels[MANAGED_BY], MANAGER);
    }

    #[test]
    fn v1_more_than_a_thousand_addresses_are_cut_with_a_note_the_ready_ones_last() {
        let pods: Vec<_> = (0..1200).map(|n| pod("p", &format!("10.0.{}.{}", n / 250, n % 250), n % 2 == 0)).collect();
        let endpoints = plan(&service(), &pods, None).unwrap();
        assert_eq!(endpoints.subsets[0].addresses.len(), 600);
        assert_eq!(endpoints.subsets[0].not_ready_addresses.len(), 400);
        assert_eq!(endpoints.metadata.annotations[OVER_CAPACITY], "truncated");
        let endpoints = plan(&service(), &pods[..10], Some(&endpoints)).unwrap();
        assert!(endpoints.metadata.annotations.is_empty());
    }
}
