//! Each table breaks one good pod in one way and says what must be found.

use serde_json::{Value, json};

use super::*;
use crate::defaults;

fn good() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "7"},
        "spec": {
            "containers": [{
                "name": "web",
                "image": "nginx",
                "ports": [{"name": "http", "containerPort": 80}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]
            }],
            "volumes": [{"name": "data", "emptyDir": {}}]
        }
    })
}

fn read(json: Value) -> Pod {
    let mut pod: Pod = serde_json::from_value(json).unwrap();
    defaults::pod(&mut pod);
    pod
}

/// Merges a patch into the good pod: objects by key, anything else replaces.
fn merged(mut base: Value, patch: Value) -> Value {
    fn merge(base: &mut Value, patch: Value) {
        match (base, patch) {
            (Value::Object(base), Value::Object(patch)) => {
                for (key, value) in patch {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
            (base, patch) => *base = patch,
        }
    }
    merge(&mut base, patch);
    base
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// The faults of the good pod with a patch to its spec.
fn spec(patch: Value) -> Vec<String> {
    texts(&create(&read(merged(good(), json!({"spec": patch})))))
}

/// The faults of the good pod with a patch to its container.
fn container(patch: Value) -> Vec<String> {
    let container = merged(good()["spec"]["containers"][0].clone(), patch);
    spec(json!({"containers": [container]}))
}

/// The faults of the good pod with other sources of its volume.
fn volume(sources: Value) -> Vec<String> {
    let volume = merged(json!({"name": "data"}), sources);
    let mut faults = spec(json!({"volumes": [volume]}));
    // What is mounted must be in order; that is not what these tests are about.
    faults.retain(|fault| !fault.ends_with(r#"volumeMounts[0].name: Not found: "data""#));
    faults
}

fn check(table: Vec<(Vec<String>, Vec<&str>)>) {
    for (found, want) in table {
        assert_eq!(found, want);
    }
}

#[test]
fn a_good_pod_passes() {
    check(vec![(spec(json!({})), vec![])]);
    assert_eq!(update(&read(good()), &read(good())), ErrorList::new());
    assert_eq!(status_update(&read(good()), &read(good())), ErrorList::new());
}

#[test]
fn the_pod_as_a_whole() {
    check(vec![
        (spec(json!({"containers": []})), vec!["spec.containers: Required value"]),
        (
            spec(json!({"restartPolicy": "Sometimes"})),
            vec![
                r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#,
            ],
        ),
        (
            spec(json!({"activeDeadlineSeconds": 0})),
            vec!["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (spec(json!({"hostname": "a.b"})), vec![r#"spec.hostname: Invalid value: "a.b": must not contain dots"#]),
        (
            spec(json!({"dnsPolicy": "None"})),
            vec!["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            spec(json!({"dnsConfig": {"nameservers": ["x"]}})),
            vec![
                r#"spec.dnsConfig.nameservers[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#,
            ],
        ),
        (
            spec(json!({"nodeName": "n", "schedulingGates": [{"name": "x"}]})),
            vec!["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
        ),
        (
            spec(json!({"ephemeralContainers": [{"name": "debug"}]})),
            vec!["spec.ephemeralContainers: Forbidden: cannot be set on create"],
        ),
        (
            spec(json!({"hostNetwork": true, "hostUsers": false})),
            vec!["spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false"],
        ),
        (
            spec(json!({"os": {"name": "windows"}, "shareProcessNamespace": true})),
            vec!["spec.shareProcessNamespace: Forbidden: cannot be set for a windows pod"],
        ),
    ]);
    let nameless = read(merged(good(), json!({"metadata": {"name": ""}})));
    assert_eq!(texts(&create(&nameless)), ["metadata.name: Required value: name or generateName is required"]);
}

#[test]
fn names_and_images_of_containers() {
    let two = json!({"containers": [
        {"name": "a", "image": "x", "ports": [{"containerPort": 1, "hostPort": 9}]},
        {"name": "a", "image": "x", "ports": [{"containerPort": 2, "hostPort": 9}]}
    ]});
    check(vec![
        (container(json!({"image": ""})), vec!["spec.containers[0].image: Required value"]),
        (
            container(json!({"image": " nginx"})),
            vec![r#"spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace"#],
        ),
        (container(json!({"name": ""})), vec!["spec.containers[0].name: Required value"]),
        (
            spec(two),
            vec![
                r#"spec.containers[1].name: Duplicate value: "a""#,
                r#"spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//9""#,
            ],
        ),
        (
            container(json!({"restartPolicy": "Always"})),
            vec!["spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers"],
        ),
        (
            container(json!({"imagePullPolicy": "Often"})),
            vec![
                r#"spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never""#,
            ],
        ),
        (
            spec(
                json!({"initContainers": [{"name": "web", "image": "x", "livenessProbe": {"exec": {"command": ["a"]}}}]}),
            ),
            vec![
                r#"spec.initContainers[0].name: Duplicate value: "web""#,
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            spec(json!({"initContainers": [{"name": "a", "image": "x", "restartPolicy": "Never"}]})),
            vec![r#"spec.initContainers[0].restartPolicy: Unsupported value: "Never": supported values: "Always""#],
        ),
    ]);
}

#[test]
fn ports_and_environment() {
    let at = |rest: &str| format!("spec.containers[0].{rest}");
    let table = [
        (json!({"ports": [{}]}), at("ports[0].containerPort: Required value")),
        (
            json!({"ports": [{"containerPort": 70000}]}),
            at("ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        ),
        (
            json!({"ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}),
            at(r#"ports[1].name: Duplicate value: "a""#),
        ),
        (
            json!({"ports": [{"containerPort": 1, "protocol": "ICMP"}]}),
            at(r#"ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP""#),
        ),
        (json!({"env": [{"value": "x"}]}), at("env[0].name: Required value")),
        (
            json!({"env": [{"name": "a=b"}]}),
            at(
                r#"env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='"#,
            ),
        ),
        (
            json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            at(r#"env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#),
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]}),
            at(
                r#"env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs""#,
            ),
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
            at("env[0].valueFrom.secretKeyRef.key: Required value"),
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]}),
            at(
                r#"env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource"#,
            ),
        ),
        (
            json!({"envFrom": [{}]}),
            at(r#"envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`"#),
        ),
    ];
    for (patch, want) in table {
        assert_eq!(container(patch), [want]);
    }
    let by_label = json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]});
    assert_eq!(container(by_label), Vec::<String>::new());
}

#[test]
fn probes_and_hooks() {
    let at = |rest: &str| format!("spec.containers[0].{rest}");
    let both = json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 80}});
    let table = [
        (json!({"readinessProbe": {}}), at("readinessProbe: Required value: must specify a handler type")),
        (
            json!({"readinessProbe": both}),
            at("readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
        ),
        (
            json!({"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}}),
            at("livenessProbe.successThreshold: Invalid value: 2: must be 1"),
        ),
        (
            json!({"livenessProbe": {"httpGet": {"port": "nope!"}}}),
            at(
                r#"livenessProbe.httpGet.port: Invalid value: "nope!": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"#,
            ),
        ),
        (
            json!({"startupProbe": {"grpc": {"port": 0}}}),
            at("startupProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ),
        (
            json!({"startupProbe": {"exec": {"command": ["a"]}, "periodSeconds": -1}}),
            at("startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"),
        ),
        (json!({"lifecycle": {"preStop": {"exec": {}}}}), at("lifecycle.preStop.exec.command: Required value")),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
            at(
                "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ),
        ),
        (
            json!({"lifecycle": {"stopSignal": "SIGUSR1"}}),
            at("lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`"),
        ),
    ];
    for (patch, want) in table {
        assert_eq!(container(patch), [want]);
    }
}

#[test]
fn resources_of_containers_and_of_the_pod() {
    let at = |rest: &str| format!("spec.containers[0].resources.{rest}");
    let table = [
        (
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
            vec![at(r#"requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#)],
        ),
        (
            json!({"limits": {"cpu": "-1"}, "requests": {"cpu": "-1"}}),
            vec![
                at(r#"limits[cpu]: Invalid value: "-1": must be greater than or equal to 0"#),
                at(r#"requests[cpu]: Invalid value: "-1": must be greater than or equal to 0"#),
            ],
        ),
        (
            json!({"requests": {"cores": "1"}}),
            vec![
                at(r#"requests[cores]: Invalid value: "cores": must be a standard resource type or fully qualified"#),
                at(r#"requests[cores]: Invalid value: "cores": must be a standard resource for containers"#),
            ],
        ),
        (
            json!({"requests": {"x.io/gpu": "1"}}),
            vec![at("limits: Required value: Limit must be set for non overcommitable resources")],
        ),
        (
            json!({"limits": {"x.io/gpu": "500m"}}),
            vec![
                at(r#"limits[x.io/gpu]: Invalid value: "500m": must be an integer"#),
                at(r#"requests[x.io/gpu]: Invalid value: "500m": must be an integer"#),
            ],
        ),
        (
            json!({"limits": {"hugepages-2Mi": "4Mi"}}),
            vec!["spec.containers[0].resources: Forbidden: HugePages require cpu or memory".to_owned()],
        ),
        (json!({"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "x.io/gpu": "2"}}), vec![]),
    ];
    for (resources, want) in table {
        assert_eq!(container(json!({"resources": resources})), want);
    }
    let mut unreadable = read(good());
    let limits = &mut unreadable.spec.containers[0].resources.limits;
    limits.insert("cpu".into(), crate::resource::Quantity { string: "1x".into() });
    assert_eq!(
        texts(&create(&unreadable)),
        [at(
            r#"limits[cpu]: Invalid value: "1x": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"#
        )]
    );
    let with_request = json!({"name": "a", "image": "x", "resources": {"requests": {"cpu": "2"}}});
    check(vec![(
        spec(json!({"containers": [with_request], "resources": {"requests": {"cpu": "1", "pods": "1"}}})),
        vec![
            r#"spec.resources.requests[pods]: Unsupported value: "pods": supported values: "cpu", "hugepages-", "memory""#,
            r#"spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2"#,
        ],
    )]);
}

#[test]
fn volumes_and_mounts() {
    check(vec![
        (
            container(json!({"volumeMounts": [{"name": "other", "mountPath": "/a"}]})),
            vec![r#"spec.containers[0].volumeMounts[0].name: Not found: "other""#],
        ),
        (
            container(
                json!({"volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/a"}]}),
            ),
            vec![r#"spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#],
        ),
        (
            container(json!({"volumeMounts": [{"name": "data", "mountPath": "/a", "subPath": "../b"}]})),
            vec![r#"spec.containers[0].volumeMounts.subPath: Invalid value: "../b": must not contain '..'"#],
        ),
        (
            spec(json!({"volumes": [{"name": "data", "emptyDir": {}}, {"name": "data", "emptyDir": {}}]})),
            vec![r#"spec.volumes[1].name: Duplicate value: "data""#],
        ),
        (
            volume(json!({"emptyDir": {}, "hostPath": {"path": "/"}})),
            vec!["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (volume(json!({"configMap": {}})), vec!["spec.volumes[0].configMap.name: Required value"]),
        (volume(json!({"secret": {}})), vec!["spec.volumes[0].secret.secretName: Required value"]),
        (
            volume(json!({"secret": {"secretName": "s", "defaultMode": 512}})),
            vec![
                "spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
            ],
        ),
        (
            volume(json!({"hostPath": {"path": "/", "type": "Disk"}})),
            vec![
                r#"spec.volumes[0].hostPath.type: Unsupported value: "Disk": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket""#,
            ],
        ),
        (
            volume(json!({"projected": {"sources": [
                {"configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
                {"secret": {"name": "b", "items": [{"key": "k", "path": "p"}]}}
            ]}})),
            vec![r#"spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths"#],
        ),
        (
            volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}})),
            vec![
                "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
            ],
        ),
        (
            volume(json!({"nfs": {"server": "a", "path": "b"}})),
            vec![r#"spec.volumes[0].nfs.path: Invalid value: "b": must be an absolute path"#],
        ),
        (volume(json!({"gcePersistentDisk": {}})), vec!["spec.volumes[0].gcePersistentDisk.pdName: Required value"]),
    ]);
}

#[test]
fn placement() {
    let required = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }}})
    };
    let spread = |patch: Value| {
        let base = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
        json!({"topologySpreadConstraints": [merged(base, patch)]})
    };
    const NODE_TERMS: &str =
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let table = [
        (
            json!({"tolerations": [{"operator": "Equal"}]}),
            r#"spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys""#.to_owned(),
        ),
        (
            json!({"tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 1}]}),
            r#"spec.tolerations[0].effect: Invalid value: "": effect must be 'NoExecute' when `tolerationSeconds` is set"#.to_owned(),
        ),
        (
            json!({"tolerations": [{"key": "a", "operator": "Exists", "effect": "No"}]}),
            r#"spec.tolerations[0].effect: Unsupported value: "No": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#.to_owned(),
        ),
        (required(json!([])), format!("{NODE_TERMS}: Required value: must have at least one node selector term")),
        (
            required(json!([{"matchExpressions": [{"key": "a", "operator": "In"}]}])),
            format!("{NODE_TERMS}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        ),
        (
            required(json!([{"matchFields": [{"key": "spec.x", "operator": "In", "values": ["a"]}]}])),
            format!(r#"{NODE_TERMS}[0].matchFields[0].key: Invalid value: "spec.x": not a valid field selector key"#),
        ),
        (
            json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}}
            ]}}}),
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100".to_owned(),
        ),
        (
            spread(json!({"maxSkew": 0})),
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero".to_owned(),
        ),
        (
            spread(json!({"whenUnsatisfiable": "Panic"})),
            r#"spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Panic": supported values: "DoNotSchedule", "ScheduleAnyway""#.to_owned(),
        ),
        (
            json!({"nodeSelector": {"a": "-"}}),
            r#"spec.nodeSelector: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue', or 'my_value', or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#.to_owned(),
        ),
    ];
    for (patch, want) in table {
        assert_eq!(spec(patch), [want]);
    }
}

#[test]
fn security_contexts() {
    let on_container = |context: Value| container(json!({"securityContext": context}));
    check(vec![
        (
            on_container(json!({"runAsUser": -1})),
            vec![
                "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ],
        ),
        (
            on_container(json!({"privileged": true, "allowPrivilegeEscalation": false})),
            vec![
                r#"spec.containers[0].securityContext: Invalid value: {"privileged":true,"allowPrivilegeEscalation":false}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"#,
            ],
        ),
        (
            spec(json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}})),
            vec![
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            spec(json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.core.somaxconn"}]}})),
            vec![
                r#"spec.securityContext.sysctls[0].name: Invalid value: "net.core.somaxconn": may not be specified when 'hostNetwork' is true"#,
            ],
        ),
    ]);
}

#[test]
fn only_a_few_fields_may_change() {
    let old = read(good());
    let changed = |patch: Value| texts(&update(&read(merged(good(), json!({"spec": patch}))), &old));
    let mut image = good()["spec"]["containers"].clone();
    image[0]["image"] = json!("nginx:2");
    image[0]["imagePullPolicy"] = json!("Always");
    check(vec![
        (changed(json!({"containers": image})), vec![]),
        (changed(json!({"activeDeadlineSeconds": 5})), vec![]),
        (changed(json!({"tolerations": [{"key": "a", "operator": "Exists"}]})), vec![]),
    ]);
    let hostname = changed(json!({"hostname": "other"}));
    assert_eq!(
        hostname,
        ["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
          `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
          tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  \
          spec.hostname: null -> \"other\""]
    );
    let mut two = good()["spec"]["containers"].clone();
    two.as_array_mut().unwrap().push(json!({"name": "b", "image": "x"}));
    check(vec![(
        changed(json!({"containers": two})),
        vec!["spec.containers: Forbidden: pod updates may not add or remove containers"],
    )]);
    let mut env = good()["spec"]["containers"].clone();
    env[0]["env"] = json!([{"name": "A", "value": "1"}]);
    assert!(
        changed(json!({"containers": env}))[0]
            .ends_with("\n  spec.containers[0].env: null -> [{\"name\":\"A\",\"value\":\"1\"}]")
    );
}

#[test]
fn tolerations_and_gates_only_move_one_way() {
    let tolerating = json!({"spec": {"tolerations": [
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
    ]}});
    let old = read(merged(good(), tolerating));
    let mut longer = old.clone();
    longer.spec.tolerations[0].toleration_seconds = Some(20);
    assert_eq!(texts(&update(&longer, &old)), Vec::<String>::new());
    let mut without = old.clone();
    without.spec.tolerations.clear();
    assert_eq!(
        texts(&update(&without, &old)),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );

    let gated = read(merged(good(), json!({"spec": {"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "1"}}})));
    let mut free = gated.clone();
    free.spec.scheduling_gates.clear();
    free.spec.node_selector.insert("y".into(), "2".into());
    assert_eq!(texts(&update(&free, &gated)), Vec::<String>::new());
    assert_eq!(
        texts(&update(&gated, &read(good())))[0],
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a'"
    );
    free.spec.node_selector.clear();
    assert_eq!(
        texts(&update(&free, &gated)),
        [
            "spec.nodeSelector: Invalid value: {}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        ]
    );
}

#[test]
fn a_status_may_not_bring_back_the_dead() {
    let with_state = |policy: &str, state: Value| {
        read(merged(
            good(),
            json!({
                "spec": {"restartPolicy": policy},
                "status": {"containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}
            }),
        ))
    };
    let ended = |code: i32| json!({"terminated": {"exitCode": code}});
    let running = json!({"running": {}});
    let restarted = |policy: &str, code: i32| {
        texts(&status_update(&with_state(policy, running.clone()), &with_state(policy, ended(code))))
    };
    let refused = vec!["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"];
    check(vec![
        (restarted("Always", 0), vec![]),
        (restarted("OnFailure", 1), vec![]),
        (restarted("OnFailure", 0), refused.clone()),
        (restarted("Never", 1), refused),
    ]);
    let mut other = read(good());
    other.status.qos_class = "Burstable".into();
    other.spec.node_name = "n".into();
    other.status.pod_ips = ["10.0.0.1", "10.0.0.2"].map(|ip| crate::core::v1::PodIp { ip: ip.into() }).into();
    check(vec![(
        texts(&status_update(&other, &read(good()))),
        vec![
            "status.nodeName: Forbidden: may not be changed directly",
            r#"status.qosClass: Invalid value: "Burstable": field is immutable"#,
            r#"status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more than one IP for each IP family"#,
        ],
    )]);
}

#[test]
fn a_binding_names_a_node() {
    let mut decision = Binding::default();
    assert_eq!(texts(&binding(&decision)), ["target.name: Required value"]);
    decision.target.name = "n".into();
    decision.target.kind = "Pod".into();
    assert_eq!(
        texts(&binding(&decision)),
        [r#"target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>""#]
    );
}
