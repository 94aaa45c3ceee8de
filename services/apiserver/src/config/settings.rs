//! What the flags mean, once all of them are checked and their files loaded.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use service_kit::tls::{CaBundle, ClientAuth, Identity, TlsError, server_config};
use store::{EtcdConfig, EtcdTls};

use super::{Config, StorageBackend};
use crate::auth::{TokenFile, TokenFileError};
use crate::kubelet::Kubelets;
use crate::registry;

/// A checked [`Config`], with its files loaded.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// What to present, and whose clients to believe.
    pub tls: Arc<rustls::ServerConfig>,
    /// The bearer tokens; none without a file.
    pub tokens: TokenFile,
    /// How to open the store.
    pub storage: Storage,
    /// How long to wait for the store at start; `None` for ever.
    pub startup_timeout: Option<Duration>,
    /// What the registries need to know.
    pub registry: registry::Settings,
    /// How to reach kubelets.
    pub kubelets: Kubelets,
    /// How many requests to serve at once.
    pub limits: InflightLimits,
}

/// Which store to open.
#[derive(Clone, Debug)]
pub enum Storage {
    /// etcd, reached like this.
    Etcd(Box<EtcdConfig>),
    /// This process's memory.
    Memory,
}

/// Requests served at once, by whether they write; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InflightLimits {
    /// Gets and lists.
    pub reading: Option<usize>,
    /// Everything that may write.
    pub mutating: Option<usize>,
}

/// What is wrong with a flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that mutual TLS cannot do without is not named.
    #[error("{flag} is missing: the apiserver serves only TLS; make certificates with `tpctl pki` and name the file")]
    MissingTls {
        /// The flag.
        flag: &'static str,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file cannot be used.
    #[error("--token-auth-file: {0}")]
    Tokens(#[from] TokenFileError),
    /// etcd's certificates cannot be used.
    #[error("etcd's certificates: {0}; check --etcd-cafile, --etcd-certfile and --etcd-keyfile")]
    EtcdTls(store::Error),
    /// A value is out of its range.
    #[error("{flag}: {value:?} {problem}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// One of two flags that only work together.
    #[error("{given} is given without {missing}: give both, or neither")]
    Incomplete {
        /// The flag that was given.
        given: &'static str,
        /// The flag that is missing.
        missing: &'static str,
    },
}

impl Config {
    /// Checks everything and loads the files.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let identity = self.tls.identity()?.ok_or(ConfigError::MissingTls { flag: "--tls-cert-file" })?;
        let client_ca = self.tls.client_ca()?.ok_or(ConfigError::MissingTls { flag: "--client-ca-file" })?;
        if self.watch_cache_size == 0 {
            return Err(wrong(
                "--watch-cache-size",
                "0",
                "leaves no history for watches to resume from; give at least 1",
            ));
        }
        let limit = |n: usize| (n > 0).then_some(n);
        Ok(Settings {
            address: SocketAddr::new(self.bind_address, self.secure_port),
            // Optional, because a client may come with a token instead; a certificate that is presented must be good.
            tls: server_config(&identity, ClientAuth::Optional(&client_ca)),
            tokens: self.token_auth_file.as_deref().map(TokenFile::load).transpose()?.unwrap_or_default(),
            storage: self.storage()?,
            startup_timeout: (!self.etcd_startup_timeout.is_zero()).then_some(self.etcd_startup_timeout),
            registry: registry::Settings {
                history: self.watch_cache_size,
                services: self.service_cluster_ip_range,
                compaction_interval: self.etcd_compaction_interval,
                event_ttl: self.event_ttl,
            },
            kubelets: self.kubelets()?,
            limits: InflightLimits {
                reading: limit(self.max_requests_inflight),
                mutating: limit(self.max_mutating_requests_inflight),
            },
        })
    }

    fn storage(&self) -> Result<Storage, ConfigError> {
        let root = self.etcd_prefix.trim_end_matches('/');
        if !root.starts_with('/') {
            return Err(wrong("--etcd-prefix", &self.etcd_prefix, "must be a path below the root, such as /registry"));
        }
        if self.storage_backend == StorageBackend::Memory {
            return Ok(Storage::Memory);
        }
        let endpoints: Vec<&str> =
            self.etcd_servers.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
        if endpoints.is_empty() {
            return Err(wrong("--etcd-servers", "", "names no server; give a URL such as http://127.0.0.1:2379"));
        }
        for url in &endpoints {
            let known = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if known.is_none_or(str::is_empty) {
                return Err(wrong("--etcd-servers", url, "is no client URL; give one such as http://127.0.0.1:2379"));
            }
        }
        let tls = self.etcd_tls()?;
        if let (true, Some(plain)) = (tls.is_some(), endpoints.iter().find(|url| url.starts_with("http://"))) {
            return Err(wrong("--etcd-servers", plain, "must begin with https:// because --etcd-cafile is given"));
        }
        Ok(Storage::Etcd(Box::new(EtcdConfig { root: root.to_owned(), tls, ..EtcdConfig::new(endpoints) })))
    }

    /// All three files, or none.
    fn kubelets(&self) -> Result<Kubelets, ConfigError> {
        const CERTIFICATE: &str = "--kubelet-client-certificate";
        const KEY: &str = "--kubelet-client-key";
        const CA: &str = "--kubelet-certificate-authority";
        let incomplete = |given, missing| Err(ConfigError::Incomplete { given, missing });
        let files = (&self.kubelet_client_certificate, &self.kubelet_client_key, &self.kubelet_certificate_authority);
        let (certificate, key, ca) = match files {
            (None, None, None) => return Ok(Kubelets::default()),
            (Some(certificate), Some(key), Some(ca)) => (certificate, key, ca),
            (None, Some(_), _) => return incomplete(KEY, CERTIFICATE),
            (None, None, Some(_)) => return incomplete(CA, CERTIFICATE),
            (Some(_), None, _) => return incomplete(CERTIFICATE, KEY),
            (Some(_), Some(_), None) => return incomplete(CERTIFICATE, CA),
        };
        let identity = Identity::from_pem_files(certificate, key)?;
        Ok(Kubelets::new(identity, CaBundle::from_pem_file(ca)?, self.kubelet_preferred_address_types.clone()))
    }

    fn etcd_tls(&self) -> Result<Option<EtcdTls>, ConfigError> {
        let incomplete = |given, missing| Err(ConfigError::Incomplete { given, missing });
        let identity: Option<(&Path, &Path)> = match (&self.etcd_certfile, &self.etcd_keyfile) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return incomplete("--etcd-certfile", "--etcd-keyfile"),
            (None, Some(_)) => return incomplete("--etcd-keyfile", "--etcd-certfile"),
        };
        match (&self.etcd_cafile, identity) {
            (Some(ca), identity) => EtcdTls::from_files(ca, identity).map(Some).map_err(ConfigError::EtcdTls),
            (None, Some(_)) => incomplete("--etcd-certfile", "--etcd-cafile"),
            (None, None) => Ok(None),
        }
    }
}

