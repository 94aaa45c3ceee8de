//! What a Service's slices need next, without I/O and clock.
//!
//! Slices are changed as little as may be: an endpoint stays where it is, a new one goes where something changes anyway, then into the
//! fullest slice that has room for all that is left, and only then into a new slice.

use super::members::{self, Port, address, families, hostname, is_headless, is_listed, serves};
use api::controller_ref::controller_ref;
use api::core::v1::{ObjectReference, Pod, Service};
use api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use api::pod_conditions::{is_ready, is_terminating};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most endpoints of a slice; Kubernetes' default.
pub const MAX_ENDPOINTS: usize = 100;
/// Label with the Service's name.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label with the writer of a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Us.
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Label of what belongs to a headless Service.
pub const HEADLESS: &str = "service.kubernetes.io/headless";

/// What is known about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeView {
    /// It exists, in this zone if in any.
    Known(Option<String>),
    /// There is no such node: the pod is left over.
    Unknown,
}

/// What a plan is made from.
pub struct Observed<'a> {
    /// The Service; it has a selector.
    pub service: &'a Service,
    /// The pods that it selects, in any order.
    pub pods: &'a [Arc<Pod>],
    /// What is known about a pod's node.
    pub node: &'a dyn Fn(&str) -> NodeView,
    /// The Service's slices that are ours.
    pub slices: &'a [Arc<EndpointSlice>],
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// New slices, not named yet.
    pub create: Vec<EndpointSlice>,
    /// Slices with other endpoints, ports or labels.
    pub update: Vec<EndpointSlice>,
    /// Slices that are not needed.
    pub delete: Vec<Arc<EndpointSlice>>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }
}

/// Decides.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    for family in families(observed.service) {
        plan_family(observed, family, &mut plan);
    }
    let families = families(observed.service);
    let foreign = observed.slices.iter().filter(|slice| !families.contains(&slice.address_type.as_str()));
    plan.delete.extend(foreign.cloned());
    plan
}

/// A slice in a plan.
struct Draft {
    /// As it is; `None`: it is to be created.
    before: Option<Arc<EndpointSlice>>,
    after: EndpointSlice,
}

impl Draft {
    fn is_changed(&self) -> bool {
        self.before.as_deref() != Some(&self.after)
    }

    fn room(&self) -> usize {
        MAX_ENDPOINTS.saturating_sub(self.after.endpoints.len())
    }
}

fn plan_family(observed: &Observed<'_>, family: &str, plan: &mut Plan) {
    let service = observed.service;
    let mut by_ports = desired(observed, family);
    let (mut drafts, mut spare): (Vec<Draft>, Vec<Draft>) = observed
        .slices
        .iter()
        .filter(|slice| slice.address_type == family)
        .map(|slice| Draft { before: Some(Arc::clone(slice)), after: labelled(service, (**slice).clone()) })
        .partition(|draft| by_ports.contains_key(&ports_of(&draft.after)));
    for draft in &mut drafts {
        let wanted = by_ports.get_mut(&ports_of(&draft.after)).expect("drafts are those whose ports are wanted");
        draft.after.endpoints.retain_mut(|endpoint| match wanted.remove(uid(endpoint)) {
            Some(newer) => {
                *endpoint = newer;
                true
            }
            None => false,
        });
    }
    spare.iter_mut().for_each(|draft| draft.after.endpoints.clear());
    for (ports, new) in by_ports {
        let mut new: Vec<Endpoint> = new.into_values().collect();
        new.sort_by(|a, b| pod_name(a).cmp(pod_name(b)));
        fill(&mut drafts, &ports, &mut new);
        while !new.is_empty() {
            let rest = new.split_off(new.len().min(MAX_ENDPOINTS));
            let unused = || Draft { before: None, after: empty(service, family) };
            let mut draft = spare.pop().unwrap_or_else(unused);
            draft.after.ports = ports.iter().map(slice_port).collect();
            draft.after.endpoints = std::mem::replace(&mut new, rest);
            drafts.push(draft);
        }
    }
    drafts.append(&mut spare);
    let (mut kept, mut unused): (Vec<_>, Vec<_>) =
        drafts.into_iter().partition(|draft| !draft.after.endpoints.is_empty());
    if kept.is_empty() {
        // Nothing is behind the Service: one empty slice says so, and that somebody looked.
        kept.push(unused.pop().unwrap_or_else(|| Draft { before: None, after: empty(service, family) }));
    }
    for draft in kept {
        match draft.before {
            None => plan.create.push(draft.after),
            Some(before) if *before != draft.after => plan.update.push(draft.after),
            Some(_) => {}
        }
    }
    plan.delete.extend(unused.into_iter().filter_map(|draft| draft.before));
}

