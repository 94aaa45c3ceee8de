//! Identities and CA bundles: loading, and the checks that can be made without a peer.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::{Item, Origin, TlsError};

/// A certificate chain, leaf first, with the private key of the leaf. Cheap to clone.
///
/// Debug output names where it came from and never the key.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    origin: Origin,
}

impl Identity {
    /// Reads the chain and the key from PEM files and checks them as [`from_pem`](Self::from_pem) does.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read(Item::Certificate, certificate)?;
        let key_pem = read(Item::PrivateKey, key)?;
        Self::load(
            &chain,
            &key_pem,
            Origin::File(certificate.to_owned()),
            Origin::File(key.to_owned()),
            Timestamp::now(),
        )
    }

    /// Takes the chain and the key from PEM bytes. `origin` names where they stood, for messages.
    ///
    /// Checked are the form, that key and certificate are a pair, and that each certificate of the chain is valid now.
    pub fn from_pem(certificate: &[u8], key: &[u8], origin: &str) -> Result<Self, TlsError> {
        let origin = Origin::Data(origin.to_owned());
        Self::load(certificate, key, origin.clone(), origin, Timestamp::now())
    }

    /// The certificate chain, leaf first.
    pub fn cert_chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The chain and key in the form that rustls serves and presents.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    fn load(
        certificate: &[u8],
        key: &[u8],
        certificate_origin: Origin,
        key_origin: Origin,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let chain = certificates(Item::Certificate, certificate, &certificate_origin, now)?;
        let key = private_key(key, &key_origin)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::WrongKey { certificate: certificate_origin.clone(), key: key_origin }
            }
            error => TlsError::Unusable { item: Item::PrivateKey, origin: key_origin, error },
        })?;
        Ok(Self { certified: Arc::new(certified), origin: certificate_origin })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The authorities whose certificates are believed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CaBundle {
    roots: Arc<RootCertStore>,
}

impl CaBundle {
    /// Reads one or more CA certificates from a PEM file.
    pub fn from_pem_file(path: &Path) -> Result<Self, TlsError> {
        let pem = read(Item::CaCertificate, path)?;
        Self::load(&pem, &Origin::File(path.to_owned()), Timestamp::now())
    }

    /// Takes one or more CA certificates from PEM bytes. `origin` names where they stood, for messages.
    pub fn from_pem(pem: &[u8], origin: &str) -> Result<Self, TlsError> {
        Self::load(pem, &Origin::Data(origin.to_owned()), Timestamp::now())
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    fn load(pem: &[u8], origin: &Origin, now: Timestamp) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(Item::CaCertificate, pem, origin, now)? {
            roots.add(certificate).map_err(|error| TlsError::Unusable {
                item: Item::CaCertificate,
                origin: origin.clone(),
                error,
            })?;
        }
        Ok(Self { roots: Arc::new(roots) })
    }
}

fn read(item: Item, path: &Path) -> Result<Vec<u8>, TlsError> {
    let origin = || Origin::File(path.to_owned());
    std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TlsError::Missing { item, origin: origin() },
        _ => TlsError::NotReadable { item, origin: origin(), error },
    })
}

/// At least one certificate, all of them valid at `now`.
fn certificates(
    item: Item,
    pem: &[u8],
    origin: &Origin,
    now: Timestamp,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let damaged = |hint| TlsError::NotPem { item, origin: origin.clone(), hint };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| damaged("a block in it is damaged; copy or make it again"))?;
    if chain.is_empty() {
        return Err(damaged(if PrivateKeyDer::from_pem_slice(pem).is_ok() {
            "it holds a private key; were the two paths exchanged?"
        } else {
            "expected a block that begins with -----BEGIN CERTIFICATE-----"
        }));
    }
    for certificate in &chain {
        check_validity(item, certificate, origin, now)?;
    }
    Ok(chain)
}

fn private_key(pem: &[u8], origin: &Origin) -> Result<PrivateKeyDer<'static>, TlsError> {
    // The parser's own error is dropped: it may quote the text it choked on.
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NotPem {
        item: Item::PrivateKey,
        origin: origin.clone(),
        hint: if CertificateDer::from_pem_slice(pem).is_ok() {
            "it holds a certificate; were the two paths exchanged?"
        } else {
            "expected an unencrypted block that begins with -----BEGIN PRIVATE KEY-----"
        },
    })
}

