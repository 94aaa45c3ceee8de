//! How a pod is called and how it finds others by name: host name, `/etc/hosts`, `/etc/resolv.conf`.
//!
//! Pure, except that the files of the machine are read by whoever asks. <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>.

use std::io;
use std::path::Path;

use api::core::v1::{HostAlias, Pod};

use crate::cri;

/// Linux takes 64 bytes with the one that ends them.
const HOST_NAME: usize = 63;
/// The kernel's limit of a whole name.
const FQDN: usize = 64;
/// What the C library reads of a `resolv.conf`.
const SERVERS: usize = 3;
const SEARCHES: usize = 32;

/// How names are looked up on a node.
#[derive(Clone, Debug, Default)]
pub struct NodeDns {
    /// The cluster's DNS servers; none: pods use the machine's.
    pub cluster_dns: Vec<String>,
    /// What the names of services end with.
    pub cluster_domain: String,
    /// The machine's own configuration.
    pub machine: Resolver,
}

/// A `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Resolver {
    /// Reads a file of that form. One that is not there says nothing.
    pub fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            text => Ok(Self::parse(&text?)),
        }
    }

    /// Of several `search` lines, as of several `options` lines, the last one counts.
    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let words = words.map(str::to_owned);
            match keyword {
                Some("nameserver") => resolver.servers.extend(words.take(1)),
                Some("search") => resolver.searches = words.map(|name| without_dot(&name)).collect(),
                Some("options") => resolver.options = words.collect(),
                _ => {}
            }
        }
        resolver
    }
}

fn without_dot(name: &str) -> String {
    if name == "." { name.to_owned() } else { name.trim_end_matches('.').to_owned() }
}

/// What a pod's `/etc/resolv.conf` says: its policy's answer, completed by its own `dnsConfig`.
pub(super) fn resolver(pod: &Pod, node: &NodeDns) -> cri::DnsConfig {
    let Resolver { mut servers, mut searches, mut options } = by_policy(pod, node);
    if let Some(own) = &pod.spec.dns_config {
        add_new(&mut servers, &own.nameservers);
        add_new(&mut searches, &own.searches);
        for option in &own.options {
            let name = option.name.as_str();
            options.retain(|known| known.split(':').next() != Some(name));
            options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.to_owned(),
            });
        }
    }
    servers.truncate(SERVERS);
    searches.truncate(SEARCHES);
    cri::DnsConfig { servers, searches, options }
}

fn by_policy(pod: &Pod, node: &NodeDns) -> Resolver {
    let cluster_first = match pod.spec.dns_policy.as_str() {
        "None" => return Resolver::default(),
        "Default" => false,
        "ClusterFirstWithHostNet" => true,
        _ => !pod.spec.host_network,
    };
    // Without a DNS server in the cluster the machine's must do.
    if !cluster_first || node.cluster_dns.is_empty() {
        return node.machine.clone();
    }
    let (namespace, domain) = (&pod.metadata.namespace, &node.cluster_domain);
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    add_new(&mut searches, &node.machine.searches);
    Resolver { servers: node.cluster_dns.clone(), searches, options: vec!["ndots:5".to_owned()] }
}

fn add_new(known: &mut Vec<String>, more: &[String]) {
    for one in more {
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}

/// A pod's short name, and the domain that it is in if it has a `subdomain`.
pub(super) fn host_name(pod: &Pod, cluster_domain: &str) -> (String, String) {
    let name = if pod.spec.hostname.is_empty() { &pod.metadata.name } else { &pod.spec.hostname };
    let mut short = name.clone();
    if short.len() > HOST_NAME {
        short.truncate(HOST_NAME);
        short.truncate(short.trim_end_matches(['-', '.']).len());
    }
    let domain = match pod.spec.subdomain.as_str() {
        "" => String::new(),
        subdomain => format!("{subdomain}.{}.svc.{cluster_domain}", pod.metadata.namespace),
    };
    (short, domain)
}

/// What the kernel of the pod's sandbox is told: with `setHostnameAsFQDN` the whole name. The error says that it does not fit.
pub(super) fn kernel_name(pod: &Pod, cluster_domain: &str) -> Result<String, String> {
    let (name, domain) = host_name(pod, cluster_domain);
    if pod.spec.set_hostname_as_fqdn != Some(true) || domain.is_empty() {
        return Ok(name);
    }
    let whole = format!("{name}.{domain}");
    if whole.len() > FQDN {
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long \
             ({FQDN} characters is the max, {} characters requested)",
            whole.len()
        ));
    }
    Ok(whole)
}

/// A pod's `/etc/hosts`.
pub(super) struct HostsFile {
    /// All of it, or what follows the machine's own.
    text: String,
    of_machine: bool,
}

