//! Logs, commands, terminals and ports of containers in containerd, through `tpctl`.

use api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Real, is_ready, only};
use crate::streams::{Going, a_shell_works_and_leaves_the_terminal_as_it_was, get};

fn shell(script: &str) -> Value {
    json!({"containers": [{"name": "c", "image": "busybox:v1", "command": ["sh", "-c", script]}],
           "terminationGracePeriodSeconds": 1})
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_to_the_end_of_an_attempt_and_kept_for_the_one_before() {
    let Some(real) = Real::start().await else { return };
    real.create("again", shell("echo begin; until [ -f /root/go ]; do sleep 0.2; done; echo end >&2; exit 3")).await;
    real.becomes("again", "is ready", is_ready).await;
    let mut following = Going::start(&real.cluster, &["logs", "-f", "again"]);
    assert_eq!(following.line().await, "begin");
    real.run_in("again", "c", &["touch", "/root/go"]).await;
    assert_eq!(following.line().await, "end");
    assert_eq!(following.end().await, (String::new(), Some(0)));
    let restarted = |pod: &Pod| only(pod).restart_count == 1 && only(pod).state.running.is_some();
    real.becomes("again", "was restarted", restarted).await;
    let logs = async |flags: &[&str]| real.cluster.tpctl(&[&["logs", "again"], flags].concat()).await.success();
    assert_eq!(logs(&["-p"]).await, "begin\nend\n");
    assert_eq!(logs(&[]).await, "begin\n");
    let timed = logs(&["--timestamps"]).await;
    let (time, line) = timed.split_once(' ').expect("a time and a line");
    assert_eq!((time.len(), line), ("2026-01-02T03:04:05.000000000Z".len(), "begin\n"), "{timed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_shells_and_the_main_process_are_reached() {
    let Some(real) = Real::start().await else { return };
    real.create("box", shell("sleep 3600")).await;
    let reads = json!({"name": "c", "image": "busybox:v1", "command": ["cat"], "stdin": true});
    real.create("reads", json!({"containers": [reads], "terminationGracePeriodSeconds": 1})).await;
    real.becomes("box", "is ready", is_ready).await;
    let cluster = &real.cluster;
    let ran = cluster.tpctl(&["exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    assert_eq!((ran.code(), ran.stdout().as_str()), (Some(3), "out\n"));
    assert_eq!(ran.stderr(), "err\ncommand terminated with exit code 3\n");
    let typed = cluster.tpctl_with_input(&["exec", "-i", "box", "--", "sh"], "echo typed\nexit\n").await;
    assert_eq!(typed.success(), "typed\n");
    let ran = cluster.tpctl(&["exec", "box", "--", "nope"]).await;
    assert!(ran.stderr().contains("exec: \"nope\": executable file not found in $PATH"), "{}", ran.stderr());
    assert_eq!(ran.code(), Some(126));
    a_shell_works_and_leaves_the_terminal_as_it_was(cluster, "box", true).await;

    real.becomes("reads", "is ready", is_ready).await;
    let mut attached = Going::start(cluster, &["attach", "-i", "-q", "reads"]);
    attached.say("typed\n").await;
    assert_eq!(attached.line().await, "typed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_for_many_at_once() {
    let Some(real) = Real::start().await else { return };
    let web = json!({"name": "web", "image": "nginx", "imagePullPolicy": "IfNotPresent",
                     "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1}});
    real.create("web", json!({"containers": [web], "terminationGracePeriodSeconds": 1})).await;
    real.becomes("web", "is ready", is_ready).await;
    let mut forward = Going::start(&real.cluster, &["port-forward", "web", ":80", "--address", "127.0.0.1"]);
    let line = forward.line().await;
    let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.strip_suffix(" -> 80"));
    let address = address.unwrap_or_else(|| panic!("{line:?}"));
    for answer in futures::future::join_all((0..8).map(|_| get(address))).await {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
