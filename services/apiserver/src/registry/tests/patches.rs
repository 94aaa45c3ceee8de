//! Patches through the registry.

use super::*;
use api::meta::v1::PatchOptions;
use api::rpc::PatchType;

async fn patch(
    server: &Server,
    subresource: &str,
    patch_type: PatchType,
    patch: &str,
) -> Result<Deployment, api::Error> {
    let (registry, options) = (&server.registries.deployments, PatchOptions::default());
    let patched =
        registry.patch(&server.ctx, "default", "web", subresource, patch_type, patch.as_bytes(), &options).await;
    patched.map(|object| object.decode())
}

#[tokio::test(start_paused = true)]
async fn every_type_of_patch_changes_the_newest_state() {
    let server = Server::start().await;
    server.create(deployment("web")).await;
    let table = [
        (PatchType::JsonPatch, r#"[{"op":"replace","path":"/spec/replicas","value":2}]"#, 2),
        (PatchType::MergePatch, r#"{"spec":{"replicas":3}}"#, 3),
        (
            PatchType::StrategicMergePatch,
            r#"{"spec":{"replicas":4,"template":{"spec":{"containers":[{"name":"c","image":"nginx:2"}]}}}}"#,
            4,
        ),
    ];
    for (patch_type, text, replicas) in table {
        let patched = patch(&server, "", patch_type, text).await.unwrap();
        assert_eq!(patched.spec.replicas, Some(replicas));
    }
    let patched: Deployment = server.get("default", "web").await.unwrap();
    assert_eq!(patched.spec.template.spec.containers.len(), 1);
    assert_eq!((patched.spec.template.spec.containers[0].image.as_str(), patched.metadata.generation), ("nginx:2", 4));
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_the_status_changes_nothing_else() {
    let server = Server::start().await;
    server.create(deployment("web")).await;
    let text = r#"{"status":{"replicas":2},"spec":{"replicas":9}}"#;
    let patched = patch(&server, "status", PatchType::MergePatch, text).await.unwrap();
    assert_eq!((patched.status.replicas, patched.spec.replicas), (2, Some(1)));
    let patched = patch(&server, "", PatchType::MergePatch, r#"{"status":{"replicas":7}}"#).await.unwrap();
    assert_eq!(patched.status.replicas, 2);
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_names_a_version_means_that_one() {
    let server = Server::start().await;
    server.create(deployment("web")).await;
    let error = patch(&server, "", PatchType::MergePatch, r#"{"metadata":{"resourceVersion":"1"}}"#).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_makes_nonsense_of_the_object_is_refused() {
    let server = Server::start().await;
    server.create(deployment("web")).await;
    let table = [
        (PatchType::MergePatch, r#"{"spec":{"replicas":-1}}"#, 422, "spec.replicas"),
        (PatchType::MergePatch, r#"{"spec":{"replicas":"many"}}"#, 400, "spec.replicas"),
        (PatchType::MergePatch, r#"{"metadata":{"name":"other"}}"#, 400, "does not match the name on the URL"),
        (
            PatchType::JsonPatch,
            r#"[{"op":"test","path":"/spec/replicas","value":7}]"#,
            422,
            "the server rejected our request",
        ),
        (
            PatchType::StrategicMergePatch,
            r#"{"spec":{"template":{"spec":{"containers":[{}]}}}}"#,
            400,
            "merge key: name",
        ),
    ];
    for (patch_type, text, code, why) in table {
        let error = patch(&server, "", patch_type, text).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message.contains(why), "{error}");
    }
    let error = patch(&server, "scale", PatchType::MergePatch, "{}").await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
