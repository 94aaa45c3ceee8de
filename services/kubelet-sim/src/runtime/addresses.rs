//! Pod addresses of one node, handed out in turn from its range.

use std::collections::HashSet;
use std::net::Ipv4Addr;

/// A range such as `10.244.3.0/24`. The first address is the node's own end of the pod network and the last its broadcast, so
/// pods get what lies between. An address that was given back is used again as late as possible, as CNI's host-local plugin does.
#[derive(Clone, Debug, Default)]
pub(in crate::runtime) struct Addresses {
    range: Option<Range>,
    used: HashSet<u32>,
    last: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    last: u32,
}

impl Addresses {
    /// Takes a range, keeping what is in use. The error names the text.
    pub(in crate::runtime) fn set_range(&mut self, cidr: &str) -> Result<(), String> {
        let range = Range::parse(cidr).ok_or_else(|| format!("{cidr:?} is not an IPv4 range such as 10.244.0.0/24"))?;
        if self.range != Some(range) {
            self.range = Some(range);
            self.last = range.first;
        }
        Ok(())
    }

    /// Whether there is a range at all.
    pub(in crate::runtime) fn ready(&self) -> bool {
        self.range.is_some()
    }

    /// The next free address.
    pub(in crate::runtime) fn take(&mut self) -> Result<Ipv4Addr, String> {
        let range = self.range.ok_or("the node has no pod address range yet")?;
        let size = range.last - range.first - 1;
        for step in 1..=size {
            let candidate = range.first + 1 + (self.last - range.first + step - 1) % size;
            if self.used.insert(candidate) {
                self.last = candidate;
                return Ok(Ipv4Addr::from(candidate));
            }
        }
        Err(format!(
            "no addresses available in range set: {}-{}",
            Ipv4Addr::from(range.first + 1),
            Ipv4Addr::from(range.last - 1)
        ))
    }

    /// Marks an address of an earlier life as used.
    pub(in crate::runtime) fn claim(&mut self, address: Ipv4Addr) {
        self.used.insert(address.into());
    }

    /// Gives an address back.
    pub(in crate::runtime) fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }
}

impl Range {
    fn parse(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (1..=30).contains(bits))?;
        let size = 1u32 << (32 - bits);
        let first = u32::from(address) & !(size - 1);
        Some(Self { first, last: first + (size - 1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round_and_come_back_late() {
        let mut addresses = Addresses::default();
        assert!(addresses.take().is_err(), "no range yet");
        addresses.set_range("10.244.3.7/29").unwrap();
        let mut take = || addresses.take().map(|a| a.to_string());
        let first: Vec<_> = (0..3).map(|_| take().unwrap()).collect();
        assert_eq!(first, ["10.244.3.1", "10.244.3.2", "10.244.3.3"]);
        addresses.give_back("10.244.3.1".parse().unwrap());
        addresses.claim("10.244.3.4".parse().unwrap());
        let mut take = || addresses.take().map(|a| a.to_string());
        assert_eq!([take(), take(), take()].map(Result::unwrap), ["10.244.3.5", "10.244.3.6", "10.244.3.1"]);
        assert!(take().unwrap_err().contains("no addresses available"));
    }

    #[test]
    fn a_wrong_range_is_named() {
        for cidr in ["", "10.244.0.0", "10.244.0.0/31", "10.244.0.0/0", "fd00::/64", "10.244.0/24"] {
            assert!(Addresses::default().set_range(cidr).is_err(), "{cidr:?}");
        }
    }
}
