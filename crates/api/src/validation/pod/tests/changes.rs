//! Faults of changes: of the spec, of the status, and of the binding to a node.

use super::*;

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
