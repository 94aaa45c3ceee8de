//! EndpointSlices.

use std::collections::BTreeSet;

use crate::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use crate::field::{ErrorList, FieldError, Path};
use crate::names::{self, NameRule};

use super::{PROTOCOLS, immutable, ip, metadata, named, one_of};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY_LABELS: usize = 16;

/// Checks a new EndpointSlice.
pub fn create(slice: &EndpointSlice) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&slice.metadata, true, NameRule::Subdomain, &mut errors);
    contents(slice, &mut errors);
    errors
}

/// Checks a change of an EndpointSlice.
pub fn update(new: &EndpointSlice, old: &EndpointSlice) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    contents(new, &mut errors);
    immutable(&new.address_type, &old.address_type, &Path::new("addressType"), &mut errors);
    errors
}

fn contents(slice: &EndpointSlice, errors: &mut ErrorList) {
    one_of(&slice.address_type, &["FQDN", "IPv4", "IPv6"], &Path::new("addressType"), errors);
    let path = Path::new("endpoints");
    if slice.endpoints.len() > MAX_ENDPOINTS {
        errors.push(FieldError::too_many(&path, slice.endpoints.len(), MAX_ENDPOINTS));
    } else {
        for (index, one) in slice.endpoints.iter().enumerate() {
            endpoint(one, &slice.address_type, &path.index(index), errors);
        }
    }
    ports(&slice.ports, &Path::new("ports"), errors);
}

fn endpoint(endpoint: &Endpoint, address_type: &str, path: &Path, errors: &mut ErrorList) {
    let addresses = path.child("addresses");
    match endpoint.addresses.len() {
        0 => errors.push(FieldError::required(&addresses, "must contain at least 1 address")),
        count if count > MAX_ADDRESSES => errors.push(FieldError::too_many(&addresses, count, MAX_ADDRESSES)),
        _ => {}
    }
    for (index, text) in endpoint.addresses.iter().enumerate() {
        address(text, address_type, &addresses.index(index), errors);
    }
    if let Some(node) = &endpoint.node_name {
        named(node, names::dns1123_subdomain, &path.child("nodeName"), errors);
    }
    let topology = path.child("deprecatedTopology");
    if endpoint.deprecated_topology.len() > MAX_TOPOLOGY_LABELS {
        errors.push(FieldError::too_many(&topology, endpoint.deprecated_topology.len(), MAX_TOPOLOGY_LABELS));
    }
    metadata::labels(&endpoint.deprecated_topology, &topology, errors);
    if let Some(hostname) = &endpoint.hostname {
        named(hostname, names::dns1123_label, &path.child("hostname"), errors);
    }
}

fn address(text: &str, address_type: &str, path: &Path, errors: &mut ErrorList) {
    let is_right = match address_type {
        "IPv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "IPv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "FQDN" => return fqdn(text, path, errors),
        _ => return,
    };
    if !is_right {
        errors.push(FieldError::invalid(path, text, format!("must be an {address_type} address")));
    }
    if let Some(parsed) = ip::address(text, path, errors) {
        ip::not_special(parsed, text, path, errors);
    }
}

/// A domain name of at least two labels, with or without the final dot.
fn fqdn(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.is_empty() {
        return errors.push(FieldError::required(path, ""));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let faults = names::dns1123_subdomain(name);
    if !faults.is_empty() {
        errors.push(FieldError::invalid(path, name, faults.join(",")));
    } else if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

fn ports(ports: &[EndpointPort], path: &Path, errors: &mut ErrorList) {
    if ports.len() > MAX_PORTS {
        return errors.push(FieldError::too_many(path, ports.len(), MAX_PORTS));
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            named(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        one_of(port.protocol.as_deref().unwrap_or_default(), PROTOCOLS, &path.child("protocol"), errors);
        if let Some(protocol) = &port.app_protocol {
            named(protocol, names::qualified_name, &path.child("appProtocol"), errors);
        }
    }
}
