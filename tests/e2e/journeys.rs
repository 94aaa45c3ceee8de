//! One trace shows everything that one request set in motion (T: the contract of traces, section 5).

use crate::{PATIENCE, ready_pods};
use std::collections::BTreeSet;
use telemetry::{Step, attr};
use testkit::cluster::Cluster;
use testkit::eventually;
use testkit::journey::Trace;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nginx-deployment.yaml");

/// What a pod's creation must show, from the request of whoever creates it to Ready.
const CREATED: &[Step] = &[
    Step::PodCreate1,
    Step::PodCreate2a,
    Step::PodCreate2b,
    Step::PodCreate2c,
    Step::PodCreate2d,
    Step::PodCreate2e,
    Step::PodCreate2f,
    Step::PodCreate3a,
    Step::PodCreate3b,
    Step::PodCreate3c,
    Step::PodCreate3d,
    Step::PodCreate3e,
    Step::PodCreate4a,
    Step::PodCreate4b,
    Step::PodCreate5a,
    Step::PodCreate5b,
    Step::PodCreate5c,
    Step::PodCreate5f(0),
    Step::PodCreate5i(0),
    Step::PodCreate6a,
    Step::PodCreate6b,
];

const APPLIED: &[Step] = &[
    Step::WorkloadApply1,
    Step::WorkloadApply1a,
    Step::WorkloadApply1b,
    Step::WorkloadApply1c,
    Step::WorkloadApply1d,
    Step::WorkloadApply1e,
    Step::WorkloadApply1f,
    Step::WorkloadApply2a,
    Step::WorkloadApply2b,
    Step::WorkloadApply2c,
    Step::WorkloadApply3a,
    Step::WorkloadApply3b,
    Step::WorkloadApply3c,
    Step::WorkloadApply4a,
    Step::WorkloadApply4b,
];

const DELETED: &[Step] = &[
    Step::PodDelete1,
    Step::PodDelete2,
    Step::PodDelete3,
    Step::PodDelete4,
    Step::PodDelete5a,
    Step::PodDelete7(0),
    Step::PodDelete9a,
    Step::PodDelete9b,
    Step::PodDelete10,
];

/// Waits until the one trace with that root has no fault, holds all these steps, and satisfies `complete`.
async fn journey(
    cluster: &Cluster,
    root: &str,
    steps: &[Step],
    mut complete: impl FnMut(&Trace) -> Result<(), String>,
) -> Trace {
    eventually(&format!("the journey of {root:?} is complete"), PATIENCE, async || {
        let traces = cluster.collector.traces();
        let found: Vec<&Trace> = traces.values().filter(|t| t.roots().iter().any(|span| span.name == root)).collect();
        let [trace] = found[..] else { return Err(format!("{} traces with that root", found.len())) };
        let missing = trace.missing(steps);
        if !missing.is_empty() {
            return Err(format!("missing {missing:?}\n{trace:?}"));
        }
        let faults = trace.faults(&traces);
        if !faults.is_empty() {
            return Err(format!("{faults:#?}\n{trace:?}"));
        }
        complete(trace).map_err(|why| format!("{why}\n{trace:?}"))?;
        Ok(trace.clone())
    })
    .await
}

