//! Faults of containers.

use super::*;

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
