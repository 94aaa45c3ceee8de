//! Deletion as clients see it.

use super::*;
use api::core::v1::{ConfigMap, Namespace};
use api::meta::v1::Preconditions;

#[tokio::test(start_paused = true)]
async fn d1_d2_a_running_pod_stays_readable_while_it_terminates_and_goes_with_grace_zero() {
    let server = Server::start().await;
    server.running_pod("web").await;
    let deleted = server.delete("web", &DeleteOptions::default()).await.unwrap();
    assert!(!deleted.removed);
    let pod: Pod = server.get("default", "web").await.unwrap();
    assert_eq!(pod, deleted.object.decode());
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(30));
    let deadline = jiff::Timestamp::from_second(pod.metadata.deletion_timestamp.unwrap().seconds).unwrap();
    assert_eq!(deadline, "2026-01-01T12:00:30Z".parse().unwrap());
    let gone = server.delete("web", &grace(0)).await.unwrap();
    assert!(gone.removed);
    assert_eq!(server.get::<Pod>("default", "web").await, None);
}

#[tokio::test(start_paused = true)]
async fn d10_grace_zero_removes_at_once() {
    let server = Server::start().await;
    server.running_pod("web").await;
    assert!(server.delete("web", &grace(0)).await.unwrap().removed);
    assert_eq!(server.get::<Pod>("default", "web").await, None);
}

#[tokio::test(start_paused = true)]
async fn d12_a_pod_with_finalizers_goes_with_the_last_of_them() {
    let server = Server::start().await;
    let mut finalized = pod("web");
    finalized.metadata.finalizers = vec!["x/a".to_owned(), "x/b".to_owned()];
    server.create(finalized).await;
    assert!(!server.delete("web", &grace(0)).await.unwrap().removed);
    let mut pod: Pod = server.get("default", "web").await.unwrap();
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(0));
    pod.metadata.finalizers.pop();
    let mut pod = server.update(pod).await.unwrap();
    pod.metadata.finalizers.pop();
    server.update(pod).await.unwrap();
    assert_eq!(server.get::<Pod>("default", "web").await, None);
}

#[tokio::test(start_paused = true)]
async fn d12_a_terminating_pod_keeps_running_out_its_grace_when_its_finalizers_go() {
    let server = Server::start().await;
    let mut running = server.running_pod("web").await;
    running.metadata.finalizers = vec!["x/a".to_owned()];
    server.update(running).await.unwrap();
    server.delete("web", &DeleteOptions::default()).await.unwrap();
    let mut pod: Pod = server.get("default", "web").await.unwrap();
    pod.metadata.finalizers.clear();
    let pod = server.update(pod).await.unwrap();
    assert_eq!(pod.metadata.deletion_grace_period_seconds, Some(30), "its containers still run");
    assert!(server.delete("web", &grace(0)).await.unwrap().removed);
}

#[tokio::test(start_paused = true)]
async fn d12_preconditions_are_checked_on_what_the_store_has() {
    let server = Server::start().await;
    let pod = server.running_pod("web").await;
    let condition = |uid: &str, version: &str| DeleteOptions {
        preconditions: Some(Preconditions {
            uid: (!uid.is_empty()).then(|| uid.to_owned()),
            resource_version: (!version.is_empty()).then(|| version.to_owned()),
        }),
        ..grace(0)
    };
    for refused in [condition("other", ""), condition("", "1")] {
        let error = server.delete("web", &refused).await.unwrap_err();
        assert!(error.is_conflict(), "{error}");
    }
    let right = condition(&pod.metadata.uid, &pod.metadata.resource_version);
    assert!(server.delete("web", &right).await.unwrap().removed);
}

#[tokio::test(start_paused = true)]
async fn d13_a_pod_that_was_never_scheduled_or_has_finished_goes_at_once() {
    let server = Server::start().await;
    server.create(pod("unscheduled")).await;
    assert!(server.delete("unscheduled", &DeleteOptions::default()).await.unwrap().removed);
    let mut finished = server.running_pod("finished").await;
    finished.status.phase = "Succeeded".to_owned();
    server.update_status(finished).await.unwrap();
    assert!(server.delete("finished", &grace(60)).await.unwrap().removed);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_cannot_be_deleted() {
    let server = Server::start().await;
    let error = server.delete("web", &DeleteOptions::default()).await.unwrap_err();
    assert_eq!(error.message, "pods \"web\" not found");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_deletes_nothing() {
    let server = Server::start().await;
    server.create(pod("web")).await;
    let options = DeleteOptions { dry_run: vec!["All".to_owned()], ..DeleteOptions::default() };
    assert!(server.delete("web", &options).await.unwrap().removed);
    assert!(server.get::<Pod>("default", "web").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn w4_foreground_deletion_waits_for_the_garbage_collector() {
    let server = Server::start().await;
    server.create(deployment("web")).await;
    let options = DeleteOptions { propagation_policy: Some("Foreground".to_owned()), ..DeleteOptions::default() };
    let deleted = server.registries.deployments.delete(&server.ctx, "default", "web", &options).await.unwrap();
    assert!(!deleted.removed);
    let mut deployment = deleted.object.decode();
    assert_eq!(deployment.metadata.finalizers, ["foregroundDeletion"]);
    assert_eq!(deployment.metadata.generation, 2);
    deployment.metadata.finalizers.clear();
    server.update(deployment).await.unwrap();
    assert_eq!(server.get::<Deployment>("default", "web").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_as_far_as_it_is_selected() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        let mut map = ConfigMap { metadata: metadata(name), ..ConfigMap::default() };
        if name != "c" {
            map.metadata.labels.insert("app".to_owned(), "web".to_owned());
        }
        server.create(map).await;
    }
    let maps = &server.registries.config_maps;
    let (list, options) = (selecting("app=web", ""), DeleteOptions::default());
    let deleted = maps.delete_collection(&server.ctx, "default", &list, &options).await.unwrap();
    assert_eq!(deleted.items.len(), 2);
    let left = maps.list(&server.ctx, "default", &ListOptions::default()).await.unwrap();
    assert_eq!(left.objects().map(|map| map.metadata.name).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_terminates_until_its_contents_are_let_go() {
    let server = Server::start().await;
    let created = server.create(Namespace { metadata: metadata("team"), ..Namespace::default() }).await;
    assert_eq!(
        (created.status.phase.as_str(), &created.spec.finalizers[..]),
        ("Active", &["kubernetes".to_owned()][..])
    );
    let mut hasty = created.clone();
    hasty.spec.finalizers.clear();
    assert_eq!(server.update(hasty).await.unwrap().spec.finalizers, ["kubernetes"], "not before it is deleted");
    let namespaces = &server.registries.namespaces;
    let deleted = namespaces.delete(&server.ctx, "", "team", &DeleteOptions::default()).await.unwrap();
    assert!(!deleted.removed);
    let mut terminating = deleted.object.decode();
    assert_eq!(terminating.status.phase, "Terminating");
    terminating.spec.finalizers.clear();
    server.update(terminating).await.unwrap();
    assert_eq!(server.get::<Namespace>("", "team").await, None);
}
