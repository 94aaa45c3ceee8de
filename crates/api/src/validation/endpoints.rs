//! Endpoints.

use crate::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use crate::field::{ErrorList, FieldError, Path};
use crate::names::{self, NameRule};

use super::{PROTOCOLS, ip, metadata, named, one_of};

/// Checks new Endpoints.
pub fn create(endpoints: &Endpoints) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&endpoints.metadata, true, NameRule::Subdomain, &mut errors);
    subsets(endpoints, &Path::new("subsets"), &mut errors);
    errors
}

/// Checks a change of Endpoints.
pub fn update(new: &Endpoints, old: &Endpoints) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    subsets(new, &Path::new("subsets"), &mut errors);
    errors
}

fn subsets(endpoints: &Endpoints, path: &Path, errors: &mut ErrorList) {
    for (index, subset) in endpoints.subsets.iter().enumerate() {
        let path = path.index(index);
        if subset.addresses.is_empty() && subset.not_ready_addresses.is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        let lists = [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)];
        for (field, addresses) in lists {
            for (index, one) in addresses.iter().enumerate() {
                address(one, &path.child(field).index(index), errors);
            }
        }
        for (index, one) in subset.ports.iter().enumerate() {
            port(one, subset.ports.len() > 1, &path.child("ports").index(index), errors);
        }
    }
}

fn address(address: &EndpointAddress, path: &Path, errors: &mut ErrorList) {
    let ip_path = path.child("ip");
    let parsed = ip::address(&address.ip, &ip_path, errors);
    if !address.hostname.is_empty() {
        named(&address.hostname, names::dns1123_label, &path.child("hostname"), errors);
    }
    if let Some(node) = &address.node_name {
        named(node, names::dns1123_subdomain, &path.child("nodeName"), errors);
    }
    if let Some(parsed) = parsed {
        ip::not_special(parsed, &address.ip, &ip_path, errors);
    }
}

fn port(port: &EndpointPort, needs_name: bool, path: &Path, errors: &mut ErrorList) {
    let name = path.child("name");
    match port.name.as_str() {
        "" if needs_name => errors.push(FieldError::required(&name, "")),
        "" => {}
        text => named(text, names::dns1123_label, &name, errors),
    }
    errors.push_invalid(&path.child("port"), port.port, names::port_number(port.port));
    one_of(&port.protocol, PROTOCOLS, &path.child("protocol"), errors);
    if let Some(protocol) = &port.app_protocol {
        named(protocol, names::qualified_name, &path.child("appProtocol"), errors);
    }
}
