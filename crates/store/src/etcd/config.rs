//! How to reach etcd. Plain data: nothing here connects or reads the environment.

use std::path::Path;
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::{Error, Result};

/// How much etcd may send before we have read it: a page of a list, so that it arrives without a pause. Fixed, since
/// finding the size adaptively takes pings, and etcd counts pings as abuse.
const WINDOW_BYTES: u32 = 4 << 20;

/// Where etcd is and how patient to be with it.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// The members' client URLs, for example `http://127.0.0.1:2379`. Any of them will do; the next one is
    /// tried when one does not answer.
    pub endpoints: Vec<String>,
    /// What every key begins with. Kubernetes' default is `/registry`.
    pub root: String,
    /// Certificates, for `https` endpoints.
    pub tls: Option<EtcdTls>,
    /// How long one request may take before etcd counts as unavailable.
    pub request_timeout: Duration,
    /// How often to ask over an open connection whether the other side is alive. etcd closes connections that
    /// ask more often than every 5 s (its `--grpc-keepalive-min-time`).
    pub keep_alive: Duration,
    /// How long the answer to that may take before the connection counts as dead.
    pub keep_alive_timeout: Duration,
}

impl EtcdConfig {
    /// The usual settings for these endpoints.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            root: "/registry".to_owned(),
            tls: None,
            request_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
        }
    }

    /// One of the endpoints, ready to be connected to.
    pub(super) fn endpoint(&self, url: &str) -> Result<Endpoint> {
        let wrong = |reason: &dyn std::fmt::Display| {
            Error::Internal(format!("the etcd endpoint {url:?} cannot be used: {reason}"))
        };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| wrong(&error))?;
        let endpoint = match (endpoint.uri().scheme_str(), &self.tls) {
            (Some("http"), None) => endpoint,
            (Some("https"), tls) => {
                let options = tls.as_ref().map_or_else(ClientTlsConfig::new, |tls| tls.options.clone());
                endpoint.tls_config(options).map_err(|error| wrong(&error))?
            }
            (Some("http"), Some(_)) => {
                return Err(wrong(&"certificates are given, so the URL must begin with https://"));
            }
            _ => return Err(wrong(&"a URL such as http://127.0.0.1:2379 is needed")),
        };
        Ok(endpoint
            // Less than a request may take, so that a request knows that it was never sent and can go elsewhere.
            .connect_timeout(self.request_timeout / 2)
            .http2_keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive_timeout)
            // etcd counts pings on idle connections as abuse and closes them.
            .keep_alive_while_idle(false)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true))
    }
}

/// The certificates for an etcd that speaks TLS.
#[derive(Clone, Debug)]
pub struct EtcdTls {
    options: ClientTlsConfig,
}

impl EtcdTls {
    /// From PEM text: the CA that signed etcd's certificate, and our own certificate with its key if etcd wants one.
    pub fn from_pem(ca: &[u8], identity: Option<(&[u8], &[u8])>) -> Self {
        let mut options = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let Some((cert, key)) = identity {
            options = options.identity(Identity::from_pem(cert, key));
        }
        Self { options }
    }

    /// From PEM files, as Kubernetes' `--etcd-cafile`, `--etcd-certfile` and `--etcd-keyfile` name them.
    pub fn from_files(ca: &Path, identity: Option<(&Path, &Path)>) -> Result<Self> {
        let ca = read(ca)?;
        let identity = identity.map(|(cert, key)| Ok::<_, Error>((read(cert)?, read(key)?))).transpose()?;
        let identity = identity.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
        Ok(Self::from_pem(&ca, identity))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Error::Internal(format!("cannot read the etcd certificate file {}: {error}", path.display())))
}
