//! Ports of a node that pods take.
//!
//! The scheduler asks it to place a pod, and the kubelet to admit one.

use crate::core::v1::{ContainerPort, PodSpec};
use crate::pod_resources::is_sidecar;

/// All addresses of the node.
const ANY: &str = "0.0.0.0";

/// A port of a node, at one of its addresses or at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` is all of them.
    pub address: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number.
    pub port: i32,
}

impl HostPort {
    /// What a container asks for; what it leaves out means all addresses and TCP.
    pub fn of(port: &ContainerPort) -> Self {
        let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        Self { address: or(&port.host_ip, ANY), protocol: or(&port.protocol, "TCP"), port: port.host_port }
    }

    /// Whether both cannot be taken at once.
    pub fn collides_with(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || self.address == ANY || other.address == ANY)
    }
}

/// The ports of its node that a pod takes.
pub fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    // Init containers that do not stay are over before another pod could collide with them.
    let sidecars = spec.init_containers.iter().filter(|container| is_sidecar(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    ports.filter(|port| port.host_port > 0).map(HostPort::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(address: &str, protocol: &str, port: i32) -> HostPort {
        HostPort::of(&ContainerPort {
            host_ip: address.to_owned(),
            protocol: protocol.to_owned(),
            host_port: port,
            ..ContainerPort::default()
        })
    }

    #[test]
    fn all_addresses_collide_with_each() {
        let table = [
            (port("", "", 80), port("", "TCP", 80), true),
            (port("", "", 80), port("10.0.0.1", "TCP", 80), true),
            (port("10.0.0.2", "", 80), port("10.0.0.1", "", 80), false),
            (port("10.0.0.1", "", 80), port("10.0.0.1", "", 80), true),
            (port("", "UDP", 80), port("", "TCP", 80), false),
            (port("", "", 80), port("", "", 81), false),
        ];
        for (a, b, collide) in table {
            assert_eq!((a.collides_with(&b), b.collides_with(&a)), (collide, collide), "{a:?} {b:?}");
        }
    }
}
