//! Certificates made on the spot.

use client::{Cluster, Context, Kubeconfig, Named, User};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    /// Its own certificate.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// PEM of the certificate.
    pub certificate: String,
    /// PEM of the key.
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("ring makes keys");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a CA may sign itself").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names or addresses, good as a server's and as a client's.
    pub fn sign(&self, user: &str, group: &str, names: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("ring makes keys");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the test gives names and addresses");
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs").pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// A kubeconfig for `server` that believes this authority, with its files in `folder`. Its entries are all called `test`.
    pub fn kubeconfig(&self, folder: &Path, server: &str, user: Option<&Pair>) -> Kubeconfig {
        let file = |name: &str, text: &str| -> PathBuf {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("the test's folder can be written to");
            path
        };
        let user = user.map_or_else(User::default, |pair| User {
            client_certificate: Some(file("user.crt", &pair.certificate)),
            client_key: Some(file("user.key", &pair.key)),
            ..User::default()
        });
        let cluster = Cluster {
            server: server.to_owned(),
            certificate_authority: Some(file("ca.crt", &self.pem)),
            ..Cluster::default()
        };
        let name = || "test".to_owned();
        Kubeconfig {
            clusters: vec![Named { name: name(), content: cluster }],
            users: vec![Named { name: name(), content: user }],
            contexts: vec![Named {
                name: name(),
                content: Context { cluster: name(), user: name(), ..Context::default() },
            }],
            current_context: name(),
            ..Kubeconfig::default()
        }
    }
}
