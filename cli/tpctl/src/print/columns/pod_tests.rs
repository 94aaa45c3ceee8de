use super::*;
use serde_json::{Value, json};

/// A pod from the parts that matter, in Kubernetes' JSON.
fn pod(spec: Value, status: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status })).unwrap()
}

/// `ready status restarts` of a pod, ten minutes after the epoch.
fn shown(pod: &Pod) -> String {
    let cells = pod.cells(Timestamp::from_second(600).unwrap());
    format!("{} {} {}", cells[1], cells[2], cells[3])
}

fn containers(count: usize) -> Value {
    json!({ "containers": vec![json!({ "name": "c" }); count] })
}

fn waiting(reason: &str) -> Value {
    json!({ "name": "c", "state": { "waiting": { "reason": reason } } })
}

fn running(ready: bool) -> Value {
    json!({ "name": "c", "ready": ready, "state": { "running": {} } })
}

fn ended(exit_code: i32, signal: i32, reason: &str) -> Value {
    json!({ "name": "c", "state": { "terminated": { "exitCode": exit_code, "signal": signal, "reason": reason } } })
}

#[test]
fn the_phase_stands_unless_something_says_more() {
    let table = [
        (json!({ "phase": "Pending" }), "0/1 Pending 0"),
        (json!({ "phase": "Failed", "reason": "Evicted" }), "0/1 Evicted 0"),
        (
            json!({ "phase": "Pending", "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }] }),
            "0/1 SchedulingGated 0",
        ),
        (json!({ "phase": "Pending", "containerStatuses": [waiting("ContainerCreating")] }), "0/1 ContainerCreating 0"),
        (json!({ "phase": "Running", "containerStatuses": [running(true)] }), "1/1 Running 0"),
        (json!({ "phase": "Running", "containerStatuses": [running(false)] }), "0/1 Running 0"),
        (json!({ "phase": "Succeeded", "containerStatuses": [ended(0, 0, "Completed")] }), "0/1 Completed 0"),
        (json!({ "phase": "Failed", "containerStatuses": [ended(1, 0, "Error")] }), "0/1 Error 0"),
        (json!({ "phase": "Failed", "containerStatuses": [ended(137, 0, "OOMKilled")] }), "0/1 OOMKilled 0"),
        (json!({ "phase": "Failed", "containerStatuses": [ended(3, 0, "")] }), "0/1 ExitCode:3 0"),
        (json!({ "phase": "Failed", "containerStatuses": [ended(137, 9, "")] }), "0/1 Signal:9 0"),
    ];
    for (status, expected) in table {
        assert_eq!(shown(&pod(containers(1), status.clone())), expected, "{status}");
    }
}

#[test]
fn the_first_container_with_a_problem_has_the_last_word() {
    let status = json!({ "phase": "Running",
        "containerStatuses": [waiting("ImagePullBackOff"), waiting("CrashLoopBackOff"), running(true)] });
    assert_eq!(shown(&pod(containers(3), status)), "1/3 ImagePullBackOff 0");
}

#[test]
fn a_pod_whose_other_container_runs_is_not_completed() {
    for (ready, expected) in [("True", "1/2 Running 0"), ("False", "1/2 NotReady 0")] {
        let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }],
            "containerStatuses": [running(true), ended(0, 0, "Completed")] });
        assert_eq!(shown(&pod(containers(2), status)), expected);
    }
}

#[test]
fn restarts_say_when_the_last_one_was() {
    let container = |count: i32, finished: &str| {
        json!({ "name": "c", "ready": true, "restartCount": count, "state": { "running": {} },
            "lastState": { "terminated": { "exitCode": 1, "finishedAt": finished } } })
    };
    let status = json!({ "phase": "Running", "containerStatuses": [
        container(2, "1970-01-01T00:04:58Z"), container(1, "1970-01-01T00:01:00Z")] });
    assert_eq!(shown(&pod(containers(2), status)), "2/2 Running 3 (5m2s ago)");
}

fn with_init(spec: Value, status: Value, initialized: &str) -> Pod {
    let mut all = json!({ "phase": "Pending", "conditions": [{ "type": "Initialized", "status": initialized }] });
    all["initContainerStatuses"] = status;
    all["containerStatuses"] = json!([waiting("PodInitializing")]);
    pod(json!({ "initContainers": spec, "containers": [{ "name": "main" }] }), all)
}

