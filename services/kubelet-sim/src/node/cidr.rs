//! Pod address ranges of nodes.
//!
//! Nobody hands out ranges in this cluster yet, so a node finds its own: what its object says already, or else what follows from its name. A
//! name that ends in a number below 256 (`worker-7`) gives 10.244.7.0/24; any other name is hashed into the cluster's range, where two nodes
//! meet with a small chance. A process with many nodes may list nodes, and avoids what is taken.

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of IPv4 addresses, `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    first: u32,
    bits: u32,
}

/// Where numbered nodes have their ranges.
const NUMBERED: Cidr = Cidr { first: 10 << 24 | 244 << 16, bits: 16 };
/// The usual size of a node's range: 254 addresses.
const NODE_BITS: u32 = 24;

impl Cidr {
    /// How many ranges of `bits` fit.
    fn blocks(self, bits: u32) -> u32 {
        1 << bits.saturating_sub(self.bits).min(31)
    }

    /// The range number `index` of size `bits` in this one.
    fn block(self, bits: u32, index: u32) -> Self {
        Self { first: self.first + (index % self.blocks(bits)) * (1 << (32 - bits)), bits }
    }
}

/// The range of a single node, from its name and the number of pods it can have.
pub fn of_name(name: &str, cluster: Cidr, pods: i64) -> Cidr {
    let bits = bits_for(pods);
    let number = name.rsplit_once('-').and_then(|(_, number)| number.parse::<u32>().ok()).filter(|n| *n < 256);
    match number {
        Some(number) if bits == NODE_BITS => NUMBERED.block(bits, number),
        _ => cluster.block(bits, hash(name)),
    }
}

/// Ranges for many nodes, none of which is in `taken`. `None`: there are not enough.
pub fn of_many(prefix: &str, count: usize, cluster: Cidr, pods: i64, taken: &HashSet<Cidr>) -> Option<Vec<Cidr>> {
    let bits = bits_for(pods);
    let blocks = cluster.blocks(bits);
    // Processes that start at the same moment begin in different places.
    let start = hash(prefix) % blocks;
    let free =
        (0..blocks).map(|step| cluster.block(bits, start.wrapping_add(step))).filter(|range| !taken.contains(range));
    let ranges: Vec<Cidr> = free.take(count).collect();
    (ranges.len() == count).then_some(ranges)
}

/// The smallest range with room for so many pods, but not smaller than usual. Some addresses are not for pods, and one that was given
/// back should rest before it is used again.
fn bits_for(pods: i64) -> u32 {
    let wanted = u32::try_from(pods.max(0)).unwrap_or(u32::MAX).saturating_add(3);
    let bits = 32 - (u32::BITS - wanted.saturating_sub(1).leading_zeros());
    bits.min(NODE_BITS)
}

/// FNV-1a: the same everywhere and for ever.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an IPv4 range such as 10.244.0.0/24");
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits)).ok_or_else(wrong)?;
        Ok(Self { first: u32::from(address) & !((1 << (32 - bits)) - 1), bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "10.248.0.0/13";

    fn cluster() -> Cidr {
        CLUSTER.parse().unwrap()
    }

    #[test]
    fn a_number_in_the_name_gives_the_range() {
        for (name, pods, expected) in [("node-1", 110, "10.244.1.0/24"), ("worker-pool-255", 110, "10.244.255.0/24")] {
            assert_eq!(of_name(name, cluster(), pods).to_string(), expected, "{name}");
        }
        for (name, pods) in [("node-256", 110), ("node1", 110), ("laptop", 110), ("node-1", 1_000)] {
            let range = of_name(name, cluster(), pods);
            assert!((248..256).contains(&(range.first >> 16 & 0xff)), "{name}: {range}");
            assert_eq!(range.bits, if pods > 253 { 22 } else { 24 });
        }
    }

    #[test]
    fn many_nodes_share_the_cluster_without_meeting() {
        let taken: HashSet<Cidr> = of_many("a", 1_000, cluster(), 110, &HashSet::new()).unwrap().into_iter().collect();
        assert_eq!(taken.len(), 1_000);
        let more = of_many("a", 1_000, cluster(), 110, &taken).unwrap();
        assert!(more.iter().all(|range| !taken.contains(range)));
        assert_eq!(of_many("a", 2_000, cluster(), 110, &taken), None);
    }

    #[test]
    fn ranges_are_read_and_written() {
        assert_eq!("10.244.3.77/24".parse::<Cidr>().unwrap().to_string(), "10.244.3.0/24");
        for text in ["10.0.0.0", "10.0.0.0/31", "10.0.0.0/4", "fd00::/64"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
