//! A pod network of its own: a bridge that nobody else has, and addresses that no route of this machine leads to.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::json;

/// Where packages put CNI's plugins.
const PLUGINS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// The folder of CNI's plugins, if they are on this machine.
pub(super) fn plugins() -> Option<&'static str> {
    let complete =
        |folder: &&str| ["bridge", "host-local", "loopback"].iter().all(|p| Path::new(folder).join(p).is_file());
    PLUGINS.into_iter().find(complete)
}

#[derive(Debug)]
pub(super) struct PodNetwork {
    bridge: String,
    subnet: String,
}

impl PodNetwork {
    /// One of 198.18.0.0/15, which is set aside for tests of networks (RFC 2544). Test processes begin to look at different ones.
    ///
    /// The bridge is made here, not by the first pod: of two tests that see a network free at the same time, one gets it.
    pub(super) fn free() -> Option<Self> {
        let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let start = std::process::id() % 512;
        (0..512).map(|step| (start + step) % 512).find_map(|number| {
            let (second, third) = (18 + number / 256, number % 256);
            // The table has addresses as they lie in memory: the last byte first.
            let route = format!("{third:02X}{second:02X}C6");
            let bridge = format!("tpt-{second}-{third}");
            let taken = routes.contains(&route) || Path::new("/sys/class/net").join(&bridge).exists();
            (!taken && claimed(&bridge)).then(|| Self { bridge, subnet: format!("198.{second}.{third}.0/24") })
        })
    }

    /// Writes the configuration that containerd reads.
    pub(super) fn write(&self, folder: &Path, state: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let ipam = json!({
            "type": "host-local", "dataDir": state.join("addresses"),
            "ranges": [[{"subnet": self.subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
        });
        let bridge = json!({"type": "bridge", "bridge": self.bridge, "isGateway": true, "ipam": ipam});
        let list = json!({"cniVersion": "0.4.0", "name": self.bridge, "plugins": [bridge]});
        fs::write(folder.join("10-test.conflist"), list.to_string())
    }

    pub(super) fn remove(&self) {
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).output();
    }
}

/// Whether the bridge is there now and was not before.
fn claimed(bridge: &str) -> bool {
    let added = Command::new("ip").args(["link", "add", "name", bridge, "type", "bridge"]).output();
    added.is_ok_and(|output| output.status.success())
}
