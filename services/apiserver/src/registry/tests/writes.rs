//! Creates and updates: identity, versions, who writes what.

use super::*;
use api::coordination::v1::Lease;
use api::core::v1::{ConfigMap, Node};

#[tokio::test(start_paused = true)]
async fn c2_a_create_is_answered_with_the_revision_that_the_store_gave() {
    let server = Server::start().await;
    let created = server.create(pod("web")).await;
    let revision = server.store.current_revision().await.unwrap();
    assert_eq!(created.metadata.resource_version, revision.to_string());
    assert_eq!((created.status.phase.as_str(), created.status.qos_class.as_str()), ("Pending", "BestEffort"));
    assert_eq!(created.spec.restart_policy, "Always", "defaults are set");
    assert_eq!(created.metadata.generation, 1);
    assert!(!created.metadata.uid.is_empty() && created.metadata.creation_timestamp.is_some());
    assert_eq!(server.get("default", "web").await, Some(created));
}

#[tokio::test(start_paused = true)]
async fn the_store_holds_no_resource_version() {
    let server = Server::start().await;
    let created = server.create(pod("web")).await;
    server.update(created).await.unwrap();
    let entry = server.store.get("/registry/pods/default/web").await.unwrap().unwrap();
    let stored = Pod::decode(store::envelope::Envelope::decode(&entry.value).unwrap().raw).unwrap();
    assert_eq!(stored.metadata.resource_version, "");
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_refused_and_says_if_its_holder_is_going() {
    let server = Server::start().await;
    server.running_pod("web").await;
    let options = CreateOptions::default();
    let error = server.pods().create(&server.ctx, "", pod("web"), &options).await.unwrap_err();
    assert_eq!(error.message, "pods \"web\" already exists");
    server.delete("web", &DeleteOptions::default()).await.unwrap();
    server.get::<Pod>("default", "web").await.unwrap();
    let error = server.pods().create(&server.ctx, "", pod("web"), &options).await.unwrap_err();
    assert_eq!(error.message, "object is being deleted: pods \"web\" already exists");
    assert!(error.is_already_exists());
}

#[tokio::test(start_paused = true)]
async fn generated_names_are_many_and_distinct() {
    let server = Server::start().await;
    let mut nameless = pod("");
    nameless.metadata.generate_name = "web-".to_owned();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let created = server.create(nameless.clone()).await;
        assert_eq!(created.metadata.name.len(), "web-".len() + 5);
        names.insert(created.metadata.name);
    }
    assert_eq!(names.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn w9_an_exported_manifest_creates_the_object_anew() {
    let server = Server::start().await;
    let exported = server.running_pod("web").await;
    server.delete("web", &grace(0)).await.unwrap();
    let created = server.create(exported.clone()).await;
    assert_ne!(created.metadata.uid, exported.metadata.uid);
    assert_eq!(created.status.phase, "Pending");
}

#[tokio::test(start_paused = true)]
async fn a_faulty_object_is_refused_with_its_fields_and_nothing_is_stored() {
    let server = Server::start().await;
    let before = server.store.current_revision().await.unwrap();
    let mut faulty = pod("Web_1");
    faulty.spec.containers.clear();
    let error = server.pods().create(&server.ctx, "", faulty, &CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), 422);
    let fields: Vec<_> = error.details.causes.iter().map(|cause| cause.field.as_str()).collect();
    assert!(fields.contains(&"metadata.name") && fields.contains(&"spec.containers"), "{fields:?}");
    assert_eq!(server.store.current_revision().await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_does_everything_but_store() {
    let server = Server::start().await;
    let before = server.store.current_revision().await.unwrap();
    let options = CreateOptions { dry_run: vec!["All".to_owned()], ..CreateOptions::default() };
    let created = server.pods().create(&server.ctx, "", pod("web"), &options).await.unwrap().decode();
    assert_eq!((created.status.phase.as_str(), created.metadata.resource_version.as_str()), ("Pending", ""));
    assert_eq!(server.store.current_revision().await.unwrap(), before);
    server.create(pod("web")).await;
    let error = server.pods().create(&server.ctx, "", pod("web"), &options).await.unwrap_err();
    assert!(error.is_already_exists());
}

#[tokio::test(start_paused = true)]
async fn an_update_against_an_old_version_is_a_conflict_and_without_one_the_last_writer_wins() {
    let server = Server::start().await;
    let first = server.create(pod("web")).await;
    let second = server.update(labelled(first.clone(), "a", "1")).await.unwrap();
    let error = server.update(labelled(first.clone(), "a", "2")).await.unwrap_err();
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on pods \"web\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    let mut unconditional = labelled(first, "a", "3");
    unconditional.metadata.resource_version.clear();
    let third = server.update(unconditional).await.unwrap();
    assert!(third.metadata.resource_version > second.metadata.resource_version);
    assert_eq!(third.metadata.labels["a"], "3");
}

#[tokio::test(start_paused = true)]
async fn an_update_right_after_a_write_needs_no_cache() {
    let server = Server::start().await;
    for round in 0..20 {
        let name = format!("web-{round}");
        let created = server.create(pod(&name)).await;
        // No await that would let the watch deliver in between is needed: the store is asked where the cache is behind.
        let updated = server.update(labelled(created, "a", "1")).await.unwrap();
        server.update(labelled(updated, "a", "2")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_nothing_writes_nothing() {
    let server = Server::start().await;
    let created = server.create(pod("web")).await;
    let before = server.store.current_revision().await.unwrap();
    assert_eq!(server.update(created.clone()).await.unwrap(), created);
    assert_eq!(server.update_status(created.clone()).await.unwrap(), created);
    assert_eq!(server.store.current_revision().await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn spec_and_status_have_different_writers() {
    let server = Server::start().await;
    let created = server.create(deployment("web")).await;
    let mut both = created.clone();
    both.spec.replicas = Some(5);
    both.status.replicas = 5;
    let updated = server.update(both.clone()).await.unwrap();
    assert_eq!((updated.spec.replicas, updated.status.replicas), (Some(5), 0));
    assert_eq!(updated.metadata.generation, 2);
    both.metadata.resource_version.clear();
    both.spec.replicas = Some(9);
    both.metadata.labels.insert("a".to_owned(), "b".to_owned());
    let reported = server.update_status(both).await.unwrap();
    assert_eq!((reported.spec.replicas, reported.status.replicas), (Some(5), 5));
    assert_eq!((reported.metadata.generation, reported.metadata.labels.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deployments_controller_notes_the_revision_with_the_status() {
    let server = Server::start().await;
    let mut deployment = server.create(deployment("web")).await;
    let traced = deployment.metadata.annotations.clone();
    let revision = ("deployment.kubernetes.io/revision".to_owned(), "2".to_owned());
    deployment.metadata.annotations = [revision.clone()].into();
    let reported = server.update_status(deployment).await.unwrap();
    assert_eq!(reported.metadata.generation, 1, "nobody wants anything else");
    assert_eq!(reported.metadata.annotations, traced.into_iter().chain([revision]).collect());
}

#[tokio::test(start_paused = true)]
async fn identity_never_changes() {
    let server = Server::start().await;
    let created = server.create(pod("web")).await;
    let mut other = created.clone();
    other.metadata.uid = "somebody-else".to_owned();
    let error = server.update(other).await.unwrap_err();
    assert!(error.is_conflict() && error.message.contains("Precondition failed: UID"), "{error}");
    let mut older = created.clone();
    older.metadata.creation_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
    assert_eq!(server.update(older).await.unwrap_err().code(), 422);
    let mut bare = labelled(created.clone(), "a", "1");
    bare.metadata.uid.clear();
    bare.metadata.creation_timestamp = None;
    bare.metadata.generation = 77;
    let updated = server.update(bare).await.unwrap();
    assert_eq!(updated.metadata.uid, created.metadata.uid);
    assert_eq!(updated.metadata.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_only_renewed_by_whoever_knows_it() {
    let server = Server::start().await;
    let mut lease = server.create(Lease { metadata: metadata("leader"), ..Lease::default() }).await;
    lease.metadata.resource_version.clear();
    let error = server.update(lease).await.unwrap_err();
    assert!(error.message.contains("metadata.resourceVersion: Invalid value: 0x0: must be specified"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_registered_with_its_status() {
    let server = Server::start().await;
    let mut node = Node { metadata: metadata("node-1"), ..Node::default() };
    node.status.node_info.kubelet_version = "v1.35.0".to_owned();
    let created = server.create(node).await;
    assert_eq!(created.status.node_info.kubelet_version, "v1.35.0");
    assert_eq!(created.metadata.namespace, "");
    assert!(server.store.get("/registry/minions/node-1").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn w6_concurrent_writers_lose_no_update() {
    let server = Server::start().await;
    server.create(ConfigMap { metadata: metadata("shared"), ..ConfigMap::default() }).await;
    let writers = (0..20).map(|writer| {
        let registry = server.registries.config_maps.clone();
        let ctx = server.ctx.clone();
        async move {
            let patch = format!("{{\"data\":{{\"k{writer}\":\"v\"}}}}");
            let merge = api::rpc::PatchType::MergePatch;
            let options = api::meta::v1::PatchOptions::default();
            registry.patch(&ctx, "default", "shared", "", merge, patch.as_bytes(), &options).await.unwrap();
        }
    });
    futures::future::join_all(writers).await;
    let shared: ConfigMap = server.get("default", "shared").await.unwrap();
    assert_eq!(shared.data.len(), 20);
}
