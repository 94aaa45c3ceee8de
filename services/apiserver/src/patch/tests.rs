//! One table per patch type; each row is a rule.

use api::core::v1::Pod;
use api::json::Fields;
use serde_json::json;

use super::*;

fn apply(patch_type: PatchType, document: Value, patch: Value) -> Result<Value, String> {
    let patch = Patch::parse(patch_type, patch.to_string().as_bytes()).map_err(|error| error.message)?;
    patch.apply(document, Pod::SCHEMA).map_err(|error| error.message)
}

#[test]
fn a_json_patch_changes_what_its_paths_name() {
    let document = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "x"}]}});
    let patch = json!([
        {"op": "test", "path": "/metadata/labels/a", "value": "1"},
        {"op": "add", "path": "/metadata/labels/b", "value": "2"},
        {"op": "remove", "path": "/metadata/labels/a"},
        {"op": "replace", "path": "/spec/containers/0/name", "value": "y"}
    ]);
    let expected = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [{"name": "y"}]}});
    assert_eq!(apply(PatchType::JsonPatch, document, patch), Ok(expected));
}

#[test]
fn a_json_patch_that_does_not_fit_is_invalid_and_one_that_is_none_a_bad_request() {
    let patch = Patch::parse(PatchType::JsonPatch, br#"[{"op":"remove","path":"/a"}]"#).unwrap();
    assert_eq!(patch.apply(json!({}), Pod::SCHEMA).unwrap_err().code(), 422);
    for (patch_type, text) in [
        (PatchType::JsonPatch, "{}"),
        (PatchType::JsonPatch, r#"[{"op":"explode","path":"/a"}]"#),
        (PatchType::MergePatch, "[]"),
        (PatchType::StrategicMergePatch, "nonsense"),
        (PatchType::Unspecified, "{}"),
    ] {
        assert_eq!(Patch::parse(patch_type, text.as_bytes()).unwrap_err().code(), 400, "{text}");
    }
    let many = vec![json!({"op": "remove", "path": "/a"}); MAX_OPERATIONS + 1];
    let many = serde_json::to_vec(&many).unwrap();
    assert_eq!(Patch::parse(PatchType::JsonPatch, &many).unwrap_err().code(), 413);
}

#[test]
fn a_merge_patch_merges_objects_and_replaces_lists() {
    let document = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [{"name": "x"}]}});
    let patch = json!({"metadata": {"labels": {"a": null}}, "spec": {"containers": [{"name": "y"}]}});
    let expected = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [{"name": "y"}]}});
    assert_eq!(apply(PatchType::MergePatch, document, patch), Ok(expected));
}

/// Rows: what it shows, the document, the patch, the result.
fn strategic_table() -> Vec<(&'static str, Value, Value, Value)> {
    vec![
        (
            "an element is merged with the one of its key",
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}),
            json!({"spec": {"containers": [{"name": "b", "image": "2"}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}}),
        ),
        (
            "a new element comes before those that the patch does not name",
            json!({"spec": {"containers": [{"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a"}]}}),
        ),
        (
            "the element of a key is deleted",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "b"}]}}),
        ),
        (
            "all elements are replaced",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"$patch": "replace"}]}}),
            json!({"spec": {"containers": [{"name": "c"}]}}),
        ),
        (
            "a list within an element has a key of its own, which may be a number",
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "w"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "v"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "v"}]}]}}),
        ),
        (
            "a list without a key is replaced",
            json!({"spec": {"containers": [{"name": "a", "command": ["x", "y"]}]}}),
            json!({"spec": {"containers": [{"name": "a", "command": ["z"]}]}}),
            json!({"spec": {"containers": [{"name": "a", "command": ["z"]}]}}),
        ),
        (
            "a set is united",
            json!({"metadata": {"finalizers": ["x/a", "x/b"]}}),
            json!({"metadata": {"finalizers": ["x/b", "x/c"]}}),
            json!({"metadata": {"finalizers": ["x/a", "x/b", "x/c"]}}),
        ),
        (
            "values of a set are deleted",
            json!({"metadata": {"finalizers": ["x/a", "x/b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a"]}}),
            json!({"metadata": {"finalizers": ["x/b"]}}),
        ),
        (
            "null deletes a member",
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}}),
        ),
        (
            "an object is replaced",
            json!({"metadata": {"labels": {"a": "1"}}}),
            json!({"metadata": {"labels": {"$patch": "replace", "b": "2"}}}),
            json!({"metadata": {"labels": {"b": "2"}}}),
        ),
        (
            "an object is emptied",
            json!({"spec": {"securityContext": {"runAsUser": 1}}}),
            json!({"spec": {"securityContext": {"$patch": "delete"}}}),
            json!({"spec": {"securityContext": {}}}),
        ),
        (
            "only some members are retained",
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}, "$retainKeys": ["name", "emptyDir"]}]}}),
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
        ),
        (
            "the order of elements is set, the rest keeps its place",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "s"}, {"name": "b"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
                            "containers": [{"name": "c"}]}}),
            json!({"spec": {"containers": [{"name": "s"}, {"name": "b"}, {"name": "c"}, {"name": "a"}]}}),
        ),
        (
            "the order of a set is set",
            json!({"metadata": {"finalizers": ["x/a", "x/b"]}}),
            json!({"metadata": {"$setElementOrder/finalizers": ["x/b", "x/a"]}}),
            json!({"metadata": {"finalizers": ["x/b", "x/a"]}}),
        ),
        (
            "what is not there yet is added, without directives and nulls",
            json!({}),
            json!({"metadata": {"labels": {"a": "1", "b": null}}, "spec": {"containers": [{"name": "a", "$patch": "merge"}]}}),
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "a"}]}}),
        ),
    ]
}

#[test]
fn strategic_merge_patches_follow_the_schema() {
    for (case, document, patch, expected) in strategic_table() {
        assert_eq!(apply(PatchType::StrategicMergePatch, document, patch), Ok(expected), "{case}");
    }
}

#[test]
fn applying_the_same_strategic_patch_again_changes_nothing() {
    for (case, document, patch, _) in strategic_table() {
        let once = apply(PatchType::StrategicMergePatch, document, patch.clone()).unwrap();
        assert_eq!(apply(PatchType::StrategicMergePatch, once.clone(), patch), Ok(once), "{case}");
    }
}

#[test]
fn directives_that_make_no_sense_are_refused_in_kubernetes_words() {
    let table = [
        (json!({"spec": {"containers": [{"image": "x"}]}}), "does not contain declared merge key: name"),
        (json!({"spec": {"$patch": "explode"}}), "Unknown patch type"),
        (json!({"spec": {"$retainKeys": "all"}}), "invalid patch format of retainKeys"),
        (json!({"spec": {"$retainKeys": ["volumes"], "nodeName": "n"}}), "patch content doesn't match retainKeys list"),
        (json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}), "invalid patch format of primitive list"),
        (json!({"spec": {"$setElementOrder/containers": "x"}}), "invalid patch format of setElementOrder list"),
        (
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}}),
            "doesn't match $setElementOrder/containers list",
        ),
        (json!({"spec": {"containers": ["a"]}}), "invalid JSON document"),
    ];
    for (patch, why) in table {
        let error = apply(PatchType::StrategicMergePatch, json!({"spec": {}}), patch).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
