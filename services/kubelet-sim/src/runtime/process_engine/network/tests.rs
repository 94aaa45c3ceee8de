//! On the real kernel, as root. Each test has its own namespaces as pods and leaves nothing: what is not ours is never touched.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;

/// A process that holds a network namespace of its own, as a sandbox does.
struct Sandbox(Child);

impl Sandbox {
    fn new() -> Self {
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
        let sandbox = Self(child);
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while fs::read_link(format!("/proc/{}/ns/net", sandbox.0.id())).unwrap() == own {
            assert!(std::time::Instant::now() < deadline, "the process gets no namespace");
            thread::yield_now();
        }
        sandbox
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    /// Does something in its namespace.
    fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        netlink::inside(fs::File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap(), work)
    }

    /// Serves one connection on a port of all its addresses: says who came.
    fn serve(&self, port: u16) {
        let listener = self.inside(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let _ = stream.write_all(from.ip().to_string().as_bytes());
            }
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network, which a test that fails takes down, too.
struct Network {
    network: PodNetwork,
    _root: tempfile::TempDir,
}

impl Network {
    fn new(node: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { network: PodNetwork::open(node, root.path()).unwrap(), _root: root }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let attached: Vec<String> = self.network.state.lock().attached.keys().cloned().collect();
        attached.iter().for_each(|sandbox| self.network.detach(sandbox));
        self.network.close();
        assert!(!exists(&self.network.bridge), "{} is left", self.network.bridge);
        let rules = Command::new("iptables").args(["-S", "FORWARD"]).output();
        let rules = rules.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        assert!(!rules.contains(&self.network.bridge), "rules are left: {rules}");
    }
}

fn exists(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

fn talk(stream: io::Result<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    stream?.read_to_string(&mut text)?;
    Ok(text)
}

fn dial(address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(10))
}

/// Ranges that no other test and hardly a real machine uses.
fn range(test: u8) -> String {
    format!("10.213.{test}.0/29")
}

#[test]
fn a_pod_is_reached_from_the_machine_and_from_other_pods() {
    if !testkit::is_root() {
        return;
    }
    let net = Network::new("reach");
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let early = net.network.attach("one", one.pid()).unwrap_err();
    assert!(early.message.contains("no pod address range yet"), "{early}");
    assert!(!net.network.ready());
    net.network.set_range(&range(1)).unwrap();
    let first = net.network.attach("one", one.pid()).unwrap();
    let second = net.network.attach("other", other.pid()).unwrap();
    assert_eq!([first, second].map(|ip| ip.to_string()), ["10.213.1.2", "10.213.1.3"], "the first is the bridge's");
    assert_eq!(net.network.attach("one", one.pid()).unwrap(), first, "attached again, it keeps its address");

    one.serve(80);
    assert_eq!(talk(dial(first, 80)).unwrap(), "10.213.1.1", "a probe comes from the node");
    let from_pod = other.inside(move || talk(dial(first, 80))).unwrap();
    assert_eq!(from_pod, second.to_string());
    let inside = connect_inside(one.pid(), 80, Duration::from_secs(10));
    assert_eq!(talk(inside).unwrap(), "127.0.0.1", "localhost is the pod's own");
    let refused = connect_inside(other.pid(), 80, Duration::from_secs(10)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);

    let start = one.inside(|| fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")).unwrap();
    assert_eq!(start.trim(), "0", "who is not root may serve port 80");
}

#[test]
fn addresses_come_back_late_and_survive_the_kubelet() {
    if !testkit::is_root() {
        return;
    }
    let net = Network::new("addresses");
    net.network.set_range(&range(2)).unwrap();
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let first = net.network.attach("one", one.pid()).unwrap();
    let interface = net.network.interface("one");
    assert!(exists(&interface));

    // The next life of the kubelet: the same bridge, and the pod goes on undisturbed.
    let root = net._root.path();
    let next = PodNetwork::open("addresses", root).unwrap();
    assert_eq!(next.bridge, net.network.bridge);
    next.adopt("one", first);
    next.set_range(&range(2)).unwrap();
    one.serve(8080);
    assert_eq!(talk(dial(first, 8080)).unwrap(), "10.213.2.1");
    assert_ne!(next.attach("other", other.pid()).unwrap(), first, "an address in use is not given twice");
    next.close();
    assert!(exists(&next.bridge), "a bridge with sandboxes stays");

    next.detach("one");
    next.detach("one");
    assert!(!exists(&interface));
    next.detach("other");
}

#[test]
fn the_interface_ends_with_the_sandbox() {
    if !testkit::is_root() {
        return;
    }
    let net = Network::new("ends");
    net.network.set_range(&range(3)).unwrap();
    let sandbox = Sandbox::new();
    net.network.attach("one", sandbox.pid()).unwrap();
    let interface = net.network.interface("one");
    drop(sandbox);
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while exists(&interface) {
        assert!(std::time::Instant::now() < deadline, "{interface} outlives its namespace");
        thread::yield_now();
    }
    net.network.detach("one");
    assert!(net.network.state.lock().attached.is_empty());
}

#[test]
fn a_range_that_is_in_use_is_refused_and_its_user_named() {
    if !testkit::is_root() {
        return;
    }
    let (net, other) = (Network::new("first"), Network::new("second"));
    net.network.set_range(&range(4)).unwrap();
    let refused = other.network.set_range("10.213.4.0/24").unwrap_err();
    assert_eq!(refused.code, Code::AlreadyExists);
    let bridge = &net.network.bridge;
    let expected =
        format!("pod addresses 10.213.4.0/24 are in use on this machine: interface {bridge} has 10.213.4.1/29");
    assert_eq!(refused.message, expected);
    assert!(!exists(&other.network.bridge), "nothing is changed by a refusal");
    net.network.set_range(&range(4)).expect("one's own range is no obstacle");
    let wrong = other.network.set_range("10.0.0.0").unwrap_err();
    assert_eq!(wrong.code, Code::InvalidArgument);
}

#[test]
fn what_a_kubelet_without_a_folder_left_is_removed() {
    if !testkit::is_root() {
        return;
    }
    let (gone, live) = (Network::new("gone"), Network::new("live"));
    gone.network.set_range(&range(7)).unwrap();
    assert!(exists(&gone.network.bridge));
    fs::remove_dir_all(gone._root.path()).unwrap();
    live.network.set_range(&range(8)).unwrap();
    assert!(!exists(&gone.network.bridge), "nobody will come back for it");
    assert!(exists(&live.network.bridge));
}

#[test]
fn pods_of_two_nodes_on_one_machine_meet() {
    if !testkit::is_root() {
        return;
    }
    let (here, there) = (Network::new("here"), Network::new("there"));
    here.network.set_range(&range(5)).unwrap();
    there.network.set_range(&range(6)).unwrap();
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let address = here.network.attach("one", one.pid()).unwrap();
    let from = there.network.attach("other", other.pid()).unwrap();
    one.serve(80);
    assert_eq!(other.inside(move || talk(dial(address, 80))).unwrap(), from.to_string());
}

#[test]
fn names_fit_and_differ() {
    let root = tempfile::tempdir().unwrap();
    let one = PodNetwork::open("worker-1", root.path()).unwrap();
    let other = PodNetwork::open("worker-2", root.path()).unwrap();
    assert_ne!(one.bridge, other.bridge);
    assert!(one.bridge.len() <= 15 && one.interface(&"f".repeat(64)).len() <= 15);
    assert_ne!(one.interface("a"), other.interface("a"));
}
