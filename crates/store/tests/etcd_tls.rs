//! An etcd that speaks TLS and wants to know who asks.

// Helpers of tests, too, may fail by panicking.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use store::conformance::{by, next, value};
use store::{EtcdConfig, EtcdStore, EtcdTls, Revision, Store};
use testkit::etcd::EtcdProcess;

/// Writes `<name>.crt` and `<name>.key`, signed by the CA.
fn issue(directory: &Path, name: &str, ca: &Issuer<'_, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    std::fs::write(directory.join(format!("{name}.crt")), cert.pem()).unwrap();
    std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn an_etcd_with_client_certificates_is_reached_with_ours_and_not_without() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let flag = |name: &str, file: &str| format!("--{name}={}", path(file).display());
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(path("ca.crt"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let ca = Issuer::new(ca, ca_key);
    issue(directory.path(), "etcd", &ca);
    issue(directory.path(), "apiserver", &ca);

    let flags = [
        flag("cert-file", "etcd.crt"),
        flag("key-file", "etcd.key"),
        flag("trusted-ca-file", "ca.crt"),
        "--client-cert-auth".to_owned(),
    ];
    let etcd = EtcdProcess::start_with_tls(&flags.each_ref().map(String::as_str)).await;
    let connect =
        |tls: EtcdTls| EtcdStore::new(&EtcdConfig { tls: Some(tls), ..EtcdConfig::new([etcd.endpoint()]) }).unwrap();

    let (cert, key) = (path("apiserver.crt"), path("apiserver.key"));
    let store = connect(EtcdTls::from_files(&path("ca.crt"), Some((&cert, &key))).unwrap());
    let revision = store.create("/registry/pods/default/a", value("one"), &by(1)).await.unwrap();
    let mut watch = store.watch(Revision::NONE).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, revision);

    let anonymous = connect(EtcdTls::from_files(&path("ca.crt"), None).unwrap());
    let error = anonymous.ping().await.unwrap_err().to_string();
    assert!(error.contains(&etcd.endpoint()), "{error}");

    let missing = path("missing.crt");
    let error = EtcdTls::from_files(&missing, None).unwrap_err().to_string();
    assert!(error.contains("missing.crt"), "{error}");
}
