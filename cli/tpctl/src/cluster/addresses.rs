//! Which addresses the pods of a cluster have.
//!
//! Addresses that are only described can be the same in all clusters, and are the controller-manager's default. Pods that really run are on
//! the machine's network, beside those of other clusters and everything else there: their cluster gets a range that the machine has no
//! route into, and no other cluster has. Should it meet another's all the same, its kubelet says so.

use anyhow::{Result, bail};
use api::cidr::Cidr;
use std::fs;
use std::net::Ipv4Addr;

/// Where clusters take their ranges from: clear of the addresses of Services, and of the networks that container tools make.
const WHERE: &str = "10.128.0.0/9";
/// The usual size of a node's range.
const NODE_BITS: u32 = 24;
/// The least size of a cluster's: 256 nodes.
const CLUSTER_BITS: u32 = 16;

/// A range for a cluster of so many nodes that nothing on this machine uses, and that is none of those in `taken`.
///
/// # Errors
/// The machine uses all of them.
pub(crate) fn unused(state: &std::path::Path, nodes: usize, taken: Vec<Cidr>) -> Result<Cidr> {
    let mut used = routes(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    used.extend(taken);
    // Different clusters begin their search in different places.
    let begin = state
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    match choose(&used, nodes, begin) {
        Some(range) => Ok(range),
        None => {
            bail!(
                "every part of {WHERE} is used on this machine (see `ip route`), so that pods could not have addresses there"
            )
        }
    }
}

fn choose(used: &[Cidr], nodes: usize, begin: u32) -> Option<Cidr> {
    let all: Cidr = WHERE.parse().ok()?;
    // Twice as many as there are now, so that kubelets can be added.
    let wanted = u32::try_from(nodes * 2).unwrap_or(u32::MAX).checked_next_power_of_two()?.trailing_zeros();
    let bits = CLUSTER_BITS.min(NODE_BITS.checked_sub(wanted)?);
    let count = all.blocks(bits);
    let mut candidates = (0..count).filter_map(|step| all.block(bits, begin.wrapping_add(step) % count));
    candidates.find(|candidate| !used.iter().any(|range| range.overlaps(*candidate)))
}

/// The destinations of the kernel's routes, without the one for everything else.
fn routes(table: &str) -> Vec<Cidr> {
    let route = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        // As the machine keeps them in memory.
        let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_be);
        let destination = number(fields.next()?)?;
        let mask = number(fields.nth(5)?)?;
        (mask != 0).then(|| Cidr::of(Ipv4Addr::from(destination), mask.leading_ones()))
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        tp83\t0000960A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_kernels_routes_are_read() {
        let shown: Vec<String> = routes(TABLE).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.150.0.0/24", "192.0.2.0/24"]);
        assert!(routes("").is_empty());
    }

    #[test]
    fn a_range_that_the_machine_uses_is_left_out() {
        let shown = |routes: &[Cidr], nodes, begin| choose(routes, nodes, begin).map(|range| range.to_string());
        assert_eq!(shown(&[], 3, 0).as_deref(), Some("10.128.0.0/16"));
        assert_eq!(shown(&routes(TABLE), 3, 22).as_deref(), Some("10.151.0.0/16"), "10.150 has a route");
        assert_eq!(shown(&[], 3, u32::MAX).as_deref(), Some("10.255.0.0/16"));
        assert_eq!(shown(&[], 1_000, 0).as_deref(), Some("10.128.0.0/13"), "room for all nodes");
        assert_eq!(shown(&["10.0.0.0/8".parse().unwrap()], 3, 7), None);
    }
}
