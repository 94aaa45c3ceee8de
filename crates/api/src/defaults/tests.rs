use serde_json::{Value, json};

use super::*;
use crate::Resource;

/// Reads `object`, sets its defaults twice, and returns the JSON of what came of it.
fn defaulted<K: Resource>(object: Value, set: fn(&mut K)) -> Value {
    let mut object: K = serde_json::from_value(object).unwrap();
    set(&mut object);
    let once = object.clone();
    set(&mut object);
    assert_eq!(object, once, "defaults must be stable");
    serde_json::to_value(&object).unwrap()
}

#[test]
fn a_pod_of_one_container_is_filled_in() {
    let pod = defaulted(
        json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}),
        pod,
    );
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{
                "name": "web",
                "image": "nginx",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always"
            }],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "enableServiceLinks": true
        })
    );
}

#[test]
fn containers_are_filled_in() {
    let container = json!({
        "name": "a",
        "image": "nginx:1.29",
        "ports": [{"containerPort": 80}],
        "env": [
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}
        ],
        "resources": {"limits": {"cpu": "0.0001", "memory": "1024Mi"}, "requests": {"memory": "1Mi"}},
        "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 3},
        "readinessProbe": {"grpc": {"port": 80}},
        "lifecycle": {"preStop": {"httpGet": {"port": "http"}}}
    });
    let pod =
        defaulted(json!({"spec": {"containers": [container], "hostNetwork": true, "serviceAccount": "bot"}}), pod);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(container["ports"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]));
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"], "0");
    assert_eq!(
        container["resources"],
        json!({"limits": {"cpu": "1m", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1Mi"}})
    );
    assert_eq!(
        container["livenessProbe"],
        json!({
            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 3, "successThreshold": 1, "failureThreshold": 3
        })
    );
    assert_eq!(container["readinessProbe"]["grpc"], json!({"port": 80, "service": ""}));
    assert_eq!(container["lifecycle"]["preStop"]["httpGet"]["scheme"], "HTTP");
    assert_eq!(pod["spec"]["serviceAccountName"], "bot");
}

#[test]
fn volumes_are_filled_in() {
    let volumes = json!([
        {"name": "a"},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "c", "hostPath": {"path": "/x"}},
        {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "e", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.uid"}}]}}
    ]);
    let pod = defaulted(json!({"spec": {"containers": [], "volumes": volumes}}), pod);
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(volumes[0]["emptyDir"], json!({}));
    assert_eq!(volumes[1]["configMap"]["defaultMode"], 420);
    assert_eq!(volumes[2]["hostPath"]["type"], "");
    assert_eq!(volumes[3]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3600);
    assert_eq!(volumes[4]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"], "v1");
}

#[test]
fn a_pods_own_requests_follow_its_containers_or_its_limits() {
    let container = json!({"name": "a", "image": "x", "resources": {"requests": {"cpu": "1"}}});
    let resources = json!({"limits": {"cpu": "3", "memory": "1Gi"}});
    let pod = defaulted(json!({"spec": {"containers": [container], "resources": resources}}), pod);
    assert_eq!(pod["spec"]["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
}

#[test]
fn workloads_are_filled_in_and_their_templates_less_than_pods() {
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "x", "resources": {"limits": {"cpu": "1"}}}]}
    });
    let deployment = defaulted(json!({"spec": {"template": template}}), deployment);
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    );
    assert_eq!((&spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]), (&json!(10), &json!(600)));
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
    assert_eq!(spec["template"]["spec"]["enableServiceLinks"], Value::Null);
    assert_eq!(spec["template"]["spec"]["containers"][0]["resources"]["requests"], Value::Null);

    let recreate = json!({"spec": {"strategy": {"type": "Recreate"}, "template": template}});
    assert_eq!(defaulted(recreate, super::deployment)["spec"]["strategy"], json!({"type": "Recreate"}));

    assert_eq!(defaulted(json!({"spec": {"template": template}}), replica_set)["spec"]["replicas"], 1);

    let job = defaulted(json!({"spec": {"template": template}}), job);
    assert_eq!(job["metadata"]["labels"], json!({"app": "web"}));
    for (field, want) in [
        ("parallelism", json!(1)),
        ("completions", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        assert_eq!(job["spec"][field], want, "{field}");
    }
    let parallel = defaulted(json!({"spec": {"parallelism": 2, "template": template}}), super::job);
    assert_eq!(parallel["spec"]["completions"], Value::Null);
}

#[test]
fn services_are_filled_in() {
    let plain = defaulted(json!({"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "web"}]}}), service);
    assert_eq!(
        plain["spec"],
        json!({
            "ports": [
                {"protocol": "TCP", "port": 80, "targetPort": 80},
                {"protocol": "TCP", "port": 81, "targetPort": "web"}
            ],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster"
        })
    );
    let balanced = defaulted(json!({"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP"}}), service);
    assert_eq!(balanced["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(balanced["spec"]["allocateLoadBalancerNodePorts"], true);
    assert_eq!(balanced["spec"]["sessionAffinityConfig"], json!({"clientIP": {"timeoutSeconds": 10800}}));
}

#[test]
fn the_other_kinds_are_filled_in() {
    let namespace = defaulted(json!({"metadata": {"name": "a"}}), namespace);
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "a"}));
    assert_eq!(namespace["status"]["phase"], "Active");
    let secret = defaulted(json!({"data": {"a": "eA=="}, "stringData": {"a": "z", "b": "y"}}), secret);
    assert_eq!((&secret["type"], &secret["data"]), (&json!("Opaque"), &json!({"a": "eg==", "b": "eQ=="})));
    let node = defaulted(json!({"status": {"capacity": {"cpu": "4"}}}), node);
    assert_eq!(node["status"]["allocatable"], json!({"cpu": "4"}));
    let slice = defaulted(json!({"addressType": "IPv4", "endpoints": [], "ports": [{"port": 80}]}), endpoint_slice);
    assert_eq!(slice["ports"], json!([{"name": "", "protocol": "TCP", "port": 80}]));
    let class = defaulted(json!({"value": 1}), priority_class);
    assert_eq!(class["preemptionPolicy"], "PreemptLowerPriority");
    let endpoints = defaulted(json!({"subsets": [{"ports": [{"port": 80}]}]}), endpoints);
    assert_eq!(endpoints["subsets"][0]["ports"][0]["protocol"], "TCP");
}
