//! Clusters of one machine: however many begin at once, none takes what another one has.

use std::collections::BTreeSet;
use testkit::cluster::Cluster;

/// All ports of a cluster.
fn ports(cluster: &Cluster) -> Vec<u64> {
    let record = cluster.record();
    let ports = record["ports"].as_object().expect("the record has ports");
    let numbers = |value: &serde_json::Value| match value.as_array() {
        Some(list) => list.clone(),
        None => vec![value.clone()],
    };
    ports.values().flat_map(numbers).filter_map(|port| port.as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_that_begin_at_once_all_begin_and_a_stopped_one_comes_back_to_its_ports() {
    let stopped = Cluster::start_with(&["--nodes", "1"]).await;
    stopped.stop().await;
    let mut clusters =
        futures::future::join_all((0..5).map(|_| Cluster::start_with(&["--nodes", "1", "--timeout", "120"]))).await;
    clusters.push(stopped);
    let all: Vec<u64> = clusters.iter().flat_map(ports).collect();
    assert_eq!(all.len(), 6 * 10);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a port was given twice: {all:?}");

    let before = ports(&clusters[5]);
    clusters[5].repair().await;
    assert_eq!(ports(&clusters[5]), before);
}
