use super::*;
use api::core::v1::{Container, ContainerPort, PodCondition, PodIp, ServicePort};
use std::collections::BTreeSet;

fn service() -> Service {
    let mut service = Service::default();
    service.metadata.name = "web".to_owned();
    service.metadata.namespace = "default".to_owned();
    service.metadata.uid = "uid-svc".to_owned();
    service.metadata.labels.insert("team".to_owned(), "a".to_owned());
    service.spec.selector.insert("app".to_owned(), "web".to_owned());
    service.spec.cluster_ip = "10.96.0.10".to_owned();
    service.spec.ip_families = vec!["IPv4".to_owned()];
    service.spec.ports =
        vec![ServicePort { name: "http".to_owned(), port: 80, target_port: 8080.into(), ..Default::default() }];
    service
}

/// A pod on node n1 with the address 10.0.0.`number`.
fn pod(number: usize, ready: bool) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = format!("web-{number:03}");
    pod.metadata.namespace = "default".to_owned();
    pod.metadata.uid = format!("uid-{number}");
    pod.spec.node_name = "n1".to_owned();
    pod.status.phase = "Running".to_owned();
    pod.status.pod_ip = format!("10.0.0.{number}");
    pod.status.pod_ips = vec![PodIp { ip: pod.status.pod_ip.clone() }];
    pod.status.conditions.push(PodCondition {
        r#type: "Ready".to_owned(),
        status: if ready { "True" } else { "False" }.to_owned(),
        ..Default::default()
    });
    pod
}

/// A Service and its slices, which follow every plan.
struct World {
    service: Service,
    pods: Vec<Arc<Pod>>,
    slices: Vec<Arc<EndpointSlice>>,
}

impl World {
    fn new(pods: impl IntoIterator<Item = Pod>) -> World {
        World { service: service(), pods: pods.into_iter().map(Arc::new).collect(), slices: Vec::new() }
    }

    fn plan(&self) -> Plan {
        let node = |name: &str| match name {
            "n1" => NodeView::Known(Some("zone-a".to_owned())),
            _ => NodeView::Unknown,
        };
        plan(&Observed { service: &self.service, pods: &self.pods, node: &node, slices: &self.slices })
    }

    fn sync(&mut self) -> Plan {
        let plan = self.plan();
        for gone in &plan.delete {
            self.slices.retain(|slice| slice.metadata.name != gone.metadata.name);
        }
        for changed in &plan.update {
            let slice = self.slices.iter_mut().find(|slice| slice.metadata.name == changed.metadata.name).unwrap();
            *slice = Arc::new(changed.clone());
        }
        for created in &plan.create {
            let mut created = created.clone();
            created.metadata.name = format!("web-{}", self.slices.len());
            self.slices.push(Arc::new(created));
        }
        assert!(self.plan().is_empty(), "a second look changes nothing");
        plan
    }

