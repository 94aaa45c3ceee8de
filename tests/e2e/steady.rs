//! What does not happen: a cluster at rest makes no spans and writes nothing but heartbeats.

use crate::ready_pods;
use std::time::Duration;
use testkit::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_at_rest_makes_no_spans() {
    let cluster = Cluster::start().await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=3"]).await.success();
    ready_pods(&cluster.client(), "app=web", 3).await;
    // What was set in motion comes to rest: two looks, far enough apart for any flush, see the same spans.
    let mut before = usize::MAX;
    testkit::eventually("the spans come to rest", crate::PATIENCE, async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = cluster.collector.spans().len();
        let settled = now == before;
        before = now;
        if settled { Ok(()) } else { Err(format!("{now} spans")) }
    })
    .await;
    // Longer than a lease renewal (10 s) and a full comparison (20 s).
    tokio::time::sleep(Duration::from_secs(25)).await;
    let new: Vec<_> =
        cluster.collector.spans().into_iter().skip(before).map(|s| format!("{} {}", s.service, s.name)).collect();
    assert!(new.is_empty(), "at rest, yet {new:?}");
}
