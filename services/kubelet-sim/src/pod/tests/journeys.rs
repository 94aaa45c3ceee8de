//! The traces of a pod: what belongs together is one trace, what nobody asked for is a new one, and what changes nothing is none.

use std::collections::BTreeSet;

use telemetry::Step;
use telemetry::testing::{RecordedSpan, Recorder};

use super::*;

/// The span of somebody who wrote something.
fn writer(trace: u8) -> TraceContext {
    TraceContext::parse(&format!("00-{:032x}-{:016x}-01", trace, u64::from(trace) << 8), "")
}

fn steps(recorder: &Recorder, trace: &TraceContext) -> BTreeSet<String> {
    in_trace(recorder, trace).iter().filter_map(|span| Some(span.step()?.id().into_owned())).collect()
}

fn in_trace(recorder: &Recorder, trace: &TraceContext) -> Vec<RecordedSpan> {
    recorder.spans().into_iter().filter(|span| span.context.trace_id() == trace.trace_id()).collect()
}

fn ids(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|id| (*id).to_owned()).collect()
}

const PROBED: &str =
    "containers: [{name: web, image: nginx, readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}}]";

#[tokio::test(start_paused = true)]
async fn a_pods_creation_is_one_trace_from_the_watch_to_ready() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    cluster.create_because(PROBED, &[("ready-after", "2s")], writer(1));
    cluster.until_ready().await;
    sleep(Duration::from_secs(60)).await;
    let expected =
        ["pod.create.5a", "pod.create.5b", "pod.create.5c", "pod.create.5d", "pod.create.5f[0]", "pod.create.5i[0]"];
    assert_eq!(steps(&recorder, &writer(1)), ids(&expected), "{recorder}");
    assert_eq!(in_trace(&recorder, &writer(1)).len(), recorder.spans().len(), "and nothing beside it\n{recorder}");
    let writes = cluster.api.writes.lock();
    assert!(writes.iter().all(|(_, context)| context.trace_id() == writer(1).trace_id()), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pods_deletion_is_one_trace_to_the_removal_of_its_object() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    let hooked = "containers: [{name: web, image: nginx, lifecycle: {preStop: {sleep: {seconds: 60}}}}]";
    cluster.create_because(hooked, &[("term-time", "ignore")], writer(1));
    cluster.until_ready().await;
    recorder.clear();
    cluster.api.writes.lock().clear();
    cluster.delete_because(5, writer(2));
    cluster.until_gone().await;
    sleep(Duration::from_secs(1)).await;
    let expected =
        ["pod.delete.4", "pod.delete.6a", "pod.delete.6b", "pod.delete.7[0]", "pod.delete.8[0]", "pod.delete.9a"];
    assert_eq!(steps(&recorder, &writer(2)), ids(&expected), "{recorder}");
    assert_eq!(in_trace(&recorder, &writer(2)).len(), recorder.spans().len(), "and nothing beside it\n{recorder}");
    let writes = cluster.api.writes.lock();
    assert_eq!(writes.last().map(|(what, _)| *what), Some("delete"));
    assert!(writes.iter().all(|(_, context)| context.trace_id() == writer(2).trace_id()), "{writes:?}");
    let stop = recorder.step(Step::PodDelete7(0));
    assert_eq!(stop.parent, Some(recorder.step(Step::PodDelete6b).context.span_id()), "TERM came in the extension");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_crashes_begins_a_trace_of_its_own_that_links_back() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    cluster.create_because(NGINX, &[("run-for", "30s"), ("exit-code", "1")], writer(1));
    cluster.until_ready().await;
    recorder.clear();
    sleep(Duration::from_secs(35)).await;
    assert!(in_trace(&recorder, &writer(1)).is_empty(), "the creation is over\n{recorder}");
    let root = recorder.only("container failed");
    assert_eq!((root.parent.as_deref(), root.step()), (None, Some(Step::PodRestart1)));
    assert_eq!(root.links.len(), 1);
    assert_eq!(root.links[0].trace_id(), writer(1).trace_id());
    let run = recorder.only("sync pod");
    assert!(run.is_child_of(&root.context) && run.step() == Some(Step::PodRestart3));
    assert!(recorder.step(Step::PodRestart6(0)).is_child_of(&run.context));
}