fn check_validity(
    item: Item,
    certificate: &CertificateDer<'_>,
    origin: &Origin,
    now: Timestamp,
) -> Result<(), TlsError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| TlsError::NotPem {
        item,
        origin: origin.clone(),
        hint: "the block is no X.509 certificate; copy or make it again",
    })?;
    let time = |seconds: i64, beyond| Timestamp::from_second(seconds).unwrap_or(beyond);
    let validity = parsed.validity();
    let not_before = time(validity.not_before.timestamp(), Timestamp::MIN);
    let not_after = time(validity.not_after.timestamp(), Timestamp::MAX);
    if now < not_before {
        return Err(TlsError::NotYetValid { item, origin: origin.clone(), not_before });
    }
    if now > not_after {
        return Err(TlsError::Expired { item, origin: origin.clone(), not_after });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Authority;
    use super::*;

    fn message(result: Result<Identity, TlsError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn files_make_an_identity_whose_debug_output_keeps_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = Authority::new("ca").sign("scheduler", &[]);
        let (cert_path, key_path) = (dir.path().join("a.crt"), dir.path().join("a.key"));
        std::fs::write(&cert_path, &cert).unwrap();
        std::fs::write(&key_path, &key).unwrap();
        let identity = Identity::from_pem_files(&cert_path, &key_path).unwrap();
        assert_eq!(identity.cert_chain().len(), 1);
        assert_eq!(format!("{identity:?}"), format!("Identity {{ origin: File({cert_path:?}), .. }}"));
    }

    #[test]
    fn a_bundle_holds_every_authority_of_its_pem() {
        let pem = Authority::new("one").pem + &Authority::new("two").pem;
        assert_eq!(CaBundle::from_pem(pem.as_bytes(), "x").unwrap().roots().len(), 2);
        assert!(matches!(CaBundle::from_pem(b"", "x"), Err(TlsError::NotPem { item: Item::CaCertificate, .. })));
    }

    #[test]
    fn a_missing_or_unreadable_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("absent.crt");
        let text = message(Identity::from_pem_files(&absent, &absent));
        assert!(text.starts_with(&format!("certificate file {} does not exist: ", absent.display())), "{text}");
        // A directory cannot be read as a file, whoever runs the test.
        let text = CaBundle::from_pem_file(dir.path()).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot read CA certificate file {}", dir.path().display())), "{text}");
    }

    #[test]
    fn what_is_not_a_pair_is_refused() {
        let ca = Authority::new("ca");
        let (cert, key) = ca.sign("a", &[]);
        let (_, other_key) = ca.sign("b", &[]);
        for (cert, key, expected) in [
            (&cert, &other_key, "does not belong to the certificate"),
            (&key, &cert, "were the two paths exchanged?"),
            (&cert, &cert, "were the two paths exchanged?"),
            (&cert, &String::from("nothing"), "-----BEGIN PRIVATE KEY-----"),
            (&String::new(), &key, "-----BEGIN CERTIFICATE-----"),
            (&cert.replacen('M', "!", 3), &key, "damaged"),
        ] {
            let text = message(Identity::from_pem(cert.as_bytes(), key.as_bytes(), "x"));
            assert!(text.contains(expected) && !text.contains("MII"), "{text}");
        }
    }

    #[test]
    fn certificates_are_refused_outside_their_time() {
        let (cert, key) = Authority::new("ca").sign_adjusted("a", &[], |params| {
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        });
        let origin = Origin::Data("a".to_owned());
        let load = |now: &str| {
            Identity::load(cert.as_bytes(), key.as_bytes(), origin.clone(), origin.clone(), now.parse().unwrap())
        };
        assert!(load("2026-06-01T00:00:00Z").is_ok());
        assert!(matches!(load("2025-12-31T23:59:59Z"), Err(TlsError::NotYetValid { .. })));
        let expired = load("2027-01-01T00:00:01Z").unwrap_err();
        assert_eq!(
            expired.to_string(),
            "the certificate in a expired at 2027-01-01T00:00:00Z: renew it with `tpctl pki`"
        );
    }
}
