//! Our types before two independent judges: `k8s-pb`, generated from Kubernetes' protobuf files, and `k8s-openapi`, generated from its
//! OpenAPI description. Whatever we can hold must survive the way through them and back, and whatever they know we must know.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "one macro calls all tests, and each needs only some of the three types"
)]

#[path = "judges/generate.rs"]
mod generate;
#[path = "judges/missing.rs"]
mod missing;

use api::Resource;
use api::json::Fields;
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

/// Runs a test with every kind: our type, that of `k8s-pb`, that of `k8s-openapi`.
macro_rules! for_every_kind {
    ($test:ident) => {{
        for_every_kind!($test, core::v1, { Pod, Node, Namespace, Service, Endpoints, Event, ConfigMap, Secret, ServiceAccount });
        for_every_kind!($test, apps::v1, { Deployment, ReplicaSet, ControllerRevision });
        for_every_kind!($test, batch::v1, { Job });
        for_every_kind!($test, coordination::v1, { Lease });
        for_every_kind!($test, discovery::v1, { EndpointSlice });
        for_every_kind!($test, policy::v1, { PodDisruptionBudget });
        for_every_kind!($test, scheduling::v1, { PriorityClass });
        for_every_kind!($test, node::v1, { RuntimeClass });
    }};
    ($test:ident, $group:ident :: $version:ident, { $($kind:ident),* }) => {
        $($test::<
            api::$group::$version::$kind,
            k8s_pb::api::$group::$version::$kind,
            k8s_openapi::api::$group::$version::$kind,
        >();)*
    };
}

#[test]
fn every_object_survives_the_wire_format_of_kubernetes() {
    fn test<K: Resource, P: prost::Message + Default, J>() {
        let kind = K::INFO.kind;
        proptest!(config(), |(object in generate::object::<K>())| {
            let object: K = serde_json::from_value(object).expect("generated objects are valid");
            let theirs = P::decode(object.encode_to_vec().as_slice()).expect("they read what we write");
            let back = K::decode(theirs.encode_to_vec().as_slice()).expect("we read what they write");
            prop_assert!(back == object, "{} is changed by the wire: {}", kind, difference(&object, &back));
        });
    }
    for_every_kind!(test);
}

#[test]
fn every_object_survives_the_json_of_kubernetes() {
    fn test<K: Resource, P, J: serde::Serialize + serde::de::DeserializeOwned>() {
        let kind = K::INFO.kind;
        proptest!(config(), |(object in generate::object::<K>())| {
            let object: K = serde_json::from_value(object).expect("generated objects are valid");
            let ours = serde_json::to_value(&object).expect("objects have a JSON form");
            let theirs: J = serde_json::from_value(ours.clone()).unwrap_or_else(|e| panic!("{kind}: they refuse: {e}\n{ours}"));
            let theirs = serde_json::to_value(theirs).expect("theirs too");
            let back: K = serde_json::from_value(theirs.clone()).unwrap_or_else(|e| panic!("{kind}: we refuse: {e}\n{theirs}"));
            prop_assert!(back == object, "{} is changed by JSON: {}", kind, difference(&object, &back));
        });
    }
    for_every_kind!(test);
}

#[test]
fn strict_decoding_accepts_every_object() {
    fn test<K: Resource, P, J>() {
        proptest!(config(), |(object in generate::object::<K>())| {
            let decoded = api::json::decode::<K>(object, api::json::FieldValidation::Strict);
            prop_assert!(decoded.is_ok(), "{}", decoded.unwrap_err());
        });
    }
    for_every_kind!(test);
}

#[test]
fn no_field_of_kubernetes_is_missing() {
    fn test<K: Resource, P, J: schemars::JsonSchema>() {
        let description: Value = schemars::schema_for!(J).into();
        let missing = missing::fields(K::SCHEMA, &description);
        assert!(missing.is_empty(), "{} lacks {missing:?}", K::INFO.kind);
    }
    for_every_kind!(test);
}

#[test]
fn a_field_that_we_lack_would_be_found() {
    let description = serde_json::json!({
        "properties": { "metadata": {}, "invented": {}, "spec": { "allOf": [{ "$ref": "#/$defs/PodSpec" }] } },
        "$defs": { "PodSpec": { "properties": { "nodeName": {}, "imagined": {} } } },
    });
    let missing = missing::fields(api::core::v1::Pod::SCHEMA, &description);
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["Pod.invented", "PodSpec.imagined"]);
}

/// What kubectl 1.32 sends for `create configmap c1 --from-literal=a=b`, without the envelope.
#[test]
fn a_body_of_kubectl_reads_as_what_the_user_typed() {
    let body = b"\x0a\x12\x0a\x02c1\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x06\x0a\x01a\x12\x01b";
    let map = api::core::v1::ConfigMap::decode(&body[..]).expect("a ConfigMap");
    assert_eq!(
        serde_json::to_value(&map).expect("objects have a JSON form"),
        serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c1" }, "data": { "a": "b" } })
    );
}

/// The first line in which two objects differ.
fn difference<K: Resource>(before: &K, after: &K) -> String {
    let (before, after) = (format!("{before:#?}"), format!("{after:#?}"));
    let differs = before.lines().zip(after.lines()).find(|(before, after)| before != after);
    differs.map_or_else(
        || "one is longer".to_owned(),
        |(before, after)| format!("{} became {}", before.trim(), after.trim()),
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() }
}