/// What a pod's `/etc/hosts` says. A pod in the machine's network sees the machine's file, with its own names added.
pub(super) fn hosts_file(pod: &Pod, pod_ip: &str, cluster_domain: &str) -> HostsFile {
    let mut text = String::new();
    if !pod.spec.host_network {
        text.push_str(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let (name, domain) = host_name(pod, cluster_domain);
        text.push_str(&match domain.as_str() {
            "" => format!("{pod_ip}\t{name}\n"),
            domain => format!("{pod_ip}\t{name}.{domain}\t{name}\n"),
        });
    }
    text.push_str(&aliases(&pod.spec.host_aliases));
    HostsFile { text, of_machine: pod.spec.host_network }
}

impl HostsFile {
    /// The file's text; `machine` reads the machine's own, if that is wanted.
    pub(super) fn complete(self, machine: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
        if self.of_machine {
            Ok(format!("# Kubernetes-managed hosts file (host network).\n{}{}", machine()?, self.text))
        } else {
            Ok(self.text)
        }
    }
}

fn aliases(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let lines: String = aliases.iter().map(|alias| format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t"))).collect();
    format!("\n# Entries added by HostAliases.\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}))
            .unwrap()
    }

    fn node(cluster_dns: &[&str]) -> NodeDns {
        NodeDns {
            cluster_dns: cluster_dns.iter().map(|server| (*server).to_owned()).collect(),
            cluster_domain: "cluster.local".to_owned(),
            machine: Resolver::parse(
                "# mine\nnameserver 1.1.1.1\nsearch a.\nsearch example.com.\noptions edns0 ndots:2\n",
            ),
        }
    }

    #[test]
    fn each_policy_has_its_answer_and_the_pod_may_complete_it() {
        let shown = |spec: serde_json::Value, servers: &[&str]| {
            let cri::DnsConfig { servers, searches, options } = resolver(&pod(spec), &node(servers));
            format!("{} / {} / {}", servers.join(" "), searches.join(" "), options.join(" "))
        };
        let machine = "1.1.1.1 / example.com / edns0 ndots:2";
        let cluster = "10.0.0.10 / shop.svc.cluster.local svc.cluster.local cluster.local example.com / ndots:5";
        for (spec, servers, expected) in [
            (serde_json::json!({}), &["10.0.0.10"][..], cluster),
            (serde_json::json!({"dnsPolicy": "ClusterFirst"}), &[], machine),
            (serde_json::json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), &["10.0.0.10"], machine),
            (serde_json::json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), &["10.0.0.10"], cluster),
            (serde_json::json!({"dnsPolicy": "Default"}), &["10.0.0.10"], machine),
            (
                serde_json::json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "searches": ["s"],
                    "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}]}}),
                &["10.0.0.10"],
                "9.9.9.9 / s / ndots:1 rotate",
            ),
            (
                serde_json::json!({"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["1.1.1.1", "2", "3", "4"],
                    "searches": ["example.com"], "options": [{"name": "ndots", "value": "7"}]}}),
                &[],
                "1.1.1.1 2 3 / example.com / edns0 ndots:7",
            ),
        ] {
            assert_eq!(shown(spec.clone(), servers), expected, "{spec}");
        }
    }

    #[test]
    fn a_pod_is_called_by_its_name_unless_it_says_otherwise() {
        let names = |spec| host_name(&pod(spec), "cluster.local");
        assert_eq!(names(serde_json::json!({})), ("web".to_owned(), String::new()));
        let whole = ("a".to_owned(), "sub.shop.svc.cluster.local".to_owned());
        assert_eq!(names(serde_json::json!({"hostname": "a", "subdomain": "sub"})), whole);
        let mut long = pod(serde_json::json!({}));
        long.metadata.name = format!("{}-x", "a".repeat(62));
        assert_eq!(host_name(&long, "").0, "a".repeat(62));
    }

    #[test]
    fn a_whole_name_must_fit_the_kernel() {
        let named = |subdomain: &str, fqdn: bool| {
            let spec = serde_json::json!({"subdomain": subdomain, "setHostnameAsFQDN": fqdn});
            kernel_name(&pod(spec), "cluster.local")
        };
        assert_eq!(named("sub", false).unwrap(), "web");
        assert_eq!(named("sub", true).unwrap(), "web.sub.shop.svc.cluster.local");
        assert_eq!(named("", true).unwrap(), "web");
        let error = named(&"s".repeat(60), true).unwrap_err();
        assert!(error.ends_with("is too long (64 characters is the max, 87 characters requested)"), "{error}");
    }

    #[test]
    fn the_hosts_file_is_kubernetes() {
        let spec = serde_json::json!({"subdomain": "sub", "hostAliases": [{"ip": "10.1.2.3", "hostnames": ["foo.remote", "bar.remote"]}]});
        let text = hosts_file(&pod(spec), "10.0.0.5", "cluster.local").complete(|| panic!("not asked")).unwrap();
        assert_eq!(
            text,
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n\
             10.0.0.5\tweb.sub.shop.svc.cluster.local\tweb\n\n# Entries added by HostAliases.\n10.1.2.3\tfoo.remote\tbar.remote\n"
        );
        let on_host = hosts_file(&pod(serde_json::json!({"hostNetwork": true})), "", "");
        let text = on_host.complete(|| Ok("127.0.0.1 localhost\n".to_owned())).unwrap();
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
    }
}
