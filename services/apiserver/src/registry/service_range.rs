//! The addresses that Services have.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use api::cidr::Cidr;

/// A range of IPv4 addresses for Services. Its first and last address are nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange(Cidr);

impl ServiceRange {
    /// The address of the Service `kubernetes`, by which programs inside the cluster find the apiserver.
    pub fn of_apiserver(self) -> Ipv4Addr {
        self.0.gateway()
    }

    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(self.base());
        (1..self.size() - 1).contains(&offset)
    }

    /// An address above the band that is left to those who choose their own
    /// (<https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/>).
    pub(super) fn random(self) -> Ipv4Addr {
        let band = (self.size() / 16).clamp(16, 256);
        let first = if band < self.size() - 1 { band } else { 1 };
        Ipv4Addr::from(self.base() + rand::random_range(first..self.size() - 1))
    }

    /// All addresses but the apiserver's, those that are handed out first at the front.
    pub(super) fn all(self) -> impl Iterator<Item = Ipv4Addr> {
        (2..self.size() - 1).rev().map(move |offset| Ipv4Addr::from(self.base() + offset))
    }

    fn base(self) -> u32 {
        u32::from(self.0.first())
    }

    fn size(self) -> u32 {
        1 << (32 - self.0.bits())
    }
}

impl Default for ServiceRange {
    /// 10.96.0.0/16.
    fn default() -> Self {
        Self(Cidr::of(Ipv4Addr::new(10, 96, 0, 0), 16))
    }
}

impl fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ServiceRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range: Cidr = text.parse()?;
        match range.bits() {
            ..12 => Err("has more than a million addresses; give a prefix of at least /12".to_owned()),
            30.. => Err("has no room for Services; give a prefix of at most /29".to_owned()),
            _ if range.to_string() != text => {
                Err(format!("has bits set after its prefix; give the network's own address, {range}"))
            }
            _ => Ok(Self(range)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_network_with_room() {
        let range: ServiceRange = "10.96.0.0/16".parse().unwrap();
        assert_eq!((range, range.to_string().as_str()), (ServiceRange::default(), "10.96.0.0/16"));
        assert_eq!(range.of_apiserver().to_string(), "10.96.0.1");
        for (address, inside) in [
            ("10.96.0.0", false),
            ("10.96.0.1", true),
            ("10.96.255.254", true),
            ("10.96.255.255", false),
            ("10.97.0.1", false),
        ] {
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_range_is_said() {
        for (text, problem) in [
            ("", "is not an IPv4 range"),
            ("10.96.0.0", "is not an IPv4 range"),
            ("fd00::/108", "is not an IPv4 range"),
            ("10.96.0.0/33", "is not an IPv4 range"),
            ("10.0.0.0/8", "more than a million"),
            ("10.96.0.0/30", "no room for Services"),
            ("10.96.0.1/16", "the network's own address, 10.96.0.0/16"),
        ] {
            let error = text.parse::<ServiceRange>().unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn random_addresses_leave_the_lower_band_to_those_who_choose() {
        let range: ServiceRange = "10.96.0.0/24".parse().unwrap();
        for _ in 0..1_000 {
            let [.., last] = range.random().octets();
            assert!((16..255).contains(&last), "{last}");
        }
        assert_eq!("10.96.0.0/29".parse::<ServiceRange>().unwrap().all().count(), 5);
    }
}
