//! Specs that cannot be, and what each is refused with.

use api::Reason;
use api::core::v1::Pod;
use api::meta::v1::ListOptions;
use client::Api;
use serde_json::{Value, json};
use testkit::cluster::Cluster;

use super::{main, pod};

/// P1, H1: specs that cannot be, each with all that is wrong with it.
pub(super) async fn all(cluster: &Cluster) {
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let exec = json!({"command": ["true"]});
    let tcp = json!({"port": 80});
    let at = |fault: &str| vec![format!("spec.containers[0].{fault}")];
    let probe = |kind: &str, probe: Value| main(json!({kind: probe}));
    let none_negative = "Invalid value: -1: must be greater than or equal to 0";
    let table: [(&str, Value, Vec<String>); 19] = [
        (
            "a probe without a handler",
            probe("readinessProbe", json!({"periodSeconds": 5})),
            at("readinessProbe: Required value: must specify a handler type"),
        ),
        (
            "a probe with two handlers",
            probe("livenessProbe", json!({"exec": exec, "tcpSocket": tcp})),
            at("livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"),
        ),
        (
            "an exec probe without a command",
            probe("startupProbe", json!({"exec": {}})),
            at("startupProbe.exec.command: Required value"),
        ),
        (
            "port 0",
            probe("livenessProbe", json!({"tcpSocket": {"port": 0}})),
            at("livenessProbe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ),
        (
            "httpGet without a port",
            probe("readinessProbe", json!({"httpGet": {"path": "/"}})),
            at("readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ),
        (
            "a scheme that is none",
            probe("readinessProbe", json!({"httpGet": {"port": 80, "scheme": "FTP"}})),
            at(r#"readinessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS""#),
        ),
        (
            "negative numbers",
            probe(
                "readinessProbe",
                json!({"tcpSocket": tcp, "initialDelaySeconds": -1, "timeoutSeconds": -1, "periodSeconds": -1,
                       "successThreshold": -1, "failureThreshold": -1}),
            ),
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
                .map(|field| format!("spec.containers[0].readinessProbe.{field}: {none_negative}"))
                .to_vec(),
        ),
        (
            "a liveness probe that wants two successes",
            probe("livenessProbe", json!({"tcpSocket": tcp, "successThreshold": 2})),
            at("livenessProbe.successThreshold: Invalid value: 2: must be 1"),
        ),
        (
            "a startup probe that wants two successes",
            probe("startupProbe", json!({"tcpSocket": tcp, "successThreshold": 2})),
            at("startupProbe.successThreshold: Invalid value: 2: must be 1"),
        ),
        (
            "a grace period of nothing",
            probe("livenessProbe", json!({"tcpSocket": tcp, "terminationGracePeriodSeconds": 0})),
            at("livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0"),
        ),
        (
            "a readiness probe with a grace period",
            probe("readinessProbe", json!({"tcpSocket": tcp, "terminationGracePeriodSeconds": 5})),
            at("readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"),
        ),
        (
            "a hook without a handler",
            main(json!({"lifecycle": {"postStart": {}}})),
            at("lifecycle.postStart: Required value: must specify a handler type"),
        ),
        (
            "a hook with two handlers",
            main(json!({"lifecycle": {"preStop": {"exec": exec, "httpGet": {"port": 80}}}})),
            at("lifecycle.preStop.httpGet: Forbidden: may not specify more than 1 handler type"),
        ),
        (
            "a mount of no volume",
            main(json!({"volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]})),
            at(r#"volumeMounts[0].name: Not found: "nowhere""#),
        ),
        (
            "two containers of one name",
            json!({"containers": [{"name": "main", "image": "nginx"}, {"name": "main", "image": "nginx"}]}),
            vec![r#"spec.containers[1].name: Duplicate value: "main""#.to_owned()],
        ),
        (
            "a container and an init container of one name",
            json!({"containers": [{"name": "main", "image": "nginx"}], "initContainers": [{"name": "main", "image": "nginx"}]}),
            vec![r#"spec.initContainers[0].name: Duplicate value: "main""#.to_owned()],
        ),
        (
            "an init container with a probe and a hook",
            json!({"containers": [{"name": "main", "image": "nginx"}], "initContainers": [
                {"name": "i", "image": "nginx", "readinessProbe": {"tcpSocket": tcp}, "lifecycle": {"preStop": {"exec": exec}}}]}),
            ["lifecycle", "readinessProbe"]
                .map(|field| {
                    let why = "may not be set for init containers without restartPolicy=Always";
                    format!("spec.initContainers[0].{field}: Forbidden: {why}")
                })
                .to_vec(),
        ),
        ("no container", json!({"containers": []}), vec!["spec.containers: Required value".to_owned()]),
        (
            "faults in several places",
            json!({"restartPolicy": "Sometimes", "containers": [
                {"name": "main", "livenessProbe": {"grpc": {"port": 0}}, "lifecycle": {"preStop": {}}}]}),
            vec![
                "spec.containers[0].image: Required value".to_owned(),
                "spec.containers[0].lifecycle.preStop: Required value: must specify a handler type".to_owned(),
                "spec.containers[0].livenessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive".to_owned(),
                r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#.to_owned(),
            ],
        ),
    ];
    for (what, spec, faults) in table {
        let error = pods.create(&pod("impossible", &spec, &[])).await.expect_err(what);
        assert_eq!((error.reason, error.code()), (Reason::Invalid, 422), "{what}: {error}");
        let all = if let [only] = &faults[..] { only.clone() } else { format!("[{}]", faults.join(", ")) };
        assert_eq!(error.message, format!("Pod \"impossible\" is invalid: {all}"), "{what}");
        let fields: Vec<&str> = error.details.causes.iter().map(|cause| cause.field.as_str()).collect();
        let expected: Vec<&str> =
            faults.iter().filter_map(|fault| fault.split_once(": ")).map(|(field, _)| field).collect();
        assert_eq!(fields, expected, "{what}");
    }
    // A sidecar has probes and hooks like any container that stays.
    let sidecar =
        json!({"name": "side", "image": "nginx", "restartPolicy": "Always", "readinessProbe": {"tcpSocket": tcp}});
    let spec = json!({"containers": [{"name": "main", "image": "nginx"}], "initContainers": [sidecar]});
    pods.create(&pod("possible", &spec, &[])).await.expect("a sidecar may be probed");

    let manifest = "{apiVersion: v1, kind: Pod, metadata: {name: impossible}, \
                    spec: {containers: [{name: main, image: nginx, livenessProbe: {periodSeconds: 5}}]}}";
    let told = cluster.tpctl_with_input(&["apply", "-f", "-"], manifest).await.failure();
    let fault = "spec.containers[0].livenessProbe: Required value: must specify a handler type";
    assert_eq!(told.trim_end(), format!("The Pod \"impossible\" is invalid: {fault}"));
    let stored = pods.list(ListOptions::default()).await.expect("a list").items;
    assert_eq!(stored.iter().map(|pod| pod.metadata.name.as_str()).collect::<Vec<_>>(), ["possible"]);
}
