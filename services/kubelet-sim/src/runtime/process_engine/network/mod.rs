//! The pod network of one node: a bridge, and for each sandbox an interface in its own network namespace.
//!
//! ```text
//!   machine                                            sandbox
//!   tp3f9a… (bridge, 10.244.7.1/24) ── tpv81c… ═══veth═══ eth0 (10.244.7.5/24, default via 10.244.7.1), lo
//! ```
//!
//! Invariants: an address belongs to one sandbox as long as that is attached; the bridge's name follows from the node and its folder, so a
//! kubelet finds its predecessor's and no other's; the pair of interfaces ends with the sandbox's namespace, in the kernel's
//! hands, whoever dies first. A range that something else on this machine uses is refused before anything is changed.
//!
//! All calls block for some milliseconds: they speak to the kernel (netlink) on a thread of their own.

mod firewall;
mod link;
mod netlink;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;
use parking_lot::Mutex;
use tonic::Code;
use tracing::warn;

use crate::node::cidr::Cidr;
use crate::runtime::addresses::Addresses;
use crate::runtime::{Result, RuntimeError};

/// How the aliases of our interfaces begin.
const OWNER: &str = "traceplane node ";

/// One node's pod network.
pub struct PodNetwork {
    /// What the bridge is called: at most 15 characters, as the kernel demands.
    bridge: String,
    /// For people who look at the interfaces: whose it is.
    owner: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    range: Option<Cidr>,
    addresses: Addresses,
    attached: HashMap<String, Ipv4Addr>,
}

impl PodNetwork {
    /// The network of a node whose state is kept in `root`. Nothing is made before there is a range.
    pub fn open(node: &str, root: &Path) -> Result<Self> {
        let root = fs::canonicalize(root).unwrap_or_else(|_| PathBuf::from(root));
        let key = hash(&format!("{node}\0{}", root.display()));
        Ok(Self {
            bridge: format!("tp{key:010x}"),
            owner: format!("{OWNER}{node}, {}", root.display()),
            state: Mutex::default(),
        })
    }

    /// Gives the node's pods a range such as `10.244.7.0/24`, and brings the bridge up. A range that another interface or route of this
    /// machine uses is `AlreadyExists`, and names it.
    pub fn set_range(&self, cidr: &str) -> Result<()> {
        // A second range would be IPv6, which the pod network here does not have.
        let first = cidr.split(',').next().unwrap_or_default();
        let range: Cidr = first.parse().map_err(|message| RuntimeError { code: Code::InvalidArgument, message })?;
        // Two kubelets that begin at the same time must not both find the range free.
        let _turn = netlink::turn();
        remove_orphans();
        let bridge = self.bridge.clone();
        let user = netlink::on(None, async move |handle| survey::user_of(&handle, range, &bridge).await);
        if let Some(user) = user.map_err(|error| self.failed("look at this machine's networks", &error))? {
            let message = format!("pod addresses {range} are in use on this machine: {user}");
            return Err(RuntimeError { code: Code::AlreadyExists, message });
        }
        self.bring_up(range).map_err(|error| self.failed("bring up the bridge", &error))?;
        forward();
        firewall::accept(&self.bridge);

        let mut state = self.state.lock();
        if state.range != Some(range) {
            state.addresses.set_range(first).map_err(RuntimeError::unknown)?;
            state.addresses.claim(range.gateway());
            state.range = Some(range);
        }
        Ok(())
    }

    /// Whether there is a range.
    pub fn ready(&self) -> bool {
        self.state.lock().range.is_some()
    }

    /// Connects the network namespace of process `pid`, and answers its address. Attached once more, a sandbox keeps its address.
    pub fn attach(&self, sandbox: &str, pid: Pid) -> Result<Ipv4Addr> {
        let (address, range) = {
            let mut state = self.state.lock();
            let range = state.range.ok_or_else(|| {
                RuntimeError::unknown("failed to setup network for sandbox: the node has no pod address range yet")
            })?;
            let address = match state.attached.get(sandbox) {
                Some(address) => *address,
                None => {
                    let address = state.addresses.take().map_err(|why| {
                        RuntimeError::unknown(format!("failed to setup network for sandbox {sandbox:?}: {why}"))
                    })?;
                    state.attached.insert(sandbox.to_owned(), address);
                    address
                }
            };
            (address, range)
        };
        let done = self.bring_up(range).and_then(|()| self.connect_sandbox(sandbox, pid, address, range));
        if let Err(error) = done {
            self.detach(sandbox);
            return Err(RuntimeError::unknown(format!("failed to setup network for sandbox {sandbox:?}: {error}")));
        }
        Ok(address)
    }

