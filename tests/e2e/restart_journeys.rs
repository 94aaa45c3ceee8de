//! TRACES: pod.restart. A container that is restarted is a journey of its own, which links to the one that made its pod.

use std::collections::BTreeMap;

use serde_json::json;
use telemetry::Step;
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::journey::Trace;

use crate::PATIENCE;

/// A container that is well for some seconds each time, with every probe, a hook, and no heed of TERM.
fn ill() -> String {
    let tcp = json!({"port": 80});
    let probe = |threshold: i32| json!({"tcpSocket": tcp, "periodSeconds": 1, "failureThreshold": threshold});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ill", "annotations": {
            "sim.traceplane.dev/live-for": "4s", "sim.traceplane.dev/ready-after": "1s", "sim.traceplane.dev/term-time": "ignore",
        }},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "main", "image": "nginx", "lifecycle": {"postStart": {"exec": {"command": ["true"]}}},
            "startupProbe": probe(30), "readinessProbe": probe(1), "livenessProbe": probe(2),
        }]},
    })
    .to_string()
}

/// Stopped because of its liveness probe, TERM and KILL; the first time it is started again at once.
const STOPPED: [Step; 6] = [
    Step::PodRestart1,
    Step::PodRestart3,
    Step::PodRestart4(0),
    Step::PodRestart5(0),
    Step::PodRestart10a,
    Step::PodRestart10b,
];
const STARTED: [Step; 6] = [
    Step::PodRestart6(0),
    Step::PodRestart7(0),
    Step::PodRestart8(0),
    Step::PodRestart9(0),
    Step::PodRestart10a,
    Step::PodRestart10b,
];

/// The restarts of the pod, oldest first.
fn restarts(traces: &BTreeMap<String, Trace>) -> Vec<&Trace> {
    let is_restart = |trace: &&Trace| trace.spans.iter().any(|span| span.step() == Some(Step::PodRestart1));
    let mut restarts: Vec<&Trace> = traces.values().filter(is_restart).collect();
    restarts.sort_by_key(|trace| trace.spans[0].start);
    restarts
}

/// It has these steps and no others, in causal order, and one root, which links to the pod's creation.
fn is_complete(trace: &Trace, steps: &[Step], traces: &BTreeMap<String, Trace>) -> Result<(), String> {
    let mut expected: Vec<String> = steps.iter().map(|step| step.pattern().into_owned()).collect();
    expected.sort();
    expected.dedup();
    let found: Vec<String> = trace.steps().into_iter().collect();
    if found != expected {
        return Err(format!("steps {found:?}, not {expected:?}\n{trace:?}"));
    }
    let faults: Vec<String> = trace.faults(traces).into_iter().chain(trace.about_pod("ill").disorder()).collect();
    if !faults.is_empty() {
        return Err(format!("{faults:#?}\n{trace:?}"));
    }
    let created = traces.values().find(|trace| trace.roots().iter().any(|root| root.name == "tpctl apply"));
    let created = created.ok_or("the creation has not arrived")?;
    let links: Vec<&str> = trace.roots()[0].links.iter().map(|(trace, _)| trace.as_str()).collect();
    if links != [created.id.as_str()] || trace.roots()[0].name != "container failed" {
        return Err(format!("the root is {:?}", trace.roots()[0]));
    }
    Ok(())
}

/// P2, S2: the verdict of a probe begins a journey, and so does the end of a back-off.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_journey_from_the_failed_probe_to_ready() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    cluster.tpctl_with_input(&["apply", "-f", "-"], &ill()).await.success();
    let at_once = [&STOPPED[..], &STARTED].concat();
    let after_a_wait = [&[Step::PodRestart1, Step::PodRestart2, Step::PodRestart3][..], &STARTED].concat();
    eventually("two restarts are three journeys", PATIENCE, async || {
        let traces = cluster.collector.traces();
        let [first, second, third, ..] = restarts(&traces)[..] else {
            return Err(format!("{} restarts", restarts(&traces).len()));
        };
        is_complete(first, &at_once, &traces)?;
        is_complete(second, &STOPPED, &traces)?;
        is_complete(third, &after_a_wait, &traces)
    })
    .await;
}

/// The same as a user sees it, from the cluster's own console.
#[tokio::test(flavor = "multi_thread")]
async fn the_journeys_of_a_pod_can_be_listed_and_each_be_shown() {
    let cluster = Cluster::start_in(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], &["--nodes", "1"]).await;
    cluster.tpctl_with_input(&["apply", "-f", "-"], &ill()).await.success();
    let row = eventually("its restart is listed before its creation", PATIENCE, async || {
        let listed = cluster.tpctl(&["trace", "pod/ill", "--list"]).await;
        let (listed, told) = (listed.stdout(), listed.stderr());
        let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split("   ").map(str::trim).collect()).collect();
        let rows: Vec<Vec<&str>> =
            rows.into_iter().map(|row| row.into_iter().filter(|cell| !cell.is_empty()).collect()).collect();
        let at = |journey: &str| rows.iter().position(|row| row.get(3) == Some(&journey));
        let is_headed = rows.first().is_some_and(|head| head[..] == ["START", "TOOK", "SPANS", "JOURNEY", "TRACE"]);
        match (at("container failed"), at("tpctl apply")) {
            (Some(restart), Some(created)) if is_headed && restart < created => {
                Ok(rows[restart].iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>())
            }
            _ => Err(format!("{listed}{told}")),
        }
    })
    .await;
    eventually("the restart is shown", PATIENCE, async || {
        let shown = cluster.tpctl(&["trace", &row[4], "--format", "steps"]).await.stdout();
        let has = |step: &str| shown.lines().any(|line| line.contains(step) && line.contains("pod/ill"));
        let steps = ["pod.restart.1", "pod.restart.3", "pod.restart.4[0]"];
        if steps.iter().all(|step| has(step)) { Ok(()) } else { Err(shown) }
    })
    .await;
    let refused = cluster.tpctl(&["trace", "pod/ill", "--list", "--format", "json"]).await.failure();
    assert!(refused.contains("--list") && refused.contains("--format"), "{refused}");
}
