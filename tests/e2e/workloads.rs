//! W: from a Deployment to pods, as a user types and sees it.

use crate::{PATIENCE, pods, ready_pods};
use api::apps::v1::{Deployment, ReplicaSet};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::ListOptions;
use client::{Api, Patch};
use std::collections::BTreeSet;
use testkit::cluster::Cluster;
use testkit::eventually;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nginx-deployment.yaml");

/// W1, W3.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_gives_one_replica_set_and_its_pods_with_names_owners_and_columns() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let said = cluster.tpctl(&["create", "deployment", "k8s-nginx", "--image=nginx", "-r", "3"]).await.success();
    assert_eq!(said, "deployment.apps/k8s-nginx created\n");
    let pods = ready_pods(&client, "app=k8s-nginx", 3).await;
    let sets =
        Api::<ReplicaSet>::namespaced(client, "default").list(ListOptions::default()).await.expect("a list").items;
    let [set] = &sets[..] else { panic!("{} replica sets", sets.len()) };
    let hash = &set.metadata.labels["pod-template-hash"];
    assert_eq!(set.metadata.name, format!("k8s-nginx-{hash}"));
    assert_eq!(
        (&*set.metadata.owner_references[0].kind, &*set.metadata.owner_references[0].name),
        ("Deployment", "k8s-nginx")
    );
    for pod in &pods {
        let suffix = pod.metadata.name.strip_prefix(&format!("{}-", set.metadata.name)).expect("named after its set");
        assert_eq!(suffix.len(), 5, "{}", pod.metadata.name);
        assert_eq!(
            (&*pod.metadata.owner_references[0].kind, &*pod.metadata.owner_references[0].uid),
            ("ReplicaSet", &*set.metadata.uid)
        );
    }
    let columns = |output: &str| {
        output
            .lines()
            .next()
            .unwrap_or_default()
            .split("   ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let deployments = cluster.tpctl(&["get", "deployment"]).await.success();
    assert_eq!(columns(&deployments), ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]);
    eventually("the deployment shows 3/3", PATIENCE, async || {
        let shown = cluster.tpctl(&["get", "deployment", "k8s-nginx"]).await.success();
        if shown.contains("3/3     3            3") { Ok(()) } else { Err(shown) }
    })
    .await;
    let sets = cluster.tpctl(&["get", "rs"]).await.success();
    assert_eq!(columns(&sets), ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]);
    let wide = cluster.tpctl(&["get", "pod", "-o", "wide"]).await.success();
    assert_eq!(
        columns(&wide),
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    );
}

/// W4: cascading deletion.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_deployment_deletes_what_it_owns() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let client = cluster.client();
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=2"]).await.success();
    ready_pods(&client, "app=web", 2).await;
    cluster.tpctl(&["delete", "deployment", "web"]).await.success();
    ready_pods(&client, "app=web", 0).await;
    let sets = Api::<ReplicaSet>::namespaced(client, "default");
    eventually("no replica set is left", PATIENCE, async || {
        let left = sets.list(ListOptions::default()).await.map_err(|e| e.to_string())?.items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
}

/// W5: a rolling update keeps its promises while it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_replaces_every_pod_and_never_has_too_few_or_too_many() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx:1.25", "--replicas=4"]).await.success();
    let before: BTreeSet<String> =
        ready_pods(&client, "app=web", 4).await.into_iter().map(|p| p.metadata.uid).collect();
    let deployments = Api::<Deployment>::namespaced(client.clone(), "default");
    let image = serde_json::json!({ "spec": { "template": { "spec": { "containers": [{ "name": "nginx", "image": "nginx:1.26" }] } } } });
    deployments.patch("web", &Patch::Strategic(image)).await.expect("the image is changed");
    eventually("every pod is of the new template", PATIENCE, async || {
        let now = pods(&client, "app=web").await;
        let alive: Vec<_> = now.iter().filter(|p| p.metadata.deletion_timestamp.is_none()).collect();
        let available = alive.iter().filter(|p| crate::is(p, "Ready")).count();
        // 25 % of 4: at most one more, at most one fewer.
        assert!(alive.len() <= 5, "{}", crate::shown(&now));
        assert!(available >= 3, "{}", crate::shown(&now));
        let new = alive
            .iter()
            .filter(|p| !before.contains(&p.metadata.uid) && p.spec.containers[0].image == "nginx:1.26")
            .count();
        if new == 4 && available == 4 && now.len() == 4 { Ok(()) } else { Err(crate::shown(&now)) }
    })
    .await;
}

/// D5, V1: endpoints follow readiness.
#[tokio::test(flavor = "multi_thread")]
async fn a_services_endpoints_are_its_ready_pods() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    cluster.tpctl(&["apply", "-f", MANIFEST]).await.success();
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    let endpoints_are = async |ips: &BTreeSet<String>| {
        eventually(&format!("the endpoints are {ips:?}"), PATIENCE, async || {
            let options = ListOptions {
                label_selector: "kubernetes.io/service-name=k8s-nginx".to_owned(),
                ..ListOptions::default()
            };
            let slices = slices.list(options).await.map_err(|e| e.to_string())?.items;
            let ready = slices.iter().flat_map(|s| &s.endpoints).filter(|e| e.conditions.ready == Some(true));
            let found: BTreeSet<String> = ready.flat_map(|e| e.addresses.clone()).collect();
            if found == *ips { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    let ips = |pods: &[api::core::v1::Pod]| pods.iter().map(|p| p.status.pod_ip.clone()).collect::<BTreeSet<String>>();
    let before = ready_pods(&client, "app=k8s-nginx", 3).await;
    endpoints_are(&ips(&before)).await;
    cluster.tpctl(&["delete", "pod", &before[0].metadata.name]).await.success();
    let after = ready_pods(&client, "app=k8s-nginx", 3).await;
    endpoints_are(&ips(&after)).await;
}
