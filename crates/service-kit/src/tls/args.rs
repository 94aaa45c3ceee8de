//! The serving flags that every component shares, named as Kubernetes names them.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

use super::{CaBundle, ClientAuth, Identity, TlsError, server_config};

/// The files a server takes its identity from, and the authority of its clients.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Secure serving")]
pub struct TlsServingArgs {
    /// PEM file with the certificate to serve with, followed by its chain.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// PEM file with the private key of --tls-cert-file.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_TLS_PRIVATE_KEY_FILE")]
    pub tls_private_key_file: Option<PathBuf>,

    /// PEM file with the authorities whose client certificates are believed.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_CLIENT_CA_FILE")]
    pub client_ca_file: Option<PathBuf>,
}

impl TlsServingArgs {
    /// Loads the identity to serve with; `None` when neither file is named.
    pub fn identity(&self) -> Result<Option<Identity>, TlsError> {
        const CERTIFICATE: &str = "--tls-cert-file";
        const KEY: &str = "--tls-private-key-file";
        match (&self.tls_cert_file, &self.tls_private_key_file) {
            (Some(certificate), Some(key)) => Identity::from_pem_files(certificate, key).map(Some),
            (None, None) => Ok(None),
            (Some(_), None) => Err(TlsError::Incomplete { given: CERTIFICATE, missing: KEY }),
            (None, Some(_)) => Err(TlsError::Incomplete { given: KEY, missing: CERTIFICATE }),
        }
    }

    /// The configuration of a port where everyone may ask and no one must say who they are, such as the operations port: clients
    /// of --client-ca-file are known, others are nobody. `None` (plain text) when no identity is named.
    pub fn open_server_config(&self) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        let client_ca = self.client_ca()?;
        let client_auth = client_ca.as_ref().map_or(ClientAuth::None, ClientAuth::Optional);
        Ok(self.identity()?.map(|identity| server_config(&identity, client_auth)))
    }

    /// Loads the authorities of the clients; `None` when no file is named.
    pub fn client_ca(&self) -> Result<Option<CaBundle>, TlsError> {
        self.client_ca_file.as_deref().map(CaBundle::from_pem_file).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_its_key_is_refused_by_flag() {
        let half = TlsServingArgs { tls_cert_file: Some("a.crt".into()), ..Default::default() };
        assert_eq!(
            half.identity().unwrap_err().to_string(),
            "--tls-cert-file is given without --tls-private-key-file: give both, or neither"
        );
        assert!(TlsServingArgs::default().identity().unwrap().is_none());
    }
}
