use super::*;
use api::Resource as _;
use api::apps::v1::Deployment;
use api::core::v1::{Pod, Service};
use api::json::Fields as _;

fn deployment(last: Value, wanted: Value, live: Value) -> Value {
    let spec = |value: Value| json!({ "spec": value });
    three_way(Deployment::SCHEMA, &spec(last), &spec(wanted), &spec(live))
        .map_or(Value::Null, |patch| patch["spec"].clone())
}

fn pod_spec(last: Value, wanted: Value, live: Value) -> Value {
    let spec = |value: Value| json!({ "spec": value });
    three_way(Pod::SCHEMA, &spec(last), &spec(wanted), &spec(live)).map_or(Value::Null, |patch| patch["spec"].clone())
}

#[test]
fn fields_are_changed_added_and_removed_and_those_of_others_stay() {
    assert_eq!(Deployment::INFO.kind, "Deployment");
    let table = [
        (json!({ "replicas": 3 }), json!({ "replicas": 3 }), json!({ "replicas": 3, "paused": true }), Value::Null),
        (json!({ "replicas": 3 }), json!({ "replicas": 5 }), json!({ "replicas": 3 }), json!({ "replicas": 5 })),
        // Somebody scaled by hand: the file wins as long as it says something.
        (json!({ "replicas": 3 }), json!({ "replicas": 3 }), json!({ "replicas": 9 }), json!({ "replicas": 3 })),
        (json!({}), json!({}), json!({ "replicas": 9 }), Value::Null),
        (json!({ "replicas": 3 }), json!({}), json!({ "replicas": 3 }), json!({ "replicas": null })),
        // It is gone already.
        (json!({ "paused": true }), json!({}), json!({}), Value::Null),
        (json!({}), json!({ "minReadySeconds": 5 }), json!({}), json!({ "minReadySeconds": 5 })),
        (
            json!({}),
            json!({ "minReadySeconds": null }),
            json!({ "minReadySeconds": 5 }),
            json!({ "minReadySeconds": null }),
        ),
        (json!({}), json!({ "template": {} }), json!({}), Value::Null),
    ];
    for (last, wanted, live, expected) in table {
        assert_eq!(deployment(last.clone(), wanted.clone(), live.clone()), expected, "{last} {wanted} {live}");
    }
}

#[test]
fn labels_are_compared_key_by_key() {
    let labels = |value: Value| json!({ "metadata": { "labels": value } });
    let patch = three_way(
        Deployment::SCHEMA,
        &labels(json!({ "a": "1", "b": "1" })),
        &labels(json!({ "a": "2" })),
        &labels(json!({ "a": "1", "b": "1", "c": "1" })),
    );
    assert_eq!(patch.unwrap(), labels(json!({ "a": "2", "b": null })));
}

#[test]
fn elements_are_found_by_their_key() {
    let list = |value: Value| json!({ "containers": value });
    let patch = pod_spec(
        list(json!([{ "name": "a", "image": "x", "tty": true }, { "name": "old" }])),
        list(json!([{ "name": "a", "image": "y" }, { "name": "new" }])),
        list(
            json!([{ "name": "a", "image": "x", "tty": true, "imagePullPolicy": "Always" }, { "name": "old" }, { "name": "injected" }]),
        ),
    );
    assert_eq!(
        patch,
        json!({
            "$setElementOrder/containers": [{ "name": "a" }, { "name": "new" }],
            "containers": [
                { "name": "a", "image": "y", "tty": null },
                { "name": "new" },
                { "$patch": "delete", "name": "old" },
            ],
        })
    );
}

#[test]
fn an_order_alone_is_a_change() {
    let list = |value: Value| json!({ "containers": value });
    let patch = pod_spec(
        list(json!([{ "name": "a" }, { "name": "b" }])),
        list(json!([{ "name": "b" }, { "name": "a" }])),
        list(json!([{ "name": "a" }, { "name": "b" }])),
    );
    assert_eq!(patch, json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] }));
}

#[test]
fn elements_that_their_key_does_not_tell_apart_are_replaced_together() {
    let spec = |ports: Value| json!({ "spec": { "ports": ports } });
    let both = json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }]);
    let live = json!([{ "port": 53, "protocol": "TCP", "targetPort": 53 }, { "port": 53, "protocol": "UDP", "targetPort": 53 }]);
    assert_eq!(three_way(Service::SCHEMA, &spec(both.clone()), &spec(both.clone()), &spec(live.clone())), None);
    let wanted = json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP", "name": "dns" }]);
    let patch = three_way(Service::SCHEMA, &spec(both), &spec(wanted), &spec(live)).unwrap();
    assert_eq!(
        patch["spec"]["ports"],
        json!([{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP", "name": "dns" }, { "$patch": "replace" }])
    );
}

#[test]
fn equal_amounts_are_no_change() {
    let cpu = |value: Value| json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": value } } }] });
    assert_eq!(pod_spec(cpu(json!("1000m")), cpu(json!("1000m")), cpu(json!("1"))), Value::Null);
    assert_eq!(pod_spec(cpu(json!(1)), cpu(json!(1)), cpu(json!("1"))), Value::Null);
    let patch = pod_spec(cpu(json!("1")), cpu(json!("500m")), cpu(json!("1")));
    assert_eq!(patch["containers"][0]["resources"]["requests"]["cpu"], "500m");
}

#[test]
fn lists_without_keys_are_one_value_and_tolerate_defaults() {
    let tolerations = |value: Value| json!({ "tolerations": value });
    let mine = json!([{ "key": "a", "operator": "Exists" }]);
    let added = json!([{ "key": "a", "operator": "Exists" }, { "key": "node.kubernetes.io/not-ready" }]);
    assert_eq!(pod_spec(tolerations(mine.clone()), tolerations(mine.clone()), tolerations(mine.clone())), Value::Null);
    assert_eq!(pod_spec(tolerations(mine.clone()), tolerations(mine.clone()), tolerations(added)), tolerations(mine));
}

#[test]
fn finalizers_are_a_set() {
    let meta = |value: Value| json!({ "metadata": { "finalizers": value } });
    let patch = three_way(
        Pod::SCHEMA,
        &meta(json!(["x/a", "x/b"])),
        &meta(json!(["x/a", "x/c"])),
        &meta(json!(["x/b", "x/a", "x/d"])),
    );
    assert_eq!(
        patch.unwrap()["metadata"],
        json!({ "finalizers": ["x/c"], "$deleteFromPrimitiveList/finalizers": ["x/b"] })
    );
}

#[test]
fn another_strategy_drops_the_settings_of_the_old_one() {
    let strategy = |value: Value| json!({ "strategy": value });
    let defaulted = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } });
    assert_eq!(
        deployment(json!({}), strategy(json!({ "type": "Recreate" })), strategy(defaulted.clone())),
        strategy(json!({ "type": "Recreate", "rollingUpdate": null }))
    );
    assert_eq!(deployment(json!({}), strategy(json!({ "type": "RollingUpdate" })), strategy(defaulted)), Value::Null);
}
