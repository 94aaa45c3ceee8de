//! What the machine says about itself, for the node's `nodeInfo` and address.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The machine's host name in lower case, as a node's name must be.
pub fn host_name() -> String {
    let name = read("/proc/sys/kernel/hostname").to_lowercase();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// The address by which others reach this machine; the loopback address on a machine without network.
pub fn address() -> Ipv4Addr {
    // Connecting a datagram socket sends nothing; it only asks the kernel for the route. The address is reserved for documentation.
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    match routed.map(|address| address.ip()) {
        Ok(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// Kernel, operating system and boot, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Different after each boot.
    pub boot_id: String,
    /// `6.1.0-18-amd64`.
    pub kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
}

impl Machine {
    /// Reads it.
    pub fn read() -> Self {
        Self {
            machine_id: read("/etc/machine-id"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel: read("/proc/sys/kernel/osrelease"),
            os_image: os_image(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        }
    }
}

/// The processor in Go's words.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_called_by_its_pretty_name() {
        assert_eq!(os_image("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(os_image(""), "linux");
    }
}
