//! etcd holds the state: everything may stop and start again.

use crate::ready_pods;
use testkit::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_everything_all_objects_are_there_and_no_pod_was_restarted() {
    let cluster = Cluster::start().await;
    cluster.tpctl(&["create", "deployment", "web", "--image=nginx", "--replicas=3"]).await.success();
    let before = ready_pods(&cluster.client(), "app=web", 3).await;
    cluster.stop().await;
    cluster.repair().await;
    let after = ready_pods(&cluster.client(), "app=web", 3).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.metadata.uid, before.metadata.uid);
        let (then, now) = (&before.status.container_statuses[0], &after.status.container_statuses[0]);
        assert_eq!(now.restart_count, 0, "{} was restarted", after.metadata.name);
        assert_eq!(now.container_id, then.container_id, "{} runs in another container", after.metadata.name);
        assert_eq!(now.state, then.state);
    }
    // Watches have resumed: the cluster still does its work.
    cluster.tpctl(&["scale", "deployment", "web", "--replicas=5"]).await.success();
    ready_pods(&cluster.client(), "app=web", 5).await;
}