    /// A sandbox of an earlier life of this kubelet has this address. To be said before [`attach`](Self::attach) is called for another.
    pub fn adopt(&self, sandbox: &str, address: Ipv4Addr) {
        let mut state = self.state.lock();
        state.addresses.claim(address);
        state.attached.insert(sandbox.to_owned(), address);
    }

    /// Takes a sandbox's interface away and gives its address back. Idempotent; the namespace may be gone already.
    pub fn detach(&self, sandbox: &str) {
        let interface = self.interface(sandbox);
        if let Err(error) = netlink::on(None, async move |handle| link::delete(&handle, &interface).await) {
            warn!(sandbox, %error, "cannot remove a sandbox's interface");
        }
        let mut state = self.state.lock();
        if let Some(address) = state.attached.remove(sandbox) {
            state.addresses.give_back(address);
        }
    }

    /// Removes the bridge, unless a sandbox is still attached. For the kubelet's orderly end.
    pub fn close(&self) {
        if !self.state.lock().attached.is_empty() {
            return;
        }
        firewall::forget(&self.bridge);
        let bridge = self.bridge.clone();
        if let Err(error) = netlink::on(None, async move |handle| link::delete(&handle, &bridge).await) {
            warn!(bridge = self.bridge, %error, "cannot remove the bridge");
        }
    }

    fn bring_up(&self, range: Cidr) -> io::Result<()> {
        let (bridge, owner) = (self.bridge.clone(), self.owner.clone());
        netlink::on(None, async move |handle| link::bridge(&handle, &bridge, &owner, range).await)
    }

    fn connect_sandbox(&self, sandbox: &str, pid: Pid, address: Ipv4Addr, range: Cidr) -> io::Result<()> {
        let namespace = fs::File::open(format!("/proc/{pid}/ns/net"))?;
        let inside = namespace.try_clone()?;
        let (bridge, interface) = (self.bridge.clone(), self.interface(sandbox));
        let alias = format!("{}, sandbox {sandbox}", self.owner);
        netlink::on(None, async move |handle| link::pair(&handle, &bridge, &interface, &alias, &namespace).await)?;
        netlink::on(Some(inside), async move |handle| {
            settings();
            link::inside(&handle, address, range).await
        })
    }

    /// What the machine's end of a sandbox's pair is called.
    fn interface(&self, sandbox: &str) -> String {
        format!("tpv{:010x}", hash(&format!("{}\0{sandbox}", self.bridge)))
    }

    fn failed(&self, what: &str, error: &io::Error) -> RuntimeError {
        RuntimeError::unknown(format!("cannot {what} ({}): {error}", self.bridge))
    }
}

/// Connects to a port as `localhost` in the network namespace of process `pid`. Blocks until it is accepted or refused.
pub fn connect_inside(pid: Pid, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let namespace = fs::File::open(format!("/proc/{pid}/ns/net"))?;
    netlink::inside(namespace, move || {
        let four = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit);
        four.or_else(|error| {
            TcpStream::connect_timeout(&SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)), limit)
                .map_err(|_| error)
        })
    })
}

/// Removes what kubelets that will never come back have left: their folders are gone.
fn remove_orphans() {
    for bridge in netlink::on(None, async |handle| link::orphans(&handle).await).unwrap_or_default() {
        firewall::forget(&bridge);
        let name = bridge.clone();
        if let Err(error) = netlink::on(None, async move |handle| link::delete(&handle, &name).await) {
            warn!(bridge, %error, "cannot remove a bridge that nobody uses");
        }
    }
}

/// Lets this machine pass packets on between its bridges. A machine that forbids the change may do so already.
fn forward() {
    const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
    if fs::read_to_string(SWITCH).is_ok_and(|on| on.trim() == "1") {
        return;
    }
    if let Err(error) = fs::write(SWITCH, "1") {
        warn!(%error, "cannot switch {SWITCH} on: pods reach this node and one another, but no pods of other nodes");
    }
}

/// Settings of a new namespace; called inside. The usual ones of container runtimes: an unprivileged server may bind port 80, and `ping` needs no
/// capability.
fn settings() {
    for (setting, value) in
        [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")]
    {
        if let Err(error) = fs::write(format!("/proc/sys/{setting}"), value) {
            warn!(%error, "cannot set {setting} to {value} for a pod: ports below 1024, or ping, will be refused");
        }
    }
}

/// FNV-1a, folded to the 40 bits that a name has room for: the same everywhere and for ever.
fn hash(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ hash >> 40) & 0xff_ffff_ffff
}
