//! Commands that cannot be run, where containers are processes.

use api::core::v1::Pod;
use client::Api;
use testkit::cluster::Cluster;
use testkit::{is_root, skip};

use super::waiting::{Waits, each_waits, end};

/// S3: RunContainerError, StartError, CrashLoopBackOff. The words are those of containerd and runc.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_run_is_a_start_error_in_the_runtimes_words() {
    if !is_root() {
        return skip("only root runs containers as processes");
    }
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let table = [
        ("no-name", "nope", "exec: \"nope\": executable file not found in $PATH"),
        ("no-file", "/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("no-program", "/etc", "exec: \"/etc\": is a directory"),
    ]
    .map(|(name, command, why)| {
        let begin = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed";
        let why = format!("{begin}: unable to start container process: error during container init: {why}: unknown");
        (name, why.clone(), Waits::to_start(name, command, &why))
    });
    let (names, cases): (Vec<_>, Vec<_>) = table.into_iter().map(|(name, why, case)| ((name, why), case)).unzip();
    each_waits(&cluster, &cases).await;
    for (name, why) in names {
        assert_eq!(end(&pods, name).await, ("StartError".to_owned(), 128, why));
    }
}