fn init(name: &str, mut status: Value) -> Value {
    status["name"] = json!(name);
    status
}

#[test]
fn init_containers_are_counted_until_all_are_done() {
    let two = json!([{ "name": "a" }, { "name": "b" }]);
    let done = || ended(0, 0, "Completed");
    let table = [
        (json!([init("a", waiting("PodInitializing")), init("b", waiting("PodInitializing"))]), "0/1 Init:0/2 0"),
        (json!([init("a", running(false)), init("b", waiting("PodInitializing"))]), "0/1 Init:0/2 0"),
        (json!([init("a", done()), init("b", running(false))]), "0/1 Init:1/2 0"),
        (json!([init("a", ended(1, 0, "Error")), init("b", waiting("PodInitializing"))]), "0/1 Init:Error 0"),
        (json!([init("a", ended(3, 0, "")), init("b", waiting(""))]), "0/1 Init:ExitCode:3 0"),
        (json!([init("a", ended(137, 9, "")), init("b", waiting(""))]), "0/1 Init:Signal:9 0"),
        (json!([init("a", waiting("CrashLoopBackOff")), init("b", waiting(""))]), "0/1 Init:CrashLoopBackOff 0"),
        (json!([init("a", waiting("ErrImagePull")), init("b", waiting(""))]), "0/1 Init:ErrImagePull 0"),
    ];
    for (statuses, expected) in table {
        assert_eq!(shown(&with_init(two.clone(), statuses.clone(), "False")), expected, "{statuses}");
    }
    let all_done = json!([init("a", done()), init("b", done())]);
    assert_eq!(shown(&with_init(two, all_done, "True")), "0/1 PodInitializing 0");
}

#[test]
fn a_sidecar_counts_as_a_container_and_does_not_hold_the_pod_up_once_started() {
    let spec = json!([{ "name": "side", "restartPolicy": "Always" }, { "name": "b" }]);
    let started =
        json!({ "name": "side", "ready": true, "started": true, "restartCount": 2, "state": { "running": {} } });
    let statuses = json!([started, init("b", running(false))]);
    assert_eq!(shown(&with_init(spec.clone(), statuses, "False")), "1/2 Init:1/2 2");
    let statuses = json!([started, init("b", ended(0, 0, "Completed"))]);
    let mut pod = with_init(spec, statuses, "True");
    pod.status.container_statuses = vec![serde_json::from_value(running(true)).unwrap()];
    pod.status.phase = "Running".into();
    assert_eq!(shown(&pod), "2/2 Running 2");
}

#[test]
fn a_pod_on_its_way_out_is_terminating_unless_it_has_finished() {
    let mut pod = pod(containers(1), json!({ "phase": "Running", "containerStatuses": [running(true)] }));
    pod.metadata.deletion_timestamp = Some(Timestamp::from_second(700).unwrap().into());
    assert_eq!(shown(&pod), "1/1 Terminating 0");
    pod.status.reason = "NodeLost".into();
    assert_eq!(shown(&pod), "1/1 Unknown 0");
    pod.status.reason.clear();
    pod.status.phase = "Succeeded".into();
    pod.status.container_statuses = vec![serde_json::from_value(ended(0, 0, "Completed")).unwrap()];
    assert_eq!(shown(&pod), "0/1 Completed 0");
}

#[test]
fn the_wide_columns_show_where_it_is() {
    let mut pod = pod(
        json!({ "nodeName": "node-1", "containers": [{ "name": "c" }], "readinessGates": [{ "conditionType": "x/a" }, { "conditionType": "x/b" }] }),
        json!({ "phase": "Running", "podIPs": [{ "ip": "10.244.0.7" }], "conditions": [{ "type": "x/a", "status": "True" }] }),
    );
    let now = Timestamp::from_second(600).unwrap();
    assert_eq!(pod.cells(now)[5..], ["10.244.0.7", "node-1", "<none>", "1/2"]);
    pod.spec = Default::default();
    pod.status = Default::default();
    assert_eq!(pod.cells(now)[5..], ["<none>", "<none>", "<none>", "<none>"]);
}
