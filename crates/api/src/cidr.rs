//! Ranges of IPv4 addresses, as nodes have them for their pods: `10.244.3.0/24`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    first: u32,
    bits: u32,
}

impl Cidr {
    /// How many leading bits its addresses have in common.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The range of so many bits that an address is in.
    pub fn of(address: Ipv4Addr, bits: u32) -> Self {
        let bits = bits.min(32);
        Self { first: u32::from(address) & mask(bits), bits }
    }

    /// The first address that a machine can have: the node's own end of the pod network.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }

    /// Its first address.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    /// How many ranges of so many bits fit; none of fewer bits than its own.
    pub fn blocks(self, bits: u32) -> u32 {
        if bits < self.bits || bits > 30 { 0 } else { 1 << (bits - self.bits) }
    }

    /// The range number `index` of so many bits in this one; `None`: there are not so many.
    pub fn block(self, bits: u32, index: u32) -> Option<Self> {
        (index < self.blocks(bits)).then(|| Self { first: self.first + (index << (32 - bits)), bits })
    }

    /// The numbers of the ranges of so many bits in this one that have addresses in common with `other`.
    pub fn blocks_of(self, bits: u32, other: Self) -> std::ops::Range<u32> {
        if !self.overlaps(other) || self.blocks(bits) == 0 {
            return 0..0;
        }
        let number = |address: u32| (address.clamp(self.first, self.last()) - self.first) >> (32 - bits);
        number(other.first)..number(other.last()) + 1
    }

    /// Whether both have addresses in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    fn last(self) -> u32 {
        self.first | !mask(self.bits)
    }
}

/// The leading bits.
fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.bits)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (address, bits) = text.split_once('/')?;
            let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
            Some(Self::of(address.parse().ok()?, bits))
        };
        parse().ok_or_else(|| format!("{text:?} is not an IPv4 range such as 10.244.0.0/16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_and_written() {
        assert_eq!(cidr("10.244.3.77/24").to_string(), "10.244.3.0/24");
        for text in ["", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/4", "fd00::/64", "10.0.0/24"] {
            assert!(text.parse::<Cidr>().unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        for (one, other, expected) in [
            ("10.244.1.0/24", "10.244.1.0/24", true),
            ("10.244.1.0/24", "10.0.0.0/8", true),
            ("10.244.1.128/25", "10.244.1.0/24", true),
            ("10.244.1.0/24", "10.244.2.0/24", false),
            ("172.16.0.0/12", "10.0.0.0/8", false),
        ] {
            let (one, other) = (cidr(one), cidr(other));
            assert_eq!((one.overlaps(other), other.overlaps(one)), (expected, expected), "{one} {other}");
        }
        assert!(cidr("10.0.0.0/8").overlaps(Cidr::of(Ipv4Addr::UNSPECIFIED, 0)), "everything is in the whole");
        assert_eq!(Cidr::of(Ipv4Addr::new(10, 1, 2, 3), 24).gateway(), Ipv4Addr::new(10, 1, 2, 1));
    }

    #[test]
    fn a_range_is_divided_into_smaller_ones() {
        let cluster = cidr("10.240.0.0/12");
        assert_eq!(cluster.blocks(24), 4096);
        assert_eq!(cluster.block(24, 257).unwrap().to_string(), "10.241.1.0/24");
        assert_eq!(cluster.block(24, 4096), None);
        assert_eq!((cluster.blocks(8), cluster.blocks(31)), (0, 0));
    }

    #[test]
    fn a_foreign_range_takes_all_that_it_touches() {
        let cluster = cidr("10.240.0.0/12");
        for (other, expected) in [
            ("10.240.0.0/24", 0..1),
            ("10.240.5.128/25", 5..6),
            ("10.241.0.0/16", 256..512),
            ("10.0.0.0/8", 0..4096),
            ("192.168.0.0/16", 0..0),
        ] {
            assert_eq!(cluster.blocks_of(24, cidr(other)), expected, "{other}");
        }
        assert!(cidr("255.255.255.0/24").overlaps(cidr("255.255.255.252/30")));
    }
}
