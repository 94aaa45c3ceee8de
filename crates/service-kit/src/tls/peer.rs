//! Who the other side is, read from the certificate it proved to own.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The subject of a verified client certificate. As in Kubernetes the common name is the user and each organization is a group:
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The user's name. Never empty.
    pub common_name: String,
    /// The user's groups, in the certificate's order.
    pub organizations: Vec<String>,
}

/// The subject of the first certificate of a chain, which TLS has verified before. `None` without a certificate, or when its
/// subject has no common name: such a client is nobody.
pub fn peer_identity(certs: &[CertificateDer<'_>]) -> Option<PeerIdentity> {
    let (_, certificate) = X509Certificate::from_der(certs.first()?).ok()?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().next()?.as_str().ok()?;
    if common_name.is_empty() {
        return None;
    }
    let organizations = subject
        .iter_organization()
        // A name in an exotic encoding grants nothing.
        .filter_map(|organization| organization.as_str().ok())
        .map(str::to_owned)
        .collect();
    Some(PeerIdentity { common_name: common_name.to_owned(), organizations })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::super::testing::Authority;
    use super::*;

    fn chain(common_name: &str, organizations: &[&str]) -> Vec<CertificateDer<'static>> {
        let (pem, _) = Authority::new("ca").sign(common_name, organizations);
        vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()]
    }

    #[test]
    fn the_subject_is_user_and_groups() {
        for (common_name, organizations) in [
            ("system:node:node-1", vec!["system:nodes"]),
            ("admin", vec!["system:masters", "staff"]),
            ("nobody-special", vec![]),
        ] {
            let peer = peer_identity(&chain(common_name, &organizations)).unwrap();
            assert_eq!(peer.common_name, common_name);
            assert_eq!(peer.organizations, organizations);
        }
    }

    #[test]
    fn no_certificate_or_no_name_is_nobody() {
        assert_eq!(peer_identity(&[]), None);
        assert_eq!(peer_identity(&[CertificateDer::from(vec![1, 2, 3])]), None);
        assert_eq!(peer_identity(&chain("", &["system:masters"])), None);
    }
}
