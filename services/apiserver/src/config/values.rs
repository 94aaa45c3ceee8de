//! Values that flags are written in.

use std::net::Ipv4Addr;

use super::settings::{ConfigError, wrong};

/// The range that cluster IPs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    /// The network's address: all bits after the prefix are zero.
    pub network: Ipv4Addr,
    /// Length of the prefix in bits.
    pub prefix: u32,
}

impl ServiceCidr {
    /// The first address after the network's own: that of the Service `kubernetes`.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | 1)
    }
}

pub(super) fn parse_cidr(text: &str) -> Result<ServiceCidr, ConfigError> {
    let bad = |problem| wrong("--service-cluster-ip-range", text, problem);
    let no_range = "is no range of IPv4 addresses; give one such as 10.96.0.0/16";
    let (network, prefix) = text.split_once('/').ok_or_else(|| bad(no_range))?;
    let network: Ipv4Addr = network.parse().map_err(|_| bad(no_range))?;
    let prefix: u32 = prefix.parse().map_err(|_| bad(no_range))?;
    match prefix {
        0..=29 => {}
        30..=32 => return Err(bad("has no room for Services; give a prefix of at most /29")),
        _ => return Err(bad("has a prefix that is longer than its address")),
    }
    if network.to_bits() & (u32::MAX >> prefix) != 0 {
        return Err(bad("has bits set after its prefix; give the network's own address"));
    }
    Ok(ServiceCidr { network, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_range_is_a_network_with_room() {
        let cidr = parse_cidr("10.96.0.0/16").unwrap();
        assert_eq!((cidr.network.to_string().as_str(), cidr.prefix), ("10.96.0.0", 16));
        assert_eq!(cidr.first().to_string(), "10.96.0.1");
        assert!(parse_cidr("0.0.0.0/0").is_ok());
        for bad in ["", "10.96.0.0", "10.96.0.0/33", "10.96.0.1/16", "10.96.0.0/30", "fd00::/108", "x/8", "10.96.0.0/x"]
        {
            let error = parse_cidr(bad).unwrap_err().to_string();
            assert!(error.starts_with("--service-cluster-ip-range: "), "{bad}: {error}");
        }
    }
}