    /// Names of listed pods, with `+` if ready, `~` if serving, `x` if terminating.
    fn listed(&self) -> BTreeSet<String> {
        let endpoints = self.slices.iter().flat_map(|slice| &slice.endpoints);
        endpoints
            .map(|endpoint| {
                let conditions = &endpoint.conditions;
                let mark = |on: Option<bool>, sign| if on == Some(true) { sign } else { "" };
                let (ready, serving) = (mark(conditions.ready, "+"), mark(conditions.serving, "~"));
                format!("{}{ready}{serving}{}", pod_name(endpoint), mark(conditions.terminating, "x"))
            })
            .collect()
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn v1_a_slice_lists_pods_with_address_and_readiness() {
    let mut pending = pod(3, false);
    pending.status.pod_ip.clear();
    pending.status.pod_ips.clear();
    let mut done = pod(4, false);
    done.status.phase = "Succeeded".to_owned();
    let mut world = World::new([pod(1, true), pod(2, false), pending, done]);
    world.sync();
    assert_eq!(world.listed(), set(&["web-001+~", "web-002"]));
    let slice = &world.slices[0];
    assert_eq!(slice.metadata.generate_name, "web-");
    assert_eq!(slice.address_type, "IPv4");
    let labels: Vec<_> = slice.metadata.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(
        labels,
        [
            "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io",
            "kubernetes.io/service-name=web",
            "team=a"
        ]
    );
    assert_eq!((slice.ports[0].name.as_deref(), slice.ports[0].port), (Some("http"), Some(8080)));
    assert_eq!(slice.ports[0].protocol.as_deref(), Some("TCP"));
    let endpoint = &slice.endpoints[0];
    assert_eq!(endpoint.addresses, ["10.0.0.1"]);
    assert_eq!((endpoint.node_name.as_deref(), endpoint.zone.as_deref()), (Some("n1"), Some("zone-a")));
    assert_eq!(endpoint.target_ref.as_ref().unwrap().uid, "uid-1");
    assert_eq!(slice.metadata.owner_references[0].uid, "uid-svc");
}

#[test]
fn d5_a_terminating_pod_is_not_ready_at_once_and_listed_until_it_is_gone() {
    let mut world = World::new([pod(1, true), pod(2, true)]);
    world.sync();
    let mut going = pod(2, true);
    going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
    world.pods[1] = Arc::new(going);
    let plan = world.sync();
    assert_eq!(world.listed(), set(&["web-001+~", "web-002~x"]));
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    world.pods.pop();
    world.sync();
    assert_eq!(world.listed(), set(&["web-001+~"]));
}

#[test]
fn v1_publish_not_ready_addresses_makes_every_listed_pod_ready() {
    let mut going = pod(2, true);
    going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
    let mut world = World::new([pod(1, false), going]);
    world.service.spec.publish_not_ready_addresses = true;
    world.sync();
    assert_eq!(world.listed(), set(&["web-001+", "web-002+~x"]));
}

#[test]
fn v1_a_headless_service_lists_hostnames_and_needs_no_ports() {
    let mut named = pod(1, true);
    named.spec.hostname = "a".to_owned();
    named.spec.subdomain = "web".to_owned();
    let mut world = World::new([named, pod(2, true)]);
    world.service.spec.cluster_ip = "None".to_owned();
    world.service.spec.ports.clear();
    world.sync();
    let slice = &world.slices[0];
    assert_eq!(slice.metadata.labels["service.kubernetes.io/headless"], "");
    let hostnames: Vec<_> = slice.endpoints.iter().map(|endpoint| endpoint.hostname.as_deref()).collect();
    assert_eq!((hostnames.as_slice(), slice.ports.len()), ([Some("a"), None].as_slice(), 0));
}

#[test]
fn v1_pods_with_another_number_for_a_named_port_get_a_slice_of_their_own() {
    let with_port = |number, port| {
        let mut pod = pod(number, true);
        let port = ContainerPort { name: "web".to_owned(), container_port: port, ..Default::default() };
        pod.spec.containers = vec![Container { ports: vec![port], ..Default::default() }];
        pod
    };
    let mut world = World::new([with_port(1, 8080), with_port(2, 9090), with_port(3, 8080), pod(4, true)]);
    world.service.spec.ports[0].target_port = "web".into();
    world.sync();
    let mut slices: Vec<_> =
        world.slices.iter().map(|s| (s.ports.first().and_then(|p| p.port), s.endpoints.len())).collect();
    slices.sort();
    assert_eq!(slices, [(None, 1), (Some(8080), 2), (Some(9090), 1)], "a pod without that port is listed without");
}

#[test]
fn v1_a_slice_holds_at_most_a_hundred_endpoints() {
    let mut world = World::new((1..=250).map(|number| pod(number, true)));
    world.sync();
    let sizes = |world: &World| world.slices.iter().map(|slice| slice.endpoints.len()).collect::<Vec<_>>();
    assert_eq!(sizes(&world), [100, 100, 50]);
    // One pod goes, two come: only the slice that changes anyway and one with room are written.
    world.pods.remove(0);
    world.pods.extend([Arc::new(pod(251, true)), Arc::new(pod(252, true))]);
    let plan = world.sync();
    assert_eq!((plan.create.len(), plan.update.len()), (0, 2));
    assert_eq!(sizes(&world), [100, 100, 51]);
    world.pods.truncate(10);
    world.sync();
    assert_eq!(sizes(&world), [10], "empty slices go");
}

#[test]
fn v1_a_service_without_pods_has_one_empty_slice() {
    let mut world = World::new([]);
    world.sync();
    assert_eq!((world.slices.len(), world.slices[0].endpoints.len()), (1, 0));
    world.pods.push(Arc::new(pod(1, true)));
    let plan = world.sync();
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0), "it is used, not replaced");
    world.pods.clear();
    world.sync();
    assert_eq!((world.slices.len(), world.slices[0].endpoints.len()), (1, 0));
}

#[test]
fn d14_a_pod_whose_node_is_gone_is_not_listed() {
    let mut left_over = pod(2, true);
    left_over.spec.node_name = "vanished".to_owned();
    let mut world = World::new([pod(1, true), left_over]);
    world.sync();
    assert_eq!(world.listed(), set(&["web-001+~"]));
}

#[test]
fn v1_changes_of_the_service_reach_its_slices() {
    let mut world = World::new([pod(1, true)]);
    world.sync();
    world.service.metadata.labels.clear();
    world.service.spec.ports[0].target_port = 9090.into();
    let plan = world.sync();
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    assert_eq!(world.slices[0].ports[0].port, Some(9090));
    assert!(!world.slices[0].metadata.labels.contains_key("team"));
    world.service.spec.ip_families = vec!["IPv6".to_owned()];
    world.sync();
    assert_eq!(world.slices.len(), 1);
    assert_eq!((world.slices[0].address_type.as_str(), world.slices[0].endpoints.len()), ("IPv6", 0));
}
