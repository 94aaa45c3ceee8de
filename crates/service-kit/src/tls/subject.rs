//! Believing a server by whom its certificate names, where an address proves little: a node's may change, and several share one.
//!
//! The chain is verified as always. Only the last question differs: a certificate that is not for the address asked for is believed
//! all the same when its subject is the one that is meant.

use std::fmt;
use std::slice;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::config::client_builder;
use super::material::{CaBundle, Identity};
use super::peer::{PeerIdentity, peer_identity};

/// As [`client_config`](super::client_config), for servers of `ca` that either have a certificate for their address or are who
/// `is_meant` says.
pub fn client_config_for_subject(
    identity: &Identity,
    ca: &CaBundle,
    is_meant: impl Fn(&PeerIdentity) -> bool + Send + Sync + 'static,
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(ca.roots(), provider)
        .build()
        .expect("a CA bundle holds at least one certificate and no revocation lists");
    let verifier = BySubject { chain, is_meant: Box::new(is_meant) };
    client_builder(Some(identity), |builder| builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

struct BySubject {
    chain: Arc<WebPkiServerVerifier>,
    is_meant: Box<dyn Fn(&PeerIdentity) -> bool + Send + Sync>,
}

impl fmt::Debug for BySubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BySubject").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for BySubject {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: everything else about the certificate is good.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if peer_identity(slice::from_ref(end_entity)).is_some_and(|peer| (self.is_meant)(&peer)) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::super::testing::Authority;
    use super::*;

    /// Whether a certificate of `signer` for `subject` is believed on a connection to 10.0.0.1, by whoever wants node `a`.
    fn believes(ca: &Authority, signer: &Authority, subject: &str, group: &str) -> bool {
        let bundle = CaBundle::from_pem(ca.pem.as_bytes(), "ca").unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = WebPkiServerVerifier::builder_with_provider(bundle.roots(), provider).build().unwrap();
        let is_meant = |peer: &PeerIdentity| {
            peer.common_name == "system:node:a" && peer.organizations.iter().any(|group| group == "system:nodes")
        };
        let verifier = BySubject { chain, is_meant: Box::new(is_meant) };
        let (pem, _) = signer.sign(subject, &[group]);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let address = ServerName::try_from("10.0.0.1").unwrap();
        verifier.verify_server_cert(&certificate, &[], &address, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn a_server_is_believed_that_is_the_one_meant_and_of_the_authority() {
        let (ca, other) = (Authority::new("ca"), Authority::new("other"));
        assert!(believes(&ca, &ca, "system:node:a", "system:nodes"));
        assert!(!believes(&ca, &ca, "system:node:b", "system:nodes"), "another node");
        assert!(!believes(&ca, &ca, "system:node:a", "dev"), "a name without the group");
        assert!(!believes(&ca, &other, "system:node:a", "system:nodes"), "another authority");
    }
}
