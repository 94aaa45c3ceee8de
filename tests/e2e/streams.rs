//! What people reach inside of pods: logs, exec, attach, port-forward, from `tpctl` through the apiserver to the kubelet's runtime.
//!
//! What containers of both kinds can do is asked of both: of virtual ones, and of processes where we may start them.

mod commands;
mod logs;
mod ports;
mod real;
mod terminal;

pub(crate) use ports::get;
pub(crate) use terminal::a_shell_works_and_leaves_the_terminal_as_it_was;

use crate::{PATIENCE, is};
use api::core::v1::{Container, Pod};
use client::Api;
use std::process::Stdio;
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::objects::pod;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

async fn on_virtual() -> Cluster {
    Cluster::start_with(&["--nodes", "1"]).await
}

/// A node that runs commands for real, if we are allowed to have one.
async fn on_process() -> Option<Cluster> {
    if !testkit::is_root() {
        testkit::skip("only root runs containers as processes");
        return None;
    }
    Some(Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await)
}

/// A pod whose container runs a script.
fn scripted(name: &str, script: &str) -> Pod {
    let mut pod = pod(name, "busybox");
    pod.spec.containers[0].command = ["sh", "-c", script].map(str::to_owned).to_vec();
    // Nobody has to wait until a shell has not obeyed.
    pod.spec.termination_grace_period_seconds = Some(1);
    pod
}

async fn running(pods: &Api<Pod>, pod: &Pod) {
    pods.create(pod).await.expect("the pod is created");
    let name = &pod.metadata.name;
    eventually(&format!("{name} is Ready"), PATIENCE, async || match pods.get(name).await {
        Ok(pod) if is(&pod, "Ready") => Ok(()),
        Ok(pod) => Err(format!("{:?}", pod.status)),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

/// A command that goes on, and the lines that it prints.
pub(crate) struct Going {
    child: Child,
    /// Goes on as well, if it wants any.
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Going {
    pub(crate) fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        let mut command = cluster.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("tpctl can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { input: child.stdin.take().expect("it is piped"), child, lines }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.expect("it reads its input");
    }

    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line in time").expect("lines are text");
        line.expect("the command goes on")
    }

    /// What it says on stderr until it ends, and its exit code.
    pub(crate) async fn end(mut self) -> (String, Option<i32>) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let ended = async {
            while let Ok(Some(_)) = self.lines.next_line().await {}
            stderr.read_to_string(&mut said).await.expect("text");
            self.child.wait().await.expect("it ends").code()
        };
        let code = timeout(PATIENCE, ended).await.expect("it ends in time");
        (said, code)
    }
}

/// I6: logs and commands of an init container that runs, and what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_running_init_container_is_read_and_entered() {
    init_container(&on_virtual().await).await;
}

/// I6: logs and commands of an init container that runs, and what it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_running_init_container_is_read_and_entered_for_real() {
    let Some(cluster) = on_process().await else { return };
    init_container(&cluster).await;
}

async fn init_container(cluster: &Cluster) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let mut app = pod("app", "nginx");
    let script = "until [ -f /root/myapp ]; do echo waiting; sleep 1; done; echo found";
    app.spec.init_containers.push(Container {
        name: "wait".to_owned(),
        image: "busybox".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        ..Container::default()
    });
    pods.create(&app).await.expect("the pod is created");
    eventually("the init container prints", PATIENCE, async || {
        let ran = cluster.tpctl(&["logs", "app", "-c", "wait"]).await;
        if ran.stdout().starts_with("waiting\n") { Ok(()) } else { Err(ran.stdout() + &ran.stderr()) }
    })
    .await;
    let refused = cluster.tpctl(&["logs", "app"]).await;
    assert_eq!(
        refused.failure(),
        "Defaulted container \"main\" out of: main, wait (init)\n\
         Error from server (BadRequest): container \"main\" in pod \"app\" is waiting to start: PodInitializing\n"
    );
    let refused = cluster.tpctl(&["exec", "app", "-c", "main", "--", "ls"]).await.failure();
    assert_eq!(refused, "error: unable to upgrade connection: container not found (\"main\")\n");
    cluster.tpctl(&["exec", "app", "-c", "wait", "--", "touch", "/root/myapp"]).await.success();
    eventually("the pod goes on", PATIENCE, async || match pods.get("app").await {
        Ok(pod) if is(&pod, "Ready") => Ok(()),
        other => Err(format!("{:?}", other.map(|pod| pod.status))),
    })
    .await;
    let printed = cluster.tpctl(&["logs", "app", "-c", "wait", "--tail=1"]).await.success();
    assert_eq!(printed, "found\n", "what has ended can still be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_joined_and_a_lost_kubelet_ends_what_is_followed() {
    lost_kubelet(&on_virtual().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_joined_and_a_lost_kubelet_ends_what_is_followed_for_real() {
    let Some(cluster) = on_process().await else { return };
    lost_kubelet(&cluster).await;
}

async fn lost_kubelet(cluster: &Cluster) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    running(&pods, &scripted("talks", "while true; do echo tick; sleep 1; done")).await;
    let mut attached = Going::start(cluster, &["attach", "talks", "-q"]);
    assert_eq!(attached.line().await, "tick");
    let mut following = Going::start(cluster, &["logs", "-f", "talks"]);
    assert_eq!(following.line().await, "tick");
    cluster.kill("kubelet-node-1");
    for lost in [attached, following] {
        let (said, code) = lost.end().await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("lost connection to the kubelet of node \"node-1\""), "{said}");
    }
    let said = cluster.tpctl(&["logs", "talks"]).await.failure();
    assert!(said.starts_with("Error from server: error dialing backend: dial tcp 127.0.0.1:"), "{said}");
    cluster.repair().await;
    eventually("the log is there again", PATIENCE, async || {
        let ran = cluster.tpctl(&["logs", "talks", "--tail=1"]).await;
        if ran.stdout() == "tick\n" { Ok(()) } else { Err(ran.stdout() + &ran.stderr()) }
    })
    .await;
}
