//! Where each part listens: the default ports, shifted for a second cluster, or whatever is free.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, TcpListener};

/// A port for every listener of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ports {
    pub(crate) etcd_client: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) apiserver: u16,
    pub(crate) scheduler: u16,
    pub(crate) controller_manager: u16,
    pub(crate) otlp_grpc: u16,
    pub(crate) otlp_http: u16,
    pub(crate) query_grpc: u16,
    pub(crate) query_http: u16,
    /// One per kubelet process.
    pub(crate) kubelets: Vec<u16>,
}

/// Where free ports are looked for, and how often.
const FREE: std::ops::Range<u16> = 10_000..30_000;
const ATTEMPTS: usize = 2_000;

/// How ports are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortChoice {
    /// The default of each component, plus this.
    Offset(u16),
    /// Whatever is free.
    Free,
}

impl std::str::FromStr for PortChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "free" => Ok(PortChoice::Free),
            _ => text
                .parse()
                .map(PortChoice::Offset)
                .map_err(|_| "expected a number to add to the default ports, or \"free\"".to_owned()),
        }
    }
}

impl Ports {
    /// Chooses ports and checks that they are free.
    pub(crate) fn choose(choice: PortChoice, kubelets: usize) -> Result<Ports> {
        match choice {
            PortChoice::Offset(offset) => {
                let ports = Ports::with_offset(offset, kubelets)?;
                ports.check()?;
                Ok(ports)
            }
            PortChoice::Free => Ports::free(kubelets),
        }
    }

    fn with_offset(offset: u16, kubelets: usize) -> Result<Ports> {
        let port = |default: u16| match default.checked_add(offset) {
            Some(port) => Ok(port),
            None => bail!("--ports {offset} is too much: {default} + {offset} is no port"),
        };
        let mut of_kubelets = Vec::new();
        // The ports of the scheduler and the controller-manager lie a little above the kubelet's.
        let mut next = 10250;
        while of_kubelets.len() < kubelets {
            if !matches!(next, 10256 | 10257 | 10259) {
                of_kubelets.push(port(next)?);
            }
            next += 1;
        }
        Ok(Ports {
            etcd_client: port(2379)?,
            etcd_peer: port(2380)?,
            apiserver: port(6443)?,
            scheduler: port(10259)?,
            controller_manager: port(10257)?,
            otlp_grpc: port(4317)?,
            otlp_http: port(4318)?,
            query_grpc: port(16685)?,
            query_http: port(16686)?,
            kubelets: of_kubelets,
        })
    }

    fn free(kubelets: usize) -> Result<Ports> {
        // Below the range from which the kernel takes ports for outgoing connections: those come and go at any time.
        let mut held = Vec::new();
        for _ in 0..ATTEMPTS {
            let port = rand::random_range(FREE);
            held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
            if held.len() == 9 + kubelets {
                break;
            }
        }
        if held.len() < 9 + kubelets {
            bail!("no {} free ports were found between {} and {}", 9 + kubelets, FREE.start, FREE.end);
        }
        // All were held at once, so no two are the same.
        let ports = held.iter().map(|l| Ok(l.local_addr()?.port())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(Ports {
            etcd_client: ports[0],
            etcd_peer: ports[1],
            apiserver: ports[2],
            scheduler: ports[3],
            controller_manager: ports[4],
            otlp_grpc: ports[5],
            otlp_http: ports[6],
            query_grpc: ports[7],
            query_http: ports[8],
            kubelets: ports[9..].to_vec(),
        })
    }

    fn check(&self) -> Result<()> {
        let named = [
            ("etcd", self.etcd_client),
            ("etcd's peers", self.etcd_peer),
            ("the apiserver", self.apiserver),
            ("the scheduler", self.scheduler),
            ("the controller-manager", self.controller_manager),
            ("the console (OTLP over gRPC)", self.otlp_grpc),
            ("the console (OTLP over HTTP)", self.otlp_http),
            ("the console (queries over gRPC)", self.query_grpc),
            ("the console (queries over HTTP)", self.query_http),
        ];
        let all = named.into_iter().chain(self.kubelets.iter().map(|port| ("a kubelet", *port)));
        for (who, port) in all {
            if let Err(e) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                bail!(
                    "port {port}, which {who} needs, cannot be used ({e}); stop what uses it (`ss -ltnp 'sport = :{port}'` tells), \
                     or shift all ports: tpctl up --ports 1000"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_parts_share_a_port() {
        for ports in [Ports::with_offset(0, 12).unwrap(), Ports::free(3).unwrap()] {
            let text = serde_json::to_value(&ports).unwrap();
            let mut all: Vec<u64> = text
                .as_object()
                .unwrap()
                .values()
                .flat_map(|v| match v.as_array() {
                    Some(list) => list.iter().filter_map(serde_json::Value::as_u64).collect(),
                    None => v.as_u64().into_iter().collect::<Vec<_>>(),
                })
                .collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{ports:?}");
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut ports = Ports::free(1).unwrap();
        ports.apiserver = taken.local_addr().unwrap().port();
        let message = ports.check().unwrap_err().to_string();
        assert!(message.contains(&format!("port {}, which the apiserver needs", ports.apiserver)), "{message}");
    }
}
