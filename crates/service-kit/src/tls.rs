//! Who this process is on the wire, and whom it believes: mutual TLS with rustls and ring.
//!
//! An [`Identity`] is a certificate chain with its key, a [`CaBundle`] the authorities that are believed; both come from PEM
//! files or from PEM bytes (a kubeconfig carries them inline) and are checked when they are loaded, so that a wrong file is
//! found at start and not in the first handshake. [`server_config`] and [`client_config`] make rustls configurations of them,
//! and [`peer_identity`] reads who the other side is.
//!
//! Invariant: no message of this module shows a key, and each names the file and what to do. It makes no certificates
//! (`tpctl pki` does) and does not watch the files: an exchanged certificate is read at the next start.

mod args;
mod config;
mod error;
mod material;
mod peer;

pub use args::TlsServingArgs;
pub use config::{ClientAuth, client_config, server_config};
pub use error::{Item, Origin, TlsError};
pub use material::{CaBundle, Identity};
pub use peer::{PeerIdentity, peer_identity};

/// Makes ring the process's default for cryptography. The configurations made here name it themselves; this is for libraries
/// that ask for the default. Calling it again does nothing.
pub fn install_provider() {
    // An error means that a default is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
pub(crate) mod testing {
    //! Certificates for tests, made on the spot.

    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::{CaBundle, Identity};

    /// A certificate authority and what it signs.
    pub(crate) struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        pub(crate) fn new(name: &str) -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            Self { pem, issuer: Issuer::new(params, key) }
        }

        pub(crate) fn bundle(&self) -> CaBundle {
            CaBundle::from_pem(self.pem.as_bytes(), "test CA").unwrap()
        }

        pub(crate) fn bundle_pem(&self) -> &str {
            &self.pem
        }

        /// PEM of a certificate for `localhost` and of its key.
        pub(crate) fn sign_pem(
            &self,
            common_name: &str,
            organizations: &[&str],
            adjust: impl FnOnce(&mut CertificateParams),
        ) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, common_name);
            // rcgen keeps one value per type; the second organization comes in under the type's number.
            let types = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
            assert!(organizations.len() <= types.len());
            for (kind, organization) in types.into_iter().zip(organizations) {
                params.distinguished_name.push(kind, *organization);
            }
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            adjust(&mut params);
            (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
        }

        pub(crate) fn sign(&self, common_name: &str, organizations: &[&str]) -> Identity {
            let (cert, key) = self.sign_pem(common_name, organizations, |_| ());
            Identity::from_pem(cert.as_bytes(), key.as_bytes(), "test identity").unwrap()
        }
    }
}
