//! rustls configurations: TLS 1.2 and 1.3 with ring, HTTP/2 before HTTP/1.1.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, WantsClientCert};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SignatureScheme, WantsVerifier};

use super::material::{CaBundle, Identity};

/// gRPC needs HTTP/2; kubectl's exec and port-forward upgrade from HTTP/1.1.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Whether a server asks its clients for a certificate.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuth<'a> {
    /// A client without a certificate of these authorities does not get through the handshake.
    Required(&'a CaBundle),
    /// A client may come without a certificate (it may have a token); one that presents a certificate must have a good one.
    Optional(&'a CaBundle),
    /// No certificate is asked for.
    None,
}

/// What a server presents and demands.
pub fn server_config(identity: &Identity, client_auth: ClientAuth<'_>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        |roots: Arc<RootCertStore>| WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let verifier = match client_auth {
        ClientAuth::Required(ca) => verifier(ca.roots()).build(),
        ClientAuth::Optional(ca) => verifier(ca.roots()).allow_unauthenticated().build(),
        ClientAuth::None => Ok(WebPkiClientVerifier::no_client_auth()),
    }
    .expect("a CA bundle holds at least one certificate and no revocation lists");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Arc::new(config)
}

/// What a client presents, if it has an identity, and which servers it believes.
pub fn client_config(identity: Option<&Identity>, ca: &CaBundle) -> Arc<ClientConfig> {
    client_builder(identity, |builder| builder.with_root_certificates(ca.roots()))
}

/// The same, believing servers as `trust` says.
pub(super) fn client_builder(
    identity: Option<&Identity>,
    trust: impl FnOnce(ConfigBuilder<ClientConfig, WantsVerifier>) -> ConfigBuilder<ClientConfig, WantsClientCert>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    let builder = trust(builder);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(AlwaysPresent(identity.certified()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Arc::new(config)
}

/// Presents one certificate to every server that asks for one.
#[derive(Debug)]
struct AlwaysPresent(Arc<CertifiedKey>);

impl ResolvesClientCert for AlwaysPresent {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
