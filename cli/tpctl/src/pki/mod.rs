//! Certificates and kubeconfigs: one authority, and an identity with least rights for each component.
//!
//! | file | who | what it is for |
//! |---|---|---|
//! | `pki/ca.{crt,key}` | the authority | signs everything below; the key never leaves the folder |
//! | `pki/<component>.{crt,key}` | each component | what it shows as a server and as a client |
//! | `pki/apiserver-kubelet-client.{crt,key}` | the apiserver | what it shows kubelets when a user wants logs or a shell |
//! | `<component>.kubeconfig` | each client | the same identity with the server's address, as kubectl and our services read it |
//!
//! Names are those that Kubernetes' own components use (<https://kubernetes.io/docs/setup/best-practices/certificates/>), so that the rules
//! written for them hold.

mod authority;

pub(crate) use authority::{Authority, Names};

use crate::global::Global;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::{Cluster, Context as KubeContext, Kubeconfig, Named, User};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Flags of `tpctl pki`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PkiArgs {
    /// Address of the apiserver, as clients will use it.
    #[arg(long, default_value = "https://127.0.0.1:6443")]
    server: String,
    /// Further names or addresses under which the apiserver is reached.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    san: Vec<String>,
    /// Names of nodes that get an identity of their own.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    node: Vec<String>,
}

/// `tpctl pki`.
pub(crate) fn run(global: &Global, args: &PkiArgs) -> Result<()> {
    let pki = Pki::open(&global.state_dir)?;
    pki.ensure(&args.server, &args.san, &args.node)?;
    println!("{}", global.state_dir.join("admin.kubeconfig").display());
    Ok(())
}

/// A component that has an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// Name of its files.
    pub(crate) file: String,
    common_name: String,
    organization: Option<&'static str>,
}

impl Component {
    fn new(file: impl Into<String>, common_name: impl Into<String>, organization: Option<&'static str>) -> Self {
        Component { file: file.into(), common_name: common_name.into(), organization }
    }

    /// The person in front of the terminal: may do everything.
    pub(crate) fn admin() -> Self {
        Component::new("admin", "kubernetes-admin", Some("system:masters"))
    }

    pub(crate) fn apiserver() -> Self {
        Component::new("apiserver", "kube-apiserver", None)
    }

    /// The apiserver as a client of kubelets, under kubeadm's name.
    pub(crate) fn apiserver_kubelet_client() -> Self {
        Component::new("apiserver-kubelet-client", "kube-apiserver-kubelet-client", None)
    }

    pub(crate) fn scheduler() -> Self {
        Component::new("scheduler", "system:kube-scheduler", None)
    }

    pub(crate) fn controller_manager() -> Self {
        Component::new("controller-manager", "system:kube-controller-manager", None)
    }

    /// A kubelet that may act for this one node.
    pub(crate) fn kubelet(node: &str) -> Self {
        Component::new(format!("kubelet-{node}"), format!("system:node:{node}"), Some("system:nodes"))
    }

    /// A kubelet process that hosts many nodes.
    pub(crate) fn node_simulator() -> Self {
        Component::new("node-simulator", "system:node-simulator", Some("system:node-simulators"))
    }
}

/// The folder with keys, certificates and kubeconfigs.
#[derive(Debug)]
pub(crate) struct Pki {
    state: PathBuf,
}

impl Pki {
    /// Opens the folder; it is made if it is not there.
    pub(crate) fn open(state: &Path) -> Result<Pki> {
        let folder = state.join("pki");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Pki { state: state.to_owned() })
    }

    /// Makes what is missing, and what was made for another server address.
    pub(crate) fn ensure(&self, server: &str, sans: &[String], nodes: &[String]) -> Result<()> {
        let authority = self.authority()?;
        let host = server.trim_start_matches("https://").rsplit_once(':').map_or(server, |(host, _)| host);
        let mut names = Names::local();
        names.add(host.trim_matches(['[', ']']));
        ["apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1"]
            .iter()
            .for_each(|n| names.add(n));
        sans.iter().for_each(|name| names.add(name));
        let apiserver_is_new = self.identity(&authority, &Component::apiserver(), &names)?;
        if apiserver_is_new {
            tracing::debug!("made the apiserver's certificate");
        }
        // Has no kubeconfig: it is a client of kubelets, and nobody towards the apiserver.
        self.identity(&authority, &Component::apiserver_kubelet_client(), &Names::local())?;
        let mut clients = vec![
            Component::admin(),
            Component::scheduler(),
            Component::controller_manager(),
            Component::node_simulator(),
        ];
        clients.extend(nodes.iter().map(|node| Component::kubelet(node)));
        for component in &clients {
            let mut names = Names::local();
            names.add(&component.file);
            self.identity(&authority, component, &names)?;
            self.kubeconfig(&authority, component, server)?;
        }
        Ok(())
    }

    /// Path of a component's certificate or key (`crt`, `key`).
    pub(crate) fn path(&self, component: &Component, extension: &str) -> PathBuf {
        self.state.join("pki").join(format!("{}.{extension}", component.file))
    }

    /// Path of the authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.state.join("pki/ca.crt")
    }

    /// Path of a component's kubeconfig.
    pub(crate) fn kubeconfig_path(&self, component: &Component) -> PathBuf {
        self.state.join(format!("{}.kubeconfig", component.file))
    }

    fn authority(&self) -> Result<Authority> {
        let (certificate, key) = (self.ca(), self.state.join("pki/ca.key"));
        if certificate.exists() && key.exists() {
            return Authority::load(&read(&certificate)?, &read(&key)?).with_context(|| {
                format!("{} is no authority that we can use; delete the folder to start anew", certificate.display())
            });
        }
        let authority = Authority::generate()?;
        write_secret(&key, &authority.key_pem())?;
        write(&certificate, authority.certificate_pem())?;
        Ok(authority)
    }

    /// Makes a component's identity unless it is there for these names. True if it was made.
    fn identity(&self, authority: &Authority, component: &Component, names: &Names) -> Result<bool> {
        let (certificate, key) = (self.path(component, "crt"), self.path(component, "key"));
        if certificate.exists() && key.exists() && authority.covers(&read(&certificate)?, names) {
            return Ok(false);
        }
        let (certificate_pem, key_pem) = authority.issue(&component.common_name, component.organization, names)?;
        write_secret(&key, &key_pem)?;
        write(&certificate, &certificate_pem)?;
        Ok(true)
    }

    fn kubeconfig(&self, authority: &Authority, component: &Component, server: &str) -> Result<()> {
        let encoded = |path: PathBuf| -> Result<String> { Ok(STANDARD.encode(read(&path)?)) };
        let user = User {
            client_certificate_data: Some(encoded(self.path(component, "crt"))?),
            client_key_data: Some(encoded(self.path(component, "key"))?),
            ..User::default()
        };
        let cluster = Cluster {
            server: server.to_owned(),
            certificate_authority_data: Some(STANDARD.encode(authority.certificate_pem())),
            ..Cluster::default()
        };
        let context =
            KubeContext { cluster: "traceplane".to_owned(), user: component.file.clone(), namespace: String::new() };
        let config = Kubeconfig {
            clusters: vec![Named { name: "traceplane".to_owned(), content: cluster }],
            users: vec![Named { name: component.file.clone(), content: user }],
            contexts: vec![Named { name: "traceplane".to_owned(), content: context }],
            current_context: "traceplane".to_owned(),
            ..Kubeconfig::default()
        };
        write_secret(&self.kubeconfig_path(component), &config.to_yaml())
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Readable by the owner only. Written beside and moved into place, so that nobody reads half a file.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
