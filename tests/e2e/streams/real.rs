//! Sessions with processes: what a virtual container has nothing to answer with.

use super::{Going, on_process, running, scripted};
use crate::PATIENCE;
use api::core::v1::Pod;
use client::Api;
use std::process::Stdio;
use testkit::eventually;
use testkit::objects::pod;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_end_of_its_input_and_says_how_it_ended() {
    let Some(cluster) = on_process().await else { return };
    running(&Api::<Pod>::namespaced(cluster.client(), "default"), &scripted("box", "sleep 3600")).await;
    let typed = cluster.tpctl_with_input(&["exec", "-i", "box", "--", "cat"], "one\ntwo, without an end of line").await;
    assert_eq!(typed.success(), "one\ntwo, without an end of line");
    let counted = cluster.tpctl_with_input(&["exec", "-i", "box", "--", "wc", "-c"], &"x".repeat(1 << 20)).await;
    assert_eq!(counted.success(), "1048576\n");
    let apart = cluster.tpctl(&["exec", "box", "--", "sh", "-c", "echo out; echo err >&2"]).await;
    assert_eq!((apart.stdout(), apart.stderr()), ("out\n".to_owned(), "err\n".to_owned()));

    for (script, code, said) in [
        ("exit 3", 3, ""),
        ("nope", 127, "sh: nope: not found\n"),
        ("/etc", 126, "sh: /etc: Permission denied\n"),
        ("kill -9 $$", 137, ""),
    ] {
        let ran = cluster.tpctl(&["exec", "box", "--", "sh", "-c", script]).await;
        let expected = format!("{said}command terminated with exit code {code}\n");
        assert_eq!((ran.code(), ran.stderr()), (Some(code), expected), "{script}");
    }
    for (command, why) in [
        ("nope", "exec: \"nope\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc", "exec: \"/etc\": is a directory"),
    ] {
        let ran = cluster.tpctl(&["exec", "box", "--", command]).await;
        assert_eq!((ran.code(), ran.stdout().as_str()), (Some(1), ""));
        let said = ran.failure();
        let (begin, rest) = said.split_once('"').expect("it names the session");
        assert_eq!(
            begin,
            "error: Internal error occurred: error executing command in container: failed to exec in container: \
             failed to start exec "
        );
        let (id, rest) = rest.split_once('"').expect("the name ends");
        assert_eq!(id.len(), 64, "{said}");
        let expected =
            format!(": OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown\n");
        assert_eq!(rest, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_attaches_talks_to_the_main_process_and_ends_its_input() {
    let Some(cluster) = on_process().await else { return };
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let mut reads = pod("reads", "busybox");
    reads.spec.restart_policy = "Never".to_owned();
    let main = &mut reads.spec.containers[0];
    (main.command, main.stdin, main.stdin_once) = (vec!["cat".to_owned()], true, true);
    running(&pods, &reads).await;
    let attached = cluster.tpctl_with_input(&["attach", "-i", "-q", "reads"], "typed\nhere\n").await;
    assert_eq!(attached.success(), "typed\nhere\n");
    eventually("it has read all there is", PATIENCE, async || {
        let phase = pods.get("reads").await.map(|pod| pod.status.phase);
        if phase.as_deref() == Ok("Succeeded") { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    assert_eq!(cluster.tpctl(&["logs", "reads"]).await.success(), "typed\nhere\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_holds_up_nobody_else() {
    const MUCH: u64 = 50 << 20;
    let Some(cluster) = on_process().await else { return };
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    running(&pods, &scripted("talks", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.2; done")).await;
    let script = format!("yes | head -c {MUCH}");
    let mut command = cluster.command(&["exec", "talks", "--", "sh", "-c", &script]);
    let mut slow =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("tpctl starts");
    let mut output = BufReader::new(slow.stdout.take().expect("it is piped"));
    let mut first = [0; 4];
    output.read_exact(&mut first).await.expect("it prints");
    assert_eq!(&first, b"y\ny\n");

    let last = async || cluster.tpctl(&["logs", "talks", "--tail=1"]).await.success();
    let now: u64 = last().await.trim().parse().expect("a number");
    let mut following = Going::start(&cluster, &["logs", "-f", "talks", "--tail=1"]);
    while following.line().await.parse::<u64>().expect("a number") < now + 10 {}
    assert_eq!(cluster.tpctl(&["exec", "talks", "--", "echo", "beside"]).await.success(), "beside\n");
    let waits = cluster.tpctl(&["exec", "talks", "--", "pidof", "yes"]).await.success();
    assert_ne!(waits, "", "what nobody reads is not gathered anywhere: the command waits");

    let mut rest = 0;
    let read = async {
        let mut block = vec![0; 1 << 16];
        loop {
            match output.read(&mut block).await.expect("it is read") {
                0 => return,
                length => rest += length as u64,
            }
        }
    };
    timeout(PATIENCE, read).await.expect("the rest comes in time");
    assert_eq!(4 + rest, MUCH);
    assert!(slow.wait().await.expect("it ends").success());
}