/// Puts new endpoints into slices with their ports: into those that are written anyway, then into one that takes all of the rest.
fn fill(drafts: &mut [Draft], ports: &[Port], new: &mut Vec<Endpoint>) {
    let fits = |draft: &Draft| ports_of(&draft.after) == ports && draft.room() > 0;
    for draft in drafts.iter_mut().filter(|draft| fits(draft) && draft.is_changed()) {
        let taken = draft.room().min(new.len());
        draft.after.endpoints.extend(new.drain(..taken));
    }
    let roomy = drafts.iter_mut().filter(|draft| fits(draft) && draft.room() >= new.len());
    if let Some(fullest) = roomy.min_by_key(|draft| draft.room()) {
        fullest.after.endpoints.append(new);
    }
}

/// The endpoints that there shall be, by ports and by the pod's uid.
fn desired(observed: &Observed<'_>, family: &str) -> BTreeMap<Vec<Port>, BTreeMap<String, Endpoint>> {
    let mut by_ports: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|pod| is_listed(pod)) {
        let Some(address) = address(pod, family) else { continue };
        let zone = match (observed.node)(&pod.spec.node_name) {
            NodeView::Known(zone) => zone,
            NodeView::Unknown if observed.service.spec.publish_not_ready_addresses => None,
            // Its node is gone, and nobody will ever say that it is not ready any more.
            NodeView::Unknown => continue,
        };
        let ports = members::ports(observed.service, pod);
        let endpoint = endpoint(observed.service, pod, address, zone);
        by_ports.entry(ports).or_default().insert(pod.metadata.uid.clone(), endpoint);
    }
    by_ports
}

fn endpoint(service: &Service, pod: &Pod, address: &str, zone: Option<String>) -> Endpoint {
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: EndpointConditions {
            ready: Some(serves(service, pod)),
            serving: Some(is_ready(pod)),
            terminating: Some(is_terminating(pod)),
        },
        hostname: hostname(service, pod),
        target_ref: Some(target_ref(pod)),
        node_name: Some(pod.spec.node_name.clone()).filter(|name| !name.is_empty()),
        zone,
        ..Endpoint::default()
    }
}

/// The reference to a pod.
pub fn target_ref(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn uid(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().map_or("", |pod| pod.uid.as_str())
}

fn pod_name(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().map_or("", |pod| pod.name.as_str())
}

/// A slice without endpoints and ports.
fn empty(service: &Service, family: &str) -> EndpointSlice {
    let mut slice = EndpointSlice { address_type: family.to_owned(), ..EndpointSlice::default() };
    slice.metadata.generate_name = format!("{}-", service.metadata.name);
    slice.metadata.namespace.clone_from(&service.metadata.namespace);
    slice.metadata.owner_references = vec![controller_ref(service)];
    labelled(service, slice)
}

/// The slice with the labels that it shall have: the Service's, and ours.
fn labelled(service: &Service, mut slice: EndpointSlice) -> EndpointSlice {
    let labels = &mut slice.metadata.labels;
    labels.clone_from(&service.metadata.labels);
    labels.remove(HEADLESS);
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    slice
}

fn slice_port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone()),
        protocol: Some(port.protocol.clone()),
        port: Some(port.port),
        app_protocol: port.app_protocol.clone(),
    }
}

fn ports_of(slice: &EndpointSlice) -> Vec<Port> {
    let mut ports: Vec<_> = slice
        .ports
        .iter()
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_default(),
            port: port.port.unwrap_or_default(),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    ports.sort();
    ports
}

#[cfg(test)]
mod tests;