/// P2, S2.
#[tokio::test(start_paused = true)]
async fn a_restart_is_a_journey_from_the_failed_probe_or_the_end_of_its_back_off_to_ready() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    let spec = "containers: [{name: other, image: pause}, {name: web, image: nginx,
        lifecycle: {postStart: {exec: {command: ['true']}}},
        livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 2},
        readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}}]";
    let ignores = ("web.term-time", "ignore");
    cluster.create_because(spec, &[("web.live-for", "5s"), ignores], writer(1));
    cluster.until_ready().await;
    let restarts = |count: i32| {
        move |status: Option<&PodStatus>| {
            status.is_some_and(|s| {
                let ready = api::pod_conditions::is_true(s, api::pod_conditions::READY);
                ready && s.container_statuses.iter().any(|c| c.restart_count == count)
            })
        }
    };
    recorder.clear();
    cluster.api.writes.lock().clear();
    cluster.until("restarted", restarts(1)).await;
    sleep(Duration::from_millis(100)).await;
    let root = recorder.only("container failed");
    let journey = ["1", "3", "4[1]", "5[1]", "6[1]", "7[1]", "9[1]"].map(|id| format!("pod.restart.{id}"));
    assert_eq!(steps(&recorder, &root.context), BTreeSet::from(journey), "{recorder}");
    assert_eq!(root.links[0].trace_id(), writer(1).trace_id());
    let writes: Vec<_> = cluster.api.writes.lock().iter().map(|(what, by)| (*what, by.trace_id())).collect();
    assert!(
        !writes.is_empty() && writes.iter().all(|w| *w == ("status of a restart", root.context.trace_id())),
        "{writes:?}"
    );
    assert_eq!(in_trace(&recorder, &root.context).len(), recorder.spans().len(), "and nothing beside it\n{recorder}");

    recorder.clear();
    cluster.until("restarted again", restarts(2)).await;
    sleep(Duration::from_millis(100)).await;
    let roots: Vec<_> = recorder.spans().into_iter().filter(|span| span.parent.is_none()).collect();
    assert_eq!(roots.len(), 2, "the probe's verdict, and the end of the back-off\n{recorder}");
    let stopped = ["1", "3", "4[1]", "5[1]"].map(|id| format!("pod.restart.{id}"));
    let started = ["1", "2", "3", "6[1]", "7[1]", "9[1]"].map(|id| format!("pod.restart.{id}"));
    assert_eq!(steps(&recorder, &roots[0].context), BTreeSet::from(stopped), "{recorder}");
    assert_eq!(steps(&recorder, &roots[1].context), BTreeSet::from(started), "{recorder}");
    assert!(roots.iter().all(|root| root.links[0].trace_id() == writer(1).trace_id()));
    let wait = recorder.step(Step::PodRestart2);
    assert_eq!(wait.end.duration_since(wait.start).unwrap().as_secs(), 10);
}

/// H5.
#[tokio::test(start_paused = true)]
async fn a_back_off_that_is_told_again_makes_no_span() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    for (spec, settings) in [
        ("containers: [{name: web, image: 'nginx:missing'}]", &[][..]),
        (NGINX, &[("run-for", "1s"), ("exit-code", "1")]),
    ] {
        let cluster = Cluster::new().await;
        cluster.create_because(spec, settings, writer(1));
        // Long enough for a back-off of five minutes, the fifth or sixth, and not for its end.
        sleep(Duration::from_secs(10 + 20 + 40 + 80 + 160 + 20)).await;
        let backs_off = |cluster: &Cluster| cluster.reasons().iter().filter(|reason| *reason == "BackOff").count();
        backs_off(&cluster);
        recorder.clear();
        sleep(Duration::from_secs(240)).await;
        assert_eq!(backs_off(&cluster), 4, "{spec}: one each minute");
        assert!(recorder.spans().is_empty(), "{spec}\n{recorder}");
        cluster.shutdown.trigger();
    }
}

/// P3.
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_not_ready_any_more_begins_a_trace_that_says_so() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    cluster.create_because(PROBED, &[("ready-for", "5s")], writer(1));
    cluster.until_ready().await;
    recorder.clear();
    sleep(Duration::from_secs(20)).await;
    let probe = recorder.only("readiness probe");
    let run = recorder.only("sync pod");
    assert!(probe.is_child_of(&run.context) && run.parent.is_none() && probe.step().is_none(), "{recorder}");
    assert_eq!(run.links[0].trace_id(), writer(1).trace_id());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_gives_nothing_to_do_makes_no_span() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    cluster.create_because(NGINX, &[], writer(1));
    cluster.until_ready().await;
    recorder.clear();
    let mut pod = cluster.api.pods.lock()["web"].clone();
    pod.metadata.labels.insert("new".to_owned(), "label".to_owned());
    cluster.api.put_because(pod, writer(3));
    sleep(Duration::from_secs(60)).await;
    assert!(recorder.spans().is_empty(), "{recorder}");

    let cluster = cluster.restart().await;
    sleep(Duration::from_secs(60)).await;
    assert!(recorder.spans().is_empty(), "a restart changes nothing\n{recorder}");
    cluster.delete_because(5, writer(4));
    cluster.until_gone().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(in_trace(&recorder, &writer(4)).len(), recorder.spans().len(), "{recorder}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_by_force_is_killed_in_the_trace_of_its_deletion() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::new().await;
    cluster.create_because(NGINX, &[], writer(1));
    cluster.until_ready().await;
    recorder.clear();
    let pod = cluster.api.pods.lock().remove("web").expect("it was created");
    let cause = Cause::received(writer(5), 99, Some(Timestamp::now()));
    cluster.api.tell(PodChange::Gone(Arc::new(pod), cause));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(steps(&recorder, &writer(5)), ids(&["pod.delete.4", "pod.delete.7[0]", "pod.delete.9a"]), "{recorder}");
    assert_eq!(in_trace(&recorder, &writer(5)).len(), recorder.spans().len(), "{recorder}");
}
