//! The certificate authority. Keys are ECDSA P-256; certificates are valid for ten years, because a cluster to learn on must not stop one day.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Names and addresses under which a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// Those of every server: this machine.
    pub(crate) fn local() -> Names {
        Names(["localhost", "127.0.0.1", "::1"].map(str::to_owned).into())
    }

    pub(crate) fn add(&mut self, name: &str) {
        if !name.is_empty() {
            self.0.insert(name.to_owned());
        }
    }

    fn alternatives(&self) -> Result<Vec<SanType>> {
        self.0
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => {
                    let name = name
                        .as_str()
                        .try_into()
                        .with_context(|| format!("{name:?} is neither a DNS name nor an address"))?;
                    Ok(SanType::DnsName(name))
                }
            })
            .collect()
    }
}

/// Signs certificates.
pub(crate) struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority.
    pub(crate) fn generate() -> Result<Authority> {
        let key = KeyPair::generate().context("no key could be made")?;
        let mut params = validity(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, "traceplane-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).context("the authority could not sign itself")?.pem();
        Ok(Authority { certificate, issuer: Issuer::new(params, key) })
    }

    /// An authority made earlier.
    pub(crate) fn load(certificate: &str, key: &str) -> Result<Authority> {
        let key = KeyPair::from_pem(key).context("the key is not readable")?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key).context("the certificate is not readable")?;
        Ok(Authority { certificate: certificate.to_owned(), issuer })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate, for use as server and client, and its key, both in PEM.
    pub(crate) fn issue(
        &self,
        common_name: &str,
        organization: Option<&str>,
        names: &Names,
    ) -> Result<(String, String)> {
        let key = KeyPair::generate().context("no key could be made")?;
        let mut params = validity(CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.subject_alt_names = names.alternatives()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).context("the certificate could not be signed")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// Whether a certificate was issued by us for all these names.
    pub(crate) fn covers(&self, certificate: &str, names: &Names) -> bool {
        let parse = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem);
        let (Some(certificate), Some(ours)) = (parse(certificate), parse(&self.certificate)) else { return false };
        let (Ok(certificate), Ok(ours)) = (certificate.parse_x509(), ours.parse_x509()) else { return false };
        if certificate.verify_signature(Some(ours.public_key())).is_err() {
            return false;
        }
        let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
        let held: BTreeSet<String> = alternatives
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                x509_parser::extensions::GeneralName::IPAddress(bytes) => address(bytes),
                _ => None,
            })
            .collect();
        names.0.is_subset(&held)
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}

fn validity(mut params: CertificateParams) -> CertificateParams {
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 10, 1, 1);
    params
}
