//! Starts that fail: one message that names the flag or the fix, and exit code 1.

use std::net::TcpListener;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::Authority;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(TempDir::new().unwrap());
        let authority = Authority::new();
        let (certificate, key) = authority.sign("kube-apiserver", "");
        for (name, content) in [("server.crt", &certificate), ("server.key", &key), ("ca.crt", &authority.pem)] {
            std::fs::write(files.0.path().join(name), content).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Runs the apiserver to its end with its certificates and further flags.
    fn run(&self, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_apiserver"))
            .args(["--bind-address=127.0.0.1", "--tls-cert-file", &self.path("server.crt")])
            .args(["--tls-private-key-file", &self.path("server.key"), "--client-ca-file", &self.path("ca.crt")])
            .args(flags)
            .output()
            .unwrap()
    }
}

/// The one line that starts with `error: `.
fn error_of(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    errors[0].to_owned()
}

#[test]
fn an_etcd_that_does_not_answer_is_waited_for_aloud_and_then_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let etcd = format!("--etcd-servers=http://{free}");
    let output = Files::new().run(&["--secure-port=0", &etcd, "--etcd-startup-timeout=2s"]);
    let error = error_of(&output);
    assert!(error.contains("etcd did not answer within 2s") && error.contains(&free.to_string()), "{error}");
    assert!(error.contains("--etcd-servers"), "{error}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("waiting for etcd"));
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--secure-port={}", taken.local_addr().unwrap().port());
    let error = error_of(&Files::new().run(&[&port, "--storage-backend=memory"]));
    assert!(error.contains("in use") && error.contains("--secure-port"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let output = Files::new().run(&["--token-auth-file=/nowhere/tokens.csv", "--storage-backend=memory"]);
    let error = error_of(&output);
    assert!(error.contains("--token-auth-file") && error.contains("/nowhere/tokens.csv"), "{error}");
}
