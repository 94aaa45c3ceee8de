//! IP addresses and ranges.

use std::net::IpAddr;

use crate::field::{ErrorList, FieldError, Path};

/// Reads an address, or says that it is none.
pub(super) fn address(text: &str, path: &Path, errors: &mut ErrorList) -> Option<IpAddr> {
    let parsed = text.parse();
    if parsed.is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(FieldError::invalid(path, text, detail));
    }
    parsed.ok()
}

/// Reads a range (`10.0.0.0/24`), or says that it is none; returns whether it is of IPv6.
pub(super) fn range(text: &str, path: &Path, errors: &mut ErrorList) -> Option<bool> {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv6() { 128 } else { 32 };
        let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        (digits && bits.parse::<u8>().is_ok_and(|bits| bits <= most)).then_some(address.is_ipv6())
    });
    if parsed.is_none() {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        errors.push(FieldError::invalid(path, text, detail));
    }
    parsed
}

/// An address that others connect to must not mean something else on each machine.
pub(super) fn not_special(ip: IpAddr, text: &str, path: &Path, errors: &mut ErrorList) {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    let unspecified = format!("may not be unspecified ({text})");
    let faults = [
        (ip.is_unspecified(), unspecified.as_str()),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ];
    for (is_special, detail) in faults {
        if is_special {
            errors.push(FieldError::invalid(path, text, detail));
        }
    }
}

/// True if there are at most two values, and these of different families.
pub(super) fn at_most_one_per_family(is_ipv6: &[bool]) -> bool {
    is_ipv6.len() < 2 || (is_ipv6.len() == 2 && is_ipv6[0] != is_ipv6[1])
}
