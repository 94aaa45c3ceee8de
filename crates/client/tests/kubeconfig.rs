//! The kubeconfig's format, held against kubectl where there is one, and what is said about a wrong one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use testkit::pki::Authority;
use traceplane_client::{Kubeconfig, KubeconfigError};

/// With everything that kubectl itself writes, members that we do not use among it.
const FULL: &str = r#"apiVersion: v1
clusters:
- cluster:
    certificate-authority: pki/ca.crt
    disable-compression: true
    extensions:
    - extension:
        version: "1"
      name: editor
    server: https://127.0.0.1:6443
    tls-server-name: apiserver
  name: here
contexts:
- context:
    cluster: here
    namespace: work
    user: me
  name: me@here
- context:
    cluster: here
    user: ""
  name: nobody@here
current-context: me@here
kind: Config
preferences: {}
users:
- name: me
  user:
    client-certificate: pki/me.crt
    client-key: pki/me.key
    token: s3cret
    tokenFile: token
- name: nobody
  user: {}
"#;

fn written(folder: &TempDir, text: &str) -> Kubeconfig {
    let path = folder.path().join("config");
    std::fs::write(&path, text).unwrap();
    Kubeconfig::read(&path).unwrap()
}

fn value(yaml: &str) -> serde_json::Value {
    serde_yaml_ng::from_str(yaml).unwrap()
}

#[test]
fn a_file_survives_being_read_and_written() {
    let folder = TempDir::new().unwrap();
    let config = written(&folder, FULL);
    let again = written(&folder, &config.to_yaml());
    assert_eq!(config, again);
    // Nothing changes but that paths have become absolute.
    let mut expected = value(FULL);
    let absolute = |path: &str| folder.path().join(path).to_str().unwrap().to_owned();
    expected["clusters"][0]["cluster"]["certificate-authority"] = absolute("pki/ca.crt").into();
    for (member, path) in [("client-certificate", "pki/me.crt"), ("client-key", "pki/me.key"), ("tokenFile", "token")] {
        expected["users"][0]["user"][member] = absolute(path).into();
    }
    assert_eq!(value(&config.to_yaml()), expected);
}

