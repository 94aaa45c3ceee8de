//! N: nodes come, live by their leases, and are missed when they fall silent. W8: so are leaders.

use crate::{PATIENCE, pods, ready_pods};
use api::coordination::v1::Lease;
use api::core::v1::{Node, Toleration};
use api::meta::v1::ListOptions;
use client::Api;
use testkit::cluster::{Cluster, binary};
use testkit::eventually;
use testkit::objects::deployment;

fn condition(node: &Node, kind: &str) -> (String, String) {
    let found = node.status.conditions.iter().find(|c| c.r#type == kind);
    found.map_or_else(Default::default, |c| (c.status.clone(), c.reason.clone()))
}

/// N1.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_registers_its_node_reports_it_and_renews_its_lease() {
    let cluster = Cluster::start_with(&["--nodes", "1", "--simulated-nodes", "5"]).await;
    let client = cluster.client();
    let nodes = Api::<Node>::all(client.clone()).list(ListOptions::default()).await.expect("a list").items;
    let names: Vec<&str> = nodes.iter().map(|n| n.metadata.name.as_str()).collect();
    assert_eq!(names, ["node-1", "sim-0", "sim-1", "sim-2", "sim-3", "sim-4"]);
    for node in &nodes {
        let name = &node.metadata.name;
        assert_eq!(condition(node, "Ready"), ("True".to_owned(), "KubeletReady".to_owned()), "{name}");
        for pressure in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
            assert_eq!(condition(node, pressure).0, "False", "{name} {pressure}");
        }
        for resource in ["cpu", "memory", "pods"] {
            assert!(
                node.status.capacity.contains_key(resource) && node.status.allocatable.contains_key(resource),
                "{name} {resource}"
            );
        }
        assert_eq!(node.metadata.labels["kubernetes.io/hostname"], *name);
        assert!(node.spec.pod_cidr.ends_with("/24"), "{name} has addresses for its pods: {:?}", node.spec.pod_cidr);
        assert_eq!(node.spec.pod_cidrs.join(","), node.spec.pod_cidr);
    }
    let ranges: std::collections::BTreeSet<&str> = nodes.iter().map(|node| node.spec.pod_cidr.as_str()).collect();
    assert_eq!(ranges.len(), nodes.len(), "no two nodes share a range");
    let leases = Api::<Lease>::namespaced(client, "kube-node-lease");
    let before = leases.get("node-1").await.expect("the node has a lease").spec;
    assert_eq!((before.holder_identity.as_deref(), before.lease_duration_seconds), (Some("node-1"), Some(40)));
    eventually("the lease is renewed", PATIENCE, async || {
        let now = leases.get("node-1").await.map_err(|e| e.to_string())?.spec.renew_time.and_then(|t| t.timestamp());
        if now > before.renew_time.as_ref().and_then(|t| t.timestamp()) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// N2, D14: the shortened times are flags of the controller-manager.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_silent_node_are_replaced_elsewhere_and_stopped_when_it_returns() {
    let times = [
        ("TRACEPLANE_NODE_MONITOR_GRACE_PERIOD", "3s"),
        ("TRACEPLANE_NODE_MONITOR_PERIOD", "500ms"),
        ("TRACEPLANE_NODE_LEASE_DURATION_SECONDS", "4"),
    ];
    let cluster = Cluster::start_in(&times, &["--nodes", "2"]).await;
    let client = cluster.client();
    let mut web = deployment("web", "nginx", 4);
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        web.spec.template.spec.tolerations.push(Toleration {
            key: key.to_owned(),
            operator: "Exists".to_owned(),
            effect: "NoExecute".to_owned(),
            toleration_seconds: Some(1),
            ..Toleration::default()
        });
    }
    Api::namespaced(client.clone(), "default").create(&web).await.expect("created");
    let before = ready_pods(&client, "app=web", 4).await;
    assert!(before.iter().any(|pod| pod.spec.node_name == "node-1"));

    cluster.kill("kubelet-node-1");
    let nodes = Api::<Node>::all(client.clone());
    eventually("the silent node is Unknown and tainted", PATIENCE, async || {
        let node = nodes.get("node-1").await.map_err(|e| e.to_string())?;
        let unknown = condition(&node, "Ready") == ("Unknown".to_owned(), "NodeStatusUnknown".to_owned());
        let taints: Vec<(&str, &str)> = node.spec.taints.iter().map(|t| (&*t.key, &*t.effect)).collect();
        let tainted = ["NoSchedule", "NoExecute"]
            .iter()
            .all(|effect| taints.contains(&("node.kubernetes.io/unreachable", effect)));
        if unknown && tainted { Ok(()) } else { Err(format!("{:?} {taints:?}", condition(&node, "Ready"))) }
    })
    .await;
    eventually("four pods are ready on the other node", PATIENCE, async || {
        let pods = pods(&client, "app=web").await;
        let good = pods.iter().filter(|p| {
            p.spec.node_name == "node-2" && crate::is(p, "Ready") && p.metadata.deletion_timestamp.is_none()
        });
        if good.count() == 4 { Ok(()) } else { Err(crate::shown(&pods)) }
    })
    .await;

    cluster.repair().await;
    // The returned kubelet stops what is no longer its own; only then may those objects go.
    let now = ready_pods(&client, "app=web", 4).await;
    assert!(now.iter().all(|pod| pod.spec.node_name == "node-2"), "{}", crate::shown(&now));
    eventually("the node that returned has lost its taints", PATIENCE, async || {
        let node = nodes.get("node-1").await.map_err(|e| e.to_string())?;
        if node.spec.taints.is_empty() && condition(&node, "Ready").0 == "True" {
            Ok(())
        } else {
            Err(format!("{:?}", node.spec.taints))
        }
    })
    .await;
}

/// W8.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_scheduler_takes_over_when_the_first_one_dies() {
    let times = [
        ("TRACEPLANE_LEADER_ELECT_LEASE_DURATION", "4s"),
        ("TRACEPLANE_LEADER_ELECT_RENEW_DEADLINE", "3s"),
        ("TRACEPLANE_LEADER_ELECT_RETRY_PERIOD", "1s"),
    ];
    let cluster = Cluster::start_in(&times, &["--nodes", "1"]).await;
    let client = cluster.client();
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-system");
    let holder =
        async || leases.get("kube-scheduler").await.expect("the lease").spec.holder_identity.unwrap_or_default();
    let first = holder().await;
    let _second = tokio::process::Command::new(binary("scheduler"))
        .args(["--secure-port", "0", "--leader-elect-identity", "second"])
        .args(["--kubeconfig", &cluster.state().join("scheduler.kubeconfig").display().to_string()])
        .envs(times)
        .kill_on_drop(true)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a second scheduler starts");
    cluster.tpctl(&["create", "deployment", "before", "--image=nginx"]).await.success();
    ready_pods(&client, "app=before", 1).await;
    assert_eq!(holder().await, first, "one leads while it lives");
    cluster.kill("scheduler");
    cluster.tpctl(&["create", "deployment", "after", "--image=nginx"]).await.success();
    ready_pods(&client, "app=after", 1).await;
    assert_eq!(holder().await, "second");
}
