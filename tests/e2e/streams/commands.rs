//! `tpctl exec`.

use super::{on_process, on_virtual, running, scripted, terminal};
use crate::PATIENCE;
use api::core::v1::Pod;
use client::Api;
use testkit::cluster::Cluster;
use testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_inside_with_their_input_their_exit_code_and_a_terminal() {
    commands(&on_virtual().await, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_inside_with_their_input_their_exit_code_and_a_terminal_for_real() {
    let Some(cluster) = on_process().await else { return };
    commands(&cluster, true).await;
}

async fn commands(cluster: &Cluster, real: bool) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    running(&pods, &scripted("box", "sleep 3600")).await;
    let exec = async |arguments: &[&str]| cluster.tpctl(&[&["exec"], arguments].concat()).await;
    assert_eq!(exec(&["box", "--", "echo", "hello", "-n", "x"]).await.success(), "hello -n x\n");
    let copied = cluster.tpctl_with_input(&["exec", "-i", "box", "--", "sh"], "echo typed\necho here\n").await;
    assert_eq!(copied.success(), "typed\nhere\n");
    exec(&["box", "--", "touch", "/tmp/made"]).await.success();
    assert_eq!(exec(&["pod/box", "--", "ls", "/tmp/made"]).await.success(), "/tmp/made\n");
    let ran = exec(&["box", "--", "sh", "-c", "exit 3"]).await;
    assert_eq!((ran.code(), ran.failure().as_str()), (Some(3), "command terminated with exit code 3\n"));
    let ran = cluster.tpctl_with_input(&["exec", "-it", "box", "--", "sh"], "echo x\n").await;
    assert_eq!(ran.stderr(), "Unable to use a TTY - input is not a terminal or the right kind of file\n");
    assert_eq!(ran.success(), "x\n");
    assert_eq!(
        exec(&["box", "--"]).await.failure(),
        "error: you must specify at least one command for the container\n"
    );
    assert_eq!(
        exec(&["box", "-c", "none", "--", "ls"]).await.failure(),
        "Error from server (BadRequest): container none is not valid for pod box\n"
    );

    terminal::a_shell_works_and_leaves_the_terminal_as_it_was(cluster, "box", real).await;

    let mut done = scripted("done", "exit 0");
    done.spec.restart_policy = "Never".to_owned();
    pods.create(&done).await.expect("it is created");
    eventually("it has ended", PATIENCE, async || {
        let phase = pods.get("done").await.map(|pod| pod.status.phase);
        if phase.as_deref() == Ok("Succeeded") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    assert_eq!(
        exec(&["done", "--", "ls"]).await.failure(),
        "error: cannot exec into a container in a completed pod; current phase is Succeeded\n"
    );
}
