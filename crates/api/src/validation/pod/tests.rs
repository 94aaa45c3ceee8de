//! Each table breaks one good pod in one way and says what must be found.

mod changes;
mod containers;

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