#[test]
fn kubectl_reads_what_we_write_and_we_read_what_it_writes() {
    let Ok(version) = Command::new("kubectl").args(["version", "--client"]).output() else {
        eprintln!("skipped: there is no kubectl here");
        return;
    };
    assert!(version.status.success(), "{version:?}");
    let (folder, ca) = (TempDir::new().unwrap(), Authority::new("ca"));
    let path = folder.path().join("ours");
    let kubectl = |path: &Path, arguments: &[&str]| {
        let output = Command::new("kubectl").arg("--kubeconfig").arg(path).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let ours = ca.kubeconfig(folder.path(), "https://127.0.0.1:6443", Some(&ca.sign("me", "", &[])));
    std::fs::write(&path, ours.to_yaml()).unwrap();
    let shown = kubectl(&path, &["config", "view", "--raw"]);
    let by_kubectl = folder.path().join("by-kubectl");
    std::fs::write(&by_kubectl, &shown).unwrap();
    let mut read = Kubeconfig::read(&by_kubectl).unwrap();
    // kubectl always writes its preferences, none though there are.
    read.other.remove("preferences");
    read.origin.clone_from(&ours.origin);
    assert_eq!(read, ours);

    // An empty one, whose lists kubectl writes as null, filled by its own commands.
    let theirs = folder.path().join("theirs");
    std::fs::write(&theirs, kubectl(Path::new("/dev/null"), &["config", "view", "--raw"])).unwrap();
    assert_eq!(Kubeconfig::read(&theirs).unwrap().contexts, []);
    for command in [
        "set-cluster test --server=https://127.0.0.1:6443 --certificate-authority=ca.crt --embed-certs",
        "set-credentials test --client-certificate=user.crt --client-key=user.key --embed-certs",
        "set-context test --cluster=test --user=test --namespace=work",
        "use-context test",
    ] {
        let words: Vec<String> = command
            .split(' ')
            .map(|word| match word.split_once('=') {
                Some((flag, file)) if Path::new(file).extension().is_some_and(|e| e == "crt" || e == "key") => {
                    format!("{flag}={}", folder.path().join(file).display())
                }
                _ => word.to_owned(),
            })
            .collect();
        let mut arguments = vec!["config"];
        arguments.extend(words.iter().map(String::as_str));
        kubectl(&theirs, &arguments);
    }
    let session = Kubeconfig::read(&theirs).unwrap().session(None).unwrap();
    assert_eq!((session.server.as_str(), session.namespace.as_str()), ("https://127.0.0.1:6443", "work"));
    assert!(session.identity.is_some());
}

#[test]
fn credentials_may_stand_in_place_or_in_files_or_both_ways() {
    use base64::Engine as _;
    let (folder, ca) = (TempDir::new().unwrap(), Authority::new("ca"));
    let pair = ca.sign("me", "", &[]);
    let data = |text: &str| Some(base64::engine::general_purpose::STANDARD.encode(text));
    let files = ca.kubeconfig(folder.path(), "https://127.0.0.1:6443", Some(&pair));
    let change = |change: &dyn Fn(&mut Kubeconfig)| {
        let mut config = files.clone();
        change(&mut config);
        config.session(None).unwrap().identity.is_some()
    };
    assert!(change(&|_| ()));
    assert!(change(&|c| c.users[0].content.client_certificate_data = data(&pair.certificate)));
    assert!(change(&|c| {
        let user = &mut c.users[0].content;
        (user.client_key, user.client_key_data) = (None, data(&pair.key));
    }));
    assert!(change(&|c| c.clusters[0].content.certificate_authority_data = data(&ca.pem)));
    assert!(!change(&|c| c.contexts[0].content.user.clear()), "a context without user is nobody's");
}

#[test]
fn what_is_missing_or_unsupported_is_named_with_the_file() {
    let (folder, ca) = (TempDir::new().unwrap(), Authority::new("ca"));
    let good = ca.kubeconfig(folder.path(), "https://127.0.0.1:6443", Some(&ca.sign("me", "", &[])));
    let path = folder.path().join("config");
    type Damage = fn(&mut Kubeconfig);
    let cases: [(&str, Damage); 9] = [
        ("no context is current; choose one with `kubectl config use-context` (it has test)", |c| {
            c.current_context.clear()
        }),
        ("there is no context \"other\" (it has test)", |c| c.current_context = "other".to_owned()),
        ("there is no cluster \"test\" (it has none)", |c| c.clusters.clear()),
        ("there is no user \"test\" (it has none)", |c| c.users.clear()),
        ("has no certificate-authority", |c| c.clusters[0].content.certificate_authority = None),
        ("certificate without its key", |c| c.users[0].content.client_key = None),
        ("certificate-authority-data of cluster \"test\" is not base64", |c| {
            c.clusters[0].content.certificate_authority_data = Some("!".to_owned())
        }),
        ("user \"test\" has exec, which is not supported here", |c| {
            c.users[0].content.other.insert("exec".to_owned(), serde_json::json!({ "command": "aws" }));
        }),
        ("cluster \"test\" has insecure-skip-tls-verify", |c| {
            c.clusters[0].content.other.insert("insecure-skip-tls-verify".to_owned(), true.into());
        }),
    ];
    for (part, damage) in cases {
        let mut config = good.clone();
        damage(&mut config);
        std::fs::write(&path, config.to_yaml()).unwrap();
        let error = Kubeconfig::read(&path).unwrap().session(None).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(path.to_str().unwrap()), "{part:?} is not in: {error}");
    }
}

#[test]
fn what_is_no_kubeconfig_is_refused_without_showing_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Kubeconfig::read(&path).unwrap_err().to_string()
    };
    for (text, part) in [
        ("apiVersion: apps/v1\nkind: Deployment\n", "it is a Deployment of apps/v1"),
        ("users: [{user: {token: s3cret}}]", "a user has no name"),
        ("users: [{name: me, user: {token: {s3cret: 1}}}]", "user \"me\" has a member of a wrong type"),
        ("- s3cret", "is not a kubeconfig"),
        ("}{", "is not a kubeconfig"),
    ] {
        let error = read(text);
        assert!(error.contains(part) && error.contains("config is not a kubeconfig"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let absent = Kubeconfig::read(&folder.path().join("absent"));
    assert!(matches!(&absent, Err(KubeconfigError::Read { .. })), "{absent:?}");
    assert!(absent.unwrap_err().to_string().contains("`tpctl up` makes one"));
}

#[test]
fn no_secret_is_shown_by_debug_output() {
    let folder = TempDir::new().unwrap();
    let config = written(&folder, FULL);
    assert!(!format!("{config:?}").contains("s3cret"));
    let ca = Authority::new("ca");
    let mut config = ca.kubeconfig(folder.path(), "https://127.0.0.1:6443", None);
    config.users[0].content.token = Some("s3cret".to_owned());
    let session = config.session(None).unwrap();
    assert_eq!(session.token.as_deref(), Some("s3cret"));
    assert!(!format!("{session:?}").contains("s3cret"));
}
