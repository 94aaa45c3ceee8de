use super::*;
use serde_json::json;

#[test]
fn a_pod_is_described_as_kubectl_describes_it() {
    let shown: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "web-abc-x", "namespace": "default", "labels": { "app": "web", "tier": "front" },
            "annotations": { "a": "1" },
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "web-abc", "uid": "u", "apiVersion": "apps/v1", "controller": true }],
        },
        "spec": {
            "priority": 0, "serviceAccountName": "default", "nodeName": "node-1",
            "initContainers": [{ "name": "prepare", "image": "busybox", "command": ["sh", "-c"], "args": ["true"] }],
            "containers": [{
                "name": "nginx", "image": "nginx", "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
                "readinessProbe": { "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" }, "timeoutSeconds": 1,
                    "periodSeconds": 2, "successThreshold": 1, "failureThreshold": 3 },
                "env": [
                    { "name": "A", "value": "1" },
                    { "name": "POD", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } },
                    { "name": "KEY", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } },
                ],
                "volumeMounts": [{ "name": "data", "mountPath": "/data", "readOnly": true }],
            }],
            "volumes": [{ "name": "data", "emptyDir": {} }],
            "tolerations": [{ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }],
        },
        "status": {
            "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.244.0.7", "podIPs": [{ "ip": "10.244.0.7" }],
            "conditions": [{ "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": "False" }],
            "initContainerStatuses": [{ "name": "prepare", "containerID": "sim://1", "imageID": "i", "ready": true,
                "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } }],
            "containerStatuses": [{ "name": "nginx", "containerID": "sim://2", "imageID": "i", "restartCount": 2,
                "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "signal": 9 } } }],
        },
    }))
    .unwrap();
    let text = pod(&shown, &[], Timestamp::UNIX_EPOCH);
    let expected = include_str!("pod.golden.txt");
    assert_eq!(text, expected);
}

#[test]
fn a_pod_on_its_way_out_says_how_long_it_has() {
    let mut shown = Pod::default();
    shown.metadata.deletion_timestamp = Some(Timestamp::from_second(100).unwrap().into());
    shown.metadata.deletion_grace_period_seconds = Some(30);
    let text = pod(&shown, &[], Timestamp::from_second(110).unwrap());
    assert!(text.contains("Status:                    Terminating (lasts 10s)\n"), "{text}");
    assert!(text.contains("Termination Grace Period:  30s\n"), "{text}");
}
