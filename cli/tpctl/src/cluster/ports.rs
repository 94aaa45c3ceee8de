//! Where each part listens: the default ports, shifted for a second cluster, or whatever is free.
//!
//! Ports are chosen once, and each part listens on its own much later, and again after every restart. So a free port is one that nobody
//! listens on, that no other cluster has ([`neighbours`](super::neighbours)), that no cluster has by default, and that the kernel does not give to outgoing
//! connections, which come and go at any time.

use anyhow::{Result, bail};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

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

/// Where free ports are looked for: above those that programs have by convention, below those of outgoing connections by default.
const FREE: RangeInclusive<u16> = 10_000..=29_999;
/// What the kernel gives to outgoing connections.
const OUTGOING: &str = "/proc/sys/net/ipv4/ip_local_port_range";

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
    /// Chooses ports and checks that they are free. Those in `taken` are, even if nobody listens on them just now.
    pub(crate) fn choose(choice: PortChoice, kubelets: usize, taken: &BTreeSet<u16>) -> Result<Ports> {
        match choice {
            PortChoice::Offset(offset) => {
                let ports = Ports::with_offset(offset, kubelets)?;
                ports.check()?;
                Ok(ports)
            }
            PortChoice::Free => {
                let outgoing = outgoing(&std::fs::read_to_string(OUTGOING).unwrap_or_default());
                let defaults = Ports::with_offset(0, kubelets)?.all().collect();
                Ports::free(kubelets, &(taken | &defaults), outgoing)
            }
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = u16> {
        self.named().map(|(_, port)| port)
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

    fn free(kubelets: usize, taken: &BTreeSet<u16>, outgoing: Option<RangeInclusive<u16>>) -> Result<Ports> {
        let is_outgoing = |port: &u16| outgoing.as_ref().is_some_and(|range| range.contains(port));
        let (mut last, mut first): (Vec<u16>, Vec<u16>) =
            FREE.filter(|port| !taken.contains(port)).partition(is_outgoing);
        first.shuffle(&mut rand::rng());
        last.shuffle(&mut rand::rng());
        let count = 9 + kubelets;
        // A kernel that gives all of them to connections leaves no better choice.
        let candidates = first.into_iter().chain(last);
        let held: Vec<TcpListener> =
            candidates.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).take(count).collect();
        if held.len() < count {
            bail!("there are no {count} free ports between {} and {}", FREE.start(), FREE.end());
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

    fn named(&self) -> impl Iterator<Item = (&'static str, u16)> {
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
        named.into_iter().chain(self.kubelets.iter().map(|port| ("a kubelet", *port)))
    }

    fn check(&self) -> Result<()> {
        for (who, port) in self.named() {
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

/// The first and the last port that the kernel takes for outgoing connections, as it says it.
fn outgoing(text: &str) -> Option<RangeInclusive<u16>> {
    let mut bounds = text.split_whitespace().map(str::parse);
    Some(bounds.next()?.ok()?..=bounds.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(taken: &[u16], outgoing: Option<RangeInclusive<u16>>) -> Ports {
        Ports::free(3, &taken.iter().copied().collect(), outgoing).unwrap()
    }

    #[test]
    fn no_two_parts_share_a_port() {
        for ports in [Ports::with_offset(0, 12).unwrap(), free(&[], None)] {
            let all: Vec<u16> = ports.all().collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{ports:?}");
        }
    }

    #[test]
    fn free_ports_are_neither_anothers_nor_those_of_connections() {
        let taken: Vec<u16> = (10_000..20_000).collect();
        let ports = free(&taken, Some(20_100..=60_999));
        assert!(ports.all().all(|port| (20_000..20_100).contains(&port)), "{ports:?}");
        // There is no other choice than theirs.
        let ports = free(&taken, Some(1_024..=65_535));
        assert!(ports.all().all(|port| (20_000..30_000).contains(&port)), "{ports:?}");
        let all = FREE.collect();
        let message = Ports::free(3, &all, None).unwrap_err().to_string();
        assert_eq!(message, "there are no 12 free ports between 10000 and 29999");
    }

    #[test]
    fn the_kernels_range_is_read() {
        assert_eq!(outgoing("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(outgoing(""), None);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut ports = free(&[], None);
        ports.apiserver = taken.local_addr().unwrap().port();
        let message = ports.check().unwrap_err().to_string();
        assert!(message.contains(&format!("port {}, which the apiserver needs", ports.apiserver)), "{message}");
    }
}
