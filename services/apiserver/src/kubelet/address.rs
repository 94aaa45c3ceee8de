//! Where a kubelet is reached: the address and port that its node's object names.

use api::core::v1::{Node, NodeAddress};
use service_kit::tls::PeerIdentity;

use crate::auth::{NODE_PREFIX, NODE_SIMULATORS, NODES};

/// The kubelet's port where a node names none.
const PORT: u16 = 10_250;

/// A kubelet's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The first address of the most preferred type that the node has, and its kubelet's port.
pub(super) fn of(node: &Node, preferred: &[String]) -> api::Result<Address> {
    let known = &node.status.addresses;
    let found = preferred.iter().find_map(|kind| known.iter().find(|address| address.r#type == *kind));
    let Some(NodeAddress { address, .. }) = found else {
        let known: Vec<_> = known.iter().map(|known| format!("{}:{}", known.r#type, known.address)).collect();
        let message = format!("no preferred addresses found; known addresses: [{}]", known.join(" "));
        return Err(api::Error::new(api::Reason::Unknown, message));
    };
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    Ok(Address { host: address.clone(), port: u16::try_from(port).ok().filter(|port| *port > 0).unwrap_or(PORT) })
}

/// Whether a server with this certificate is the kubelet of the node, or one that hosts many nodes.
pub(super) fn is_kubelet_of(node: &str, peer: &PeerIdentity) -> bool {
    let is_member = |group: &str| peer.organizations.iter().any(|mine| mine == group);
    let is_node = peer.common_name.strip_prefix(NODE_PREFIX) == Some(node) && is_member(NODES);
    is_node || is_member(NODE_SIMULATORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addresses: &[(&str, &str)], port: i32) -> Node {
        let mut node = Node::default();
        node.status.addresses = addresses
            .iter()
            .map(|(kind, address)| NodeAddress { r#type: (*kind).to_owned(), address: (*address).to_owned() })
            .collect();
        node.status.daemon_endpoints.kubelet_endpoint.port = port;
        node
    }

    #[test]
    fn the_most_preferred_address_is_taken() {
        let preferred = ["InternalIP".to_owned(), "Hostname".to_owned()];
        let find = |addresses: &[(&str, &str)], port| {
            of(&node(addresses, port), &preferred).map(|Address { host, port }| format!("{host} {port}"))
        };
        assert_eq!(find(&[("Hostname", "a"), ("InternalIP", "10.0.0.1")], 10_251).unwrap(), "10.0.0.1 10251");
        assert_eq!(find(&[("Hostname", "a"), ("ExternalIP", "1.2.3.4")], 0).unwrap(), "a 10250");
        let error = find(&[("ExternalIP", "1.2.3.4")], 1).unwrap_err();
        assert_eq!(error.message, "no preferred addresses found; known addresses: [ExternalIP:1.2.3.4]");
    }

    #[test]
    fn a_kubelet_answers_for_its_own_node_and_a_simulator_for_all() {
        let peer = |name: &str, group: &str| PeerIdentity {
            common_name: name.to_owned(),
            organizations: vec![group.to_owned()],
        };
        for (name, group, expected) in [
            ("system:node:a", "system:nodes", true),
            ("system:node:b", "system:nodes", false),
            ("system:node:a", "dev", false),
            ("system:node-simulator", "system:node-simulators", true),
            ("kube-apiserver", "", false),
        ] {
            assert_eq!(is_kubelet_of("a", &peer(name, group)), expected, "{name} {group}");
        }
    }
}
