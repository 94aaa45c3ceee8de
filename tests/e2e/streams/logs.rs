//! `tpctl logs` with its flags.

use super::{Going, on_process, on_virtual, running, scripted};
use crate::{PATIENCE, ready_pods};
use api::core::v1::{Container, Pod};
use client::Api;
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::objects::deployment;

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_those_that_the_flags_ask_for() {
    flags(&on_virtual().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_those_that_the_flags_ask_for_for_real() {
    let Some(cluster) = on_process().await else { return };
    flags(&cluster).await;
}

async fn flags(cluster: &Cluster) {
    let client = cluster.client();
    let pods = Api::<Pod>::namespaced(client.clone(), "default");
    let mut two = scripted("two", "echo one; echo two; echo three; sleep 3600");
    let sidecar =
        Container { name: "side".to_owned(), ..scripted("x", "echo beside; sleep 3600").spec.containers.remove(0) };
    two.spec.containers.push(sidecar);
    running(&pods, &two).await;
    let logs = async |arguments: &[&str]| cluster.tpctl(&[&["logs"], arguments].concat()).await;
    let ran = logs(&["two"]).await;
    assert_eq!(ran.stderr(), "Defaulted container \"main\" out of: main, side\n");
    assert_eq!(ran.success(), "one\ntwo\nthree\n");
    assert_eq!(logs(&["two", "-c", "main", "--tail=2"]).await.success(), "two\nthree\n");
    assert_eq!(logs(&["two", "main", "--limit-bytes=5"]).await.success(), "one\nt");
    let timed = logs(&["two", "main", "--timestamps", "--tail=1"]).await.success();
    let (time, line) = timed.split_once(' ').expect("a time and a line");
    assert_eq!((time.len(), line), ("2026-01-02T03:04:05.000000000Z".len(), "three\n"), "{timed}");
    assert_eq!(logs(&["two", "main", "--since-time=2999-01-01T00:00:00Z"]).await.success(), "");
    assert_eq!(logs(&["two", "main", "--since=1h"]).await.success(), "one\ntwo\nthree\n");
    eventually("nothing was said in the last second", PATIENCE, async || {
        let said = logs(&["two", "main", "--since=1s"]).await.success();
        if said.is_empty() { Ok(()) } else { Err(said) }
    })
    .await;
    let all = logs(&["-l", "app=two", "--all-containers", "--prefix"]).await.success();
    assert_eq!(all, "[pod/two/main] one\n[pod/two/main] two\n[pod/two/main] three\n[pod/two/side] beside\n");
    assert_eq!(
        logs(&["two", "-c", "none"]).await.failure(),
        "error: container none is not valid for pod two out of: main, side\n"
    );
    assert_eq!(logs(&["nobody"]).await.failure(), "Error from server (NotFound): pods \"nobody\" not found\n");
    assert_eq!(
        logs(&["two", "main", "-p"]).await.failure(),
        "Error from server (BadRequest): previous terminated container \"main\" in pod \"two\" not found\n"
    );
    let mut chosen = two.clone();
    chosen.metadata.name = "chosen".to_owned();
    chosen.metadata.annotations.insert("kubectl.kubernetes.io/default-container".to_owned(), "side".to_owned());
    running(&pods, &chosen).await;
    let ran = logs(&["chosen"]).await;
    assert_eq!((ran.stderr().as_str(), ran.stdout().as_str()), ("", "beside\n"));

    client_deployment(cluster).await;
    let ran = logs(&["deployment/web"]).await;
    assert!(ran.stderr().starts_with("Found 2 pods, using pod/web-"), "{}", ran.stderr());

    // A log that is followed to the end of its attempt, which is the one before then.
    let script = "echo begin; until [ -f /root/go ]; do sleep 1; done; echo end; exit 3";
    running(&pods, &scripted("again", script)).await;
    let mut following = Going::start(cluster, &["logs", "-f", "again"]);
    assert_eq!(following.line().await, "begin");
    cluster.tpctl(&["exec", "again", "--", "touch", "/root/go"]).await.success();
    assert_eq!(following.line().await, "end");
    assert_eq!(following.end().await, (String::new(), Some(0)));
    eventually("it has restarted", PATIENCE, async || {
        let restarts = pods
            .get("again")
            .await
            .map(|pod| pod.status.container_statuses.first().map_or(0, |status| status.restart_count));
        if restarts.as_ref().is_ok_and(|count| *count >= 1) { Ok(()) } else { Err(format!("{restarts:?}")) }
    })
    .await;
    assert_eq!(logs(&["again", "-p"]).await.success(), "begin\nend\n");
    assert_eq!(logs(&["again"]).await.success(), "begin\n", "a new attempt begins with files of its own");
}

async fn client_deployment(cluster: &Cluster) {
    let client = cluster.client();
    Api::namespaced(client.clone(), "default").create(&deployment("web", "nginx", 2)).await.expect("it is created");
    ready_pods(&client, "app=web", 2).await;
}