/// The journeys of all these pods are in the trace, complete and in causal order.
fn pods_complete(trace: &Trace, pods: &BTreeSet<String>) -> Result<(), String> {
    let parts = trace.by_pod();
    for pod in pods {
        let own = parts.get(pod).ok_or_else(|| format!("nothing is about pod {pod}"))?;
        // The creating request itself does not know the name yet if the server generates it.
        let own_steps: Vec<Step> = CREATED.iter().copied().filter(|step| *step != Step::PodCreate1).collect();
        let missing = own.missing(&own_steps);
        if !missing.is_empty() {
            return Err(format!("pod {pod} lacks {missing:?}"));
        }
        let disorder = own.disorder();
        if !disorder.is_empty() {
            return Err(format!("pod {pod}: {disorder:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_a_deployment_and_deleting_a_pod_are_one_trace_each() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    cluster.tpctl(&["apply", "-f", MANIFEST]).await.success();
    let pods = ready_pods(&client, "app=k8s-nginx", 3).await;
    let names: BTreeSet<String> = pods.iter().map(|pod| pod.metadata.name.clone()).collect();
    let nodes: BTreeSet<&str> = pods.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    assert!(nodes.len() >= 2, "three pods on {nodes:?}");

    let steps: Vec<Step> = APPLIED.iter().chain(CREATED).copied().chain([Step::PodCreate7a]).collect();
    let applied = journey(&cluster, "tpctl apply", &steps, |trace| pods_complete(trace, &names)).await;
    let services: BTreeSet<&str> = applied.services();
    for service in ["tpctl", "apiserver", "scheduler", "controller-manager", "kubelet"] {
        assert!(services.contains(service), "{service} took no part: {services:?}");
    }
    the_revision_of_a_commit_is_the_one_that_was_watched(&applied);

    let victim = pods[0].metadata.name.clone();
    cluster.tpctl(&["delete", "pod", &victim]).await.success();
    let now: BTreeSet<String> =
        ready_pods(&client, "app=k8s-nginx", 3).await.into_iter().map(|pod| pod.metadata.name).collect();
    assert!(!now.contains(&victim), "D9: the deleted pod is gone");
    let replacement: BTreeSet<String> = now.difference(&names).cloned().collect();
    assert_eq!(replacement.len(), 1, "W4: one replacement, not {replacement:?}");
    let deleted = journey(&cluster, "tpctl delete", DELETED, |trace| pods_complete(trace, &replacement)).await;
    let disorder = deleted.about_pod(&victim).disorder();
    assert!(disorder.is_empty(), "{disorder:?}\n{deleted:?}");
    assert_ne!(applied.id, deleted.id);
}

/// Check 4: what a transaction says it committed is what watchers then received.
fn the_revision_of_a_commit_is_the_one_that_was_watched(trace: &Trace) {
    let revisions =
        |step: Step| -> BTreeSet<&str> { trace.step(step).iter().map(|span| span.attribute(attr::REVISION)).collect() };
    for (commit, watch) in [
        (Step::PodCreate2e, Step::PodCreate3a),
        (Step::PodCreate4a, Step::PodCreate5a),
        (Step::WorkloadApply1e, Step::WorkloadApply2a),
    ] {
        let (committed, watched) = (revisions(commit), revisions(watch));
        assert!(!watched.is_empty() && !watched.contains(""), "{watch} has no revision\n{trace:?}");
        assert!(watched.is_subset(&committed), "{watch} saw {watched:?}, {commit} committed {committed:?}\n{trace:?}");
    }
}

/// Check 5: many at once, none mixed up.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pods_at_once_give_a_thousand_complete_journeys() {
    const COUNT: usize = 1000;
    let cluster = Cluster::start_with(&["--nodes", "1", "--simulated-nodes", "10"]).await;
    let client = cluster.client();
    cluster.tpctl(&["create", "deployment", "many", "--image=nginx", &format!("--replicas={COUNT}")]).await.success();
    let pods = ready_pods(&client, "app=many", COUNT).await;
    let names: BTreeSet<String> = pods.into_iter().map(|pod| pod.metadata.name).collect();
    let steps: Vec<Step> = CREATED.iter().copied().filter(|step| *step != Step::PodCreate5i(0)).collect();
    let trace = journey(&cluster, "tpctl create", &steps, |trace| {
        let parts = trace.by_pod();
        for name in &names {
            let own = parts.get(name).ok_or_else(|| format!("nothing is about pod {name}"))?;
            let own_steps: Vec<Step> = steps.iter().copied().filter(|step| *step != Step::PodCreate1).collect();
            let (missing, disorder) = (own.missing(&own_steps), own.disorder());
            if !missing.is_empty() || !disorder.is_empty() {
                return Err(format!("pod {name} lacks {missing:?}, disorder {disorder:?}"));
            }
        }
        Ok(())
    })
    .await;
    // The scheduler's and the kubelet's spans of one pod hang under commits of that pod, never of another.
    let by_id: std::collections::HashMap<&str, &testkit::journey::Span> =
        trace.spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    for span in &trace.spans {
        let (own, parent) = (span.attribute(attr::K8S_POD_NAME), by_id.get(span.parent_id.as_str()));
        let of_parent = parent.map_or("", |parent| parent.attribute(attr::K8S_POD_NAME));
        // A creating client knows only the beginning of the name.
        let related = own.is_empty() || own.starts_with(of_parent);
        assert!(related, "{span:?} hangs under pod {of_parent}");
    }
}
