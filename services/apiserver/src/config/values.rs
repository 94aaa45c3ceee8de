//! Values that flags are written in.

use std::net::Ipv4Addr;
use std::time::Duration;

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

/// Go's notation for durations, as far as it is one number and one unit: `500ms`, `60s`, `5m`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration: give a number and a unit, such as 500ms, 60s, 5m or 1h");
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..unit].parse().map_err(|_| bad())?;
    let millis = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(bad)
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
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "60", "s", "-1s", "1h30m", "99999999999999999999s", "9999999999999999999m"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

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
