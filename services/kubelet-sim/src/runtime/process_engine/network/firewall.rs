//! Rules that let packets pass between bridges where a firewall drops them.
//!
//! Docker sets the policy of the chain FORWARD to DROP, so that pods of two nodes on one machine cannot reach each other; with `br_netfilter` not
//! even two pods of one node can. Then, and only then, two rules that accept what comes from the bridge or goes to it are put first, and
//! are taken away with it. Without `iptables` on this machine nothing is done.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tracing::warn;

/// Lets packets from and to the bridge pass. Done again it changes nothing.
pub(super) fn accept(bridge: &str) {
    for program in programs() {
        let policy = run(program, &["-S", "FORWARD"]);
        let drops = policy
            .is_some_and(|rules| String::from_utf8_lossy(&rules.stdout).lines().any(|line| line == "-P FORWARD DROP"));
        if !drops {
            continue;
        }
        for rule in rules(bridge) {
            if !succeeds(program, "-C", &rule) && !succeeds(program, "-I", &rule) {
                warn!(
                    bridge,
                    program,
                    "the firewall drops what goes between bridges, and takes no rule: pods of different nodes cannot meet"
                );
            }
        }
    }
}

/// Takes the rules away, however often they are there.
pub(super) fn forget(bridge: &str) {
    // More than a few there can only be if somebody else plays with them.
    const AT_MOST: usize = 8;
    for program in programs() {
        for rule in rules(bridge) {
            for _ in 0..AT_MOST {
                if !succeeds(program, "-C", &rule) || !succeeds(program, "-D", &rule) {
                    break;
                }
            }
        }
    }
}

fn rules(bridge: &str) -> [[&str; 9]; 2] {
    ["-i", "-o"].map(|way| ["FORWARD", way, bridge, "-m", "comment", "--comment", "traceplane pods", "-j", "ACCEPT"])
}

/// The programs whose rules count here: a machine may use the kernel's older tables beside the newer ones. The older ones are only asked
/// where they are in use, since asking would bring them up.
fn programs() -> impl Iterator<Item = &'static str> {
    let older = fs::read_to_string("/proc/net/ip_tables_names").is_ok_and(|names| names.contains("filter"));
    ["/usr/sbin/iptables", "/usr/sbin/iptables-legacy"]
        .into_iter()
        .filter(move |program| Path::new(program).exists() && (older || !program.ends_with("-legacy")))
}

fn succeeds(program: &str, action: &str, rule: &[&str]) -> bool {
    run(program, &[&[action], rule].concat()).is_some_and(|output| output.status.success())
}

fn run(program: &str, args: &[&str]) -> Option<Output> {
    // -w waits for others who change the rules, seconds at most.
    Command::new(program).args(["-w", "5"]).args(args).stdin(Stdio::null()).output().ok()
}
