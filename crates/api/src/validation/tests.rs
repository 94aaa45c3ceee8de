//! The kinds other than pods: each table says what must be found in which object.

use serde_json::{Value, json};

use super::*;
use crate::{Resource, defaults};

/// Reads an object, sets its defaults, and gives it the metadata that every object needs.
fn read<K: Resource>(object: Value, default: fn(&mut K)) -> K {
    let mut object: K = serde_json::from_value(object).unwrap();
    if object.metadata().name.is_empty() {
        object.metadata_mut().name = "x".into();
    }
    if K::INFO.namespaced && object.metadata().namespace.is_empty() {
        object.metadata_mut().namespace = "default".into();
    }
    object.metadata_mut().resource_version = "7".into();
    default(&mut object);
    object
}

fn none<K>(_: &mut K) {}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn template(label: &str) -> Value {
    json!({"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "a", "image": "x"}]}})
}

#[test]
fn metadata_of_any_kind() {
    let account = |metadata: Value| texts(&service_account::create(&read(json!({"metadata": metadata}), none)));
    assert_eq!(
        account(json!({"labels": {"a": "b", "example.com/c": ""}, "finalizers": ["x.io/y", "orphan"]})),
        Vec::<String>::new()
    );
    let table = [
        (json!({"name": "-"}), "metadata.name: Invalid value: \"-\": a lowercase RFC 1123 subdomain must"),
        (json!({"namespace": "a.b"}), "metadata.namespace: Invalid value: \"a.b\": must not contain dots"),
        (json!({"labels": {"a": "b c"}}), "metadata.labels: Invalid value: \"b c\": a valid label must"),
        (json!({"labels": {"/a": "b"}}), "metadata.labels: Invalid value: \"/a\": prefix part must be non-empty"),
        (
            json!({"annotations": {"a": "x".repeat(262_145)}}),
            "metadata.annotations: Too long: may not be more than 262144 bytes",
        ),
        (
            json!({"finalizers": ["mine"]}),
            "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
        ),
        (
            json!({"finalizers": ["orphan", "foregroundDeletion"]}),
            "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]}),
            "metadata.ownerReferences: Invalid value: \"\": must not be empty",
        ),
    ];
    for (metadata, want) in table {
        let found = account(metadata);
        assert!(
            found.len() == 1 && found[0].replace("ownerReferences.uid", "ownerReferences").starts_with(want),
            "{found:?}\n{want}"
        );
    }
    let generated: crate::core::v1::ServiceAccount =
        read(json!({"metadata": {"generateName": "bot-", "name": "bot-x"}}), none);
    assert!(service_account::create(&generated).is_empty());
}

#[test]
fn metadata_that_is_fixed() {
    let old: crate::core::v1::ServiceAccount = read(
        json!({"metadata": {"uid": "u", "finalizers": ["x.io/a"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        none,
    );
    let mut new = old.clone();
    assert!(service_account::update(&new, &old).is_empty());
    new.metadata.uid = "v".into();
    new.metadata.resource_version.clear();
    new.metadata.finalizers.push("x.io/b".into());
    assert_eq!(
        texts(&service_account::update(&new, &old)),
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}",
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
            "metadata.uid: Invalid value: \"v\": field is immutable",
        ]
    );
}

#[test]
fn deployments() {
    let read = |spec: Value| read(json!({"spec": spec}), defaults::deployment);
    let labels = json!({"matchLabels": {"app": "a"}});
    let good = read(json!({"selector": labels, "template": template("a")}));
    assert_eq!(deployment::create(&good), ErrorList::new());
    let table = [
        (
            json!({"replicas": -1, "selector": labels, "template": template("a")}),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (json!({"template": template("a")}), "spec.selector: Required value"),
        (
            json!({"selector": {}, "template": template("a")}),
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        ),
        (
            json!({"selector": labels, "template": template("b")}),
            r#"spec.template.metadata.labels: Invalid value: {"app":"b"}: `selector` does not match template `labels`"#,
        ),
        (
            json!({"selector": labels, "template": template("a"), "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            json!({"selector": labels, "template": template("a"), "strategy": {"type": "Recreate", "rollingUpdate": {}}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            json!({"selector": labels, "template": template("a"), "strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}}),
            r#"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%"#,
        ),
        (
            json!({"selector": labels, "template": template("a"), "minReadySeconds": 600}),
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
        ),
    ];
    for (spec, want) in table {
        assert_eq!(texts(&deployment::create(&read(spec))), [want]);
    }
    let never = json!({"selector": labels, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "a", "image": ""}]
    }}});
    assert_eq!(
        texts(&deployment::create(&read(never))),
        [
            "spec.template.spec.containers[0].image: Required value",
            r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
        ]
    );
    let other = read(json!({"selector": {"matchLabels": {"app": "b"}}, "template": template("b")}));
    assert_eq!(
        texts(&deployment::update(&other, &good)),
        [r#"spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable"#]
    );
}

#[test]
fn workload_statuses() {
    let mut new =
        read(json!({"spec": {"template": {"spec": {"containers": []}}}}), none::<crate::apps::v1::Deployment>);
    let mut old = new.clone();
    new.status.ready_replicas = 2;
    new.status.replicas = 1;
    new.status.available_replicas = 3;
    old.status.collision_count = Some(2);
    assert_eq!(
        texts(&deployment::status_update(&new, &old)),
        [
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
            "status.collisionCount: Invalid value: 0: cannot be decremented",
        ]
    );
}

#[test]
fn jobs() {
    let read = |spec: Value| read(json!({"spec": spec}), defaults::job);
    let labels = json!({"matchLabels": {"app": "a"}});
    let pod = |policy: &str| json!({"metadata": {"labels": {"app": "a"}}, "spec": {"restartPolicy": policy, "containers": [{"name": "a", "image": "x"}]}});
    let good = read(json!({"selector": labels, "template": pod("Never")}));
    assert_eq!(job::create(&good), ErrorList::new());
    let always = read(json!({"selector": labels, "template": pod("Always"), "parallelism": -1}));
    assert_eq!(
        texts(&job::create(&always)),
        [
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
            r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#,
        ]
    );
    let mut more = good.clone();
    more.spec.completions = Some(2);
    assert_eq!(texts(&job::update(&more, &good)), ["spec.completions: Invalid value: 2: field is immutable"]);
}

#[test]
fn services() {
    let read = |spec: Value| read(json!({"spec": spec}), defaults::service);
    let fine = [
        json!({"ports": [{"port": 80}]}),
        json!({"clusterIP": "None", "clusterIPs": ["None"]}),
        json!({"type": "ExternalName", "externalName": "example.com."}),
        json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 80}]}),
    ];
    for spec in fine {
        assert_eq!(texts(&service::create(&read(spec))), Vec::<String>::new());
    }
    let table = [
        (json!({}), vec!["spec.ports: Required value"]),
        (
            json!({"ports": [{"port": 0}]}),
            vec![
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            vec!["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        ),
        (
            json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}),
            vec![r#"spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}"#],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            vec!["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            json!({"type": "Magic", "ports": [{"port": 80}], "internalTrafficPolicy": "Cluster"}),
            vec![
                r#"spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#,
            ],
        ),
        (
            json!({"clusterIP": "x", "clusterIPs": ["x"], "ports": [{"port": 80}]}),
            vec![
                r#"spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
            ],
        ),
        (
            json!({"externalIPs": ["127.0.0.1"], "ports": [{"port": 80}]}),
            vec![
                r#"spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#,
            ],
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}, "ports": [{"port": 80}]}),
            vec![
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400",
            ],
        ),
    ];
    for (spec, want) in table {
        assert_eq!(texts(&service::create(&read(spec))), want);
    }
    let old = read(json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80}]}));
    let new = read(json!({"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "ports": [{"port": 80}]}));
    assert_eq!(
        texts(&service::update(&new, &old)),
        [r#"spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set"#]
    );
    let unset = read(json!({"ports": [{"port": 80}]}));
    assert_eq!(
        texts(&service::update(&unset, &old)),
        ["spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset"]
    );
}

#[test]
fn config_maps_and_secrets() {
    let map = |object: Value| -> crate::core::v1::ConfigMap { read(object, none) };
    assert_eq!(
        texts(&config_map::create(&map(json!({"data": {"..": "x", "a": "y"}, "binaryData": {"a": ""}})))),
        [
            r#"data[..]: Invalid value: "..": must not be '..'"#,
            r#"data[a]: Invalid value: "a": duplicate of key present in binaryData"#,
        ]
    );
    let big = map(json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}}));
    assert_eq!(texts(&config_map::create(&big)), ["[]: Too long: may not be more than 1048576 bytes"]);
    let frozen = map(json!({"immutable": true, "data": {"a": "x"}}));
    let changed = map(json!({"data": {"a": "y"}}));
    assert_eq!(
        texts(&config_map::update(&changed, &frozen)),
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );

    let secret = |object: Value| texts(&super::secret::create(&read(object, defaults::secret)));
    assert_eq!(secret(json!({"data": {"a": "eA=="}})), Vec::<String>::new());
    assert_eq!(
        secret(json!({"type": "kubernetes.io/tls"})),
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
    );
    let broken = secret(json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "no"}}));
    assert!(
        broken[0].starts_with("data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": "),
        "{broken:?}"
    );
    let (old, new) = (read(json!({}), defaults::secret), read(json!({"type": "x/y"}), defaults::secret));
    assert_eq!(texts(&super::secret::update(&new, &old)), [r#"type: Invalid value: "x/y": field is immutable"#]);
}

#[test]
fn nodes_and_namespaces() {
    let node = |object: Value| -> crate::core::v1::Node { read(object, defaults::node) };
    let taint = json!({"key": "a", "effect": "NoSchedule"});
    let bad = node(
        json!({"spec": {"taints": [taint, taint], "podCIDRs": ["10.0.0.0/33"]}, "status": {"capacity": {"pods": "1500m"}}}),
    );
    assert_eq!(
        texts(&super::node::create(&bad)),
        [
            r#"metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: taints must be unique by key and effect pair"#,
            r#"status.capacity.pods: Invalid value: "1500m": must be an integer"#,
            r#"status.allocatable.pods: Invalid value: "1500m": must be an integer"#,
            r#"spec.podCIDRs[0]: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#,
        ]
    );
    let old = node(json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "p"}}));
    let new = node(json!({"spec": {"podCIDRs": ["10.0.1.0/24"], "providerID": "q"}}));
    assert_eq!(
        texts(&super::node::update(&new, &old)),
        [
            r#"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid"#,
            r#"spec.providerID: Forbidden: node updates may not change providerID except from "" to valid"#,
        ]
    );

    let namespace = |object: Value| -> crate::core::v1::Namespace { read(object, defaults::namespace) };
    assert_eq!(
        texts(&super::namespace::create(&namespace(json!({"metadata": {"name": "a.b"}})))),
        [r#"metadata.name: Invalid value: "a.b": must not contain dots"#,]
    );
    let (old, new) = (namespace(json!({})), namespace(json!({"status": {"phase": "Terminating"}})));
    assert_eq!(
        texts(&super::namespace::status_update(&new, &old)),
        [r#"status.Phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty"#,]
    );
}

#[test]
fn small_kinds() {
    let lease: crate::coordination::v1::Lease = read(json!({"spec": {"leaseDurationSeconds": 0}}), none);
    assert_eq!(
        texts(&super::lease::create(&lease)),
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",]
    );
    let event: crate::core::v1::Event = read(json!({"involvedObject": {"namespace": "other"}}), none);
    assert_eq!(
        texts(&super::event::create(&event)),
        [r#"involvedObject.namespace: Invalid value: "other": does not match event.namespace"#,]
    );
    let budget: crate::policy::v1::PodDisruptionBudget =
        read(json!({"spec": {"minAvailable": 1, "maxUnavailable": "x"}}), none);
    assert_eq!(
        texts(&pod_disruption_budget::create(&budget)),
        [
            r#"spec: Invalid value: {"minAvailable":1,"maxUnavailable":"x"}: minAvailable and maxUnavailable cannot be both set"#,
            r#"spec.maxUnavailable: Invalid value: "x": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')"#,
        ]
    );
    let class = |object: Value| -> crate::scheduling::v1::PriorityClass { read(object, defaults::priority_class) };
    assert_eq!(
        texts(&priority_class::create(&class(json!({"value": 1_000_000_001})))),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000",]
    );
    assert_eq!(
        texts(&priority_class::create(&class(json!({"metadata": {"name": "system-x"}, "value": 1})))),
        [
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class",
        ]
    );
    assert!(
        priority_class::create(&class(json!({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000})))
            .is_empty()
    );
    assert_eq!(
        texts(&priority_class::update(&class(json!({"value": 2})), &class(json!({"value": 1})))),
        ["value: Forbidden: may not be changed in an update.",]
    );
    let runtime: crate::node::v1::RuntimeClass = read(json!({"handler": "A"}), none);
    assert!(
        texts(&runtime_class::create(&runtime))[0]
            .starts_with("handler: Invalid value: \"A\": a lowercase RFC 1123 label must")
    );
    let revision: crate::apps::v1::ControllerRevision = read(json!({"revision": -1}), none);
    assert_eq!(
        texts(&controller_revision::create(&revision)),
        ["data: Required value: data is mandatory", "revision: Invalid value: -1: must be greater than or equal to 0",]
    );
}

#[test]
fn endpoints_and_slices() {
    let endpoints: crate::core::v1::Endpoints = read(
        json!({"subsets": [{"ports": [{"port": 80}]}, {"addresses": [{"ip": "169.254.0.1"}]}]}),
        defaults::endpoints,
    );
    assert_eq!(
        texts(&super::endpoints::create(&endpoints)),
        [
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            r#"subsets[1].addresses[0].ip: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)"#,
        ]
    );
    let slice = |kind: &str, address: &str| -> crate::discovery::v1::EndpointSlice {
        read(
            json!({"addressType": kind, "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}]}),
            defaults::endpoint_slice,
        )
    };
    assert!(endpoint_slice::create(&slice("IPv4", "10.0.0.1")).is_empty());
    assert!(endpoint_slice::create(&slice("FQDN", "a.example.com.")).is_empty());
    assert_eq!(
        texts(&endpoint_slice::create(&slice("IPv4", "fd00::1"))),
        [r#"endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address"#,]
    );
    assert_eq!(
        texts(&endpoint_slice::update(&slice("IPv6", "fd00::1"), &slice("IPv4", "10.0.0.1"))),
        [r#"addressType: Invalid value: "IPv6": field is immutable"#,]
    );
}