/// The error for a value out of its range.
fn wrong(flag: &'static str, value: &str, problem: &'static str) -> ConfigError {
    ConfigError::Value { flag, value: value.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn parse(args: &[&str]) -> Config {
        Config::try_parse_from([&["apiserver"], args].concat()).unwrap()
    }

    #[test]
    fn tls_is_not_optional() {
        let error = parse(&[]).settings().err().unwrap().to_string();
        assert!(error.starts_with("--tls-cert-file is missing"), "{error}");
    }

    #[test]
    fn the_way_to_kubelets_is_given_whole_or_not_at_all() {
        let table: [(&[&str], &str); 4] = [
            (
                &["--kubelet-client-certificate", "a"],
                "--kubelet-client-certificate is given without --kubelet-client-key",
            ),
            (&["--kubelet-client-key", "a"], "--kubelet-client-key is given without --kubelet-client-certificate"),
            (
                &["--kubelet-certificate-authority", "a"],
                "--kubelet-certificate-authority is given without --kubelet-client-certificate",
            ),
            (
                &["--kubelet-client-certificate", "a", "--kubelet-client-key", "b"],
                "--kubelet-client-certificate is given without --kubelet-certificate-authority",
            ),
        ];
        for (args, expected) in table {
            let error = parse(args).kubelets().err().unwrap().to_string();
            assert!(error.starts_with(expected), "{args:?}: {error}");
        }
        assert!(parse(&[]).kubelets().is_ok());
    }

    #[test]
    fn storage_flags_are_checked_by_name() {
        let table: [(&[&str], &str); 6] = [
            (&["--etcd-servers", "localhost:2379"], "--etcd-servers: \"localhost:2379\" is no client URL"),
            (&["--etcd-servers", ","], "--etcd-servers: \"\" names no server"),
            (&["--etcd-prefix", "registry"], "--etcd-prefix: \"registry\" must be a path"),
            (&["--etcd-certfile", "a"], "--etcd-certfile is given without --etcd-keyfile"),
            (&["--etcd-certfile", "a", "--etcd-keyfile", "b"], "--etcd-certfile is given without --etcd-cafile"),
            (&["--etcd-cafile", "/none"], "etcd's certificates: "),
        ];
        for (args, expected) in table {
            let error = parse(args).storage().err().unwrap().to_string();
            assert!(error.starts_with(expected), "{args:?}: {error}");
        }
        assert!(matches!(parse(&["--storage-backend=memory"]).storage(), Ok(Storage::Memory)));
        let Ok(Storage::Etcd(etcd)) = parse(&["--etcd-servers=http://a:1, http://b:2"]).storage() else { panic!() };
        assert_eq!(etcd.endpoints, ["http://a:1", "http://b:2"]);
    }
}
