//! Whole attempts, as users see them and as traces show them.

use std::time::Duration;

use proptest::prelude::*;
use telemetry::Step;
use telemetry::testing::Recorder;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Plan};
use super::*;
use crate::testing::{cause, node, pod};

const MS: Duration = Duration::from_millis(1);

/// SCENARIOS C3, C4.
#[tokio::test(start_paused = true)]
async fn a_pod_gets_a_node_in_the_trace_that_created_it() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::start(&[node("node-a"), node("node-b").cordoned()]);
    let created = cluster.create(&pod("web"));
    cluster.until_bound("web").await;
    cluster.until_quiet().await;
    assert_eq!(cluster.node_of("web"), "node-a");
    assert_eq!(
        cluster.api.state.lock().user_events,
        ["Normal Scheduled web: Successfully assigned default/web to node-a"]
    );
    assert!(!cluster.scheduler.cache.lock().is_assumed("uid-web"), "the watch has confirmed it");
    cluster.stop().await;

    let attempt = recorder.only(SCHEDULE_POD);
    assert!(attempt.is_child_of(&created.context), "{recorder}");
    for step in [Step::PodCreate3a, Step::PodCreate3b] {
        assert!(recorder.step(step).is_child_of(&created.context), "{recorder}");
    }
    let cycle = recorder.only("schedulingCycle");
    let binding = recorder.only("bindingCycle");
    for (child, parent) in [
        (&cycle, &attempt),
        (&binding, &attempt),
        (&recorder.only("preFilter"), &cycle),
        (&recorder.step(Step::PodCreate3c), &cycle),
        (&recorder.step(Step::PodCreate3d), &cycle),
        (&recorder.only("reserve"), &cycle),
        (&recorder.only("bind"), &binding),
        (&recorder.step(Step::PodCreate4b), &recorder.only("bind")),
    ] {
        assert!(child.is_child_of(&parent.context), "{} below {} in\n{recorder}", child.name, parent.name);
    }
    let filter = recorder.step(Step::PodCreate3c);
    assert_eq!((filter.attr(attr::NODES_EVALUATED), filter.attr(attr::NODES_FEASIBLE)), (Some("2"), Some("1")));
    let verdicts: Vec<_> =
        filter.events.iter().map(|(_, it)| [attr::PLUGIN, attr::VERDICT].map(|key| &*it[key])).collect();
    assert!(verdicts.contains(&["NodeUnschedulable", "UnschedulableAndUnresolvable"]), "{verdicts:?}");
    assert!(verdicts.contains(&["NodeResourcesFit", "Success"]), "{verdicts:?}");
}

/// SCENARIOS C7.
#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_says_why_and_gets_the_first_that_will_do_in_the_same_trace() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let small = |name| node(name).allocatable(&[("cpu", "1"), ("pods", "9")]);
    let cluster = Cluster::start(&[small("a"), small("b"), node("c").taint("gpu", "a100", "NoSchedule")]);
    let created = cluster.create(&pod("big").requests(&[("cpu", "2")]));
    cluster.until("told", |state| !state.conditions.is_empty()).await;
    let message = "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: a100}, 2 Insufficient cpu.";
    assert_eq!(cluster.api.state.lock().conditions, [format!("big Unschedulable: {message}")]);
    assert_eq!(cluster.api.state.lock().user_events, [format!("Warning FailedScheduling big: {message}")]);

    cluster.until_quiet().await;
    cluster.put_node(&small("d").taint("gpu", "a100", "NoSchedule"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.node_of("big"), "", "such an event does not help");
    let start = Instant::now();
    cluster.put_node(&node("e"));
    cluster.until_bound("big").await;
    assert!(start.elapsed() < 10 * MS, "it did not wait for a timer");
    assert_eq!(cluster.node_of("big"), "e");
    cluster.stop().await;

    let attempts = recorder.named(SCHEDULE_POD);
    assert_eq!(attempts.len(), 2, "{recorder}");
    assert!(attempts.iter().all(|attempt| attempt.is_child_of(&created.context)), "{recorder}");
    assert_eq!(attempts[0].attr(attr::VERDICT), Some("Unschedulable"));
    assert_eq!(attempts[0].error, None, "it is no fault of the scheduler");
    assert_eq!(attempts[1].attr(attr::ATTEMPT), Some("2"));
    assert_eq!(attempts[1].links.len(), 1, "to the node that helped");
    let steps = |step| recorder.spans().into_iter().filter(|span| span.step() == Some(step)).count();
    assert_eq!((steps(Step::PodCreate3a), steps(Step::PodCreate3b)), (1, 2), "delivered once, waited twice");
}

#[tokio::test(start_paused = true)]
async fn what_makes_room_brings_a_pod_back() {
    let full = || node("a").allocatable(&[("cpu", "1"), ("pods", "9")]).taint("old", "", "NoSchedule");
    let free = || node("a").allocatable(&[("cpu", "1"), ("pods", "9")]);
    let one_core = |name| pod(name).requests(&[("cpu", "1")]);
    let cluster = Cluster::start(&[full()]);
    cluster.create(&one_core("first"));
    cluster.until_quiet().await;
    cluster.put_node(&free());
    cluster.until_bound("first").await;
    cluster.create(&one_core("second"));
    cluster.until_quiet().await;
    assert_eq!(cluster.node_of("second"), "");
    cluster.delete("first");
    cluster.until_bound("second").await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_nodes_a_pod_says_so_and_waits_for_one() {
    let cluster = Cluster::start(&[]);
    cluster.create(&pod("web"));
    cluster.until("told", |state| !state.conditions.is_empty()).await;
    assert_eq!(cluster.api.state.lock().conditions, ["web Unschedulable: no nodes available to schedule pods"]);
    cluster.put_node(&node("a"));
    cluster.until_bound("web").await;
    cluster.stop().await;
}

/// A scheduler that was killed between filter and bind finds the pod unbound when it starts again.
#[tokio::test(start_paused = true)]
async fn after_a_restart_the_journey_goes_on_in_its_trace() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::start(&[node("a"), node("b")]);
    let created = Cause { replayed: true, ..cause(77) };
    cluster.create_because(&pod("web"), &created);
    cluster.until_bound("web").await;
    cluster.stop().await;
    for step in [Step::PodCreate3a, Step::PodCreate3b] {
        assert!(recorder.step(step).is_child_of(&created.context), "{recorder}");
    }
    let trace = created.context.trace_id();
    assert!(recorder.spans().iter().all(|span| span.context.trace_id() == trace), "{recorder}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_binding_frees_the_room_at_once_and_is_tried_again_in_its_trace() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let cluster = Cluster::start(&[node("a").allocatable(&[("cpu", "2"), ("pods", "9")])]);
    cluster.plan([Plan::Fail(20 * MS, "the connection was reset"), Plan::Succeed(MS)]);
    let created = cluster.create(&pod("first").requests(&[("cpu", "2")]));
    sleep(5 * MS).await;
    cluster.create(&pod("second").requests(&[("cpu", "1")]));
    cluster.until_bound("second").await;
    assert_eq!(
        cluster.api.state.lock().conditions,
        [
            "second Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.",
            "first SchedulerError: binding rejected: running Bind plugin \"FakeBinder\": the connection was reset"
        ],
        "second did not fit beside the assumed first one, and was woken by its failure"
    );
    cluster.until_quiet().await;
    cluster.delete("second");
    cluster.until_bound("first").await;
    cluster.stop().await;
    let failed: Vec<_> = recorder.named(SCHEDULE_POD).into_iter().filter(|span| span.error.is_some()).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].is_child_of(&created.context), "{recorder}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_it_is_bound_is_not_tried_again() {
    let cluster = Cluster::start(&[node("a")]);
    cluster.plan([Plan::Succeed(50 * MS)]);
    cluster.create(&pod("web"));
    sleep(10 * MS).await;
    cluster.delete("web");
    cluster.until_quiet().await;
    let lengths = cluster.scheduler.queue.lengths();
    assert_eq!(lengths, Default::default());
    assert_eq!(cluster.api.state.lock().user_events, [""; 0], "nobody is told of a pod that is gone");
    assert_eq!(cluster.scheduler.cache.lock().pod_counts(), (0, 0));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_pod_that_is_being_bound_starts_no_second_attempt() {
    let cluster = Cluster::start(&[node("a")]);
    cluster.plan([Plan::Succeed(50 * MS)]);
    cluster.create(&pod("web"));
    sleep(10 * MS).await;
    cluster.update("web", |pod| _ = pod.metadata.labels.insert("x".to_owned(), "y".to_owned()));
    cluster.until_bound("web").await;
    cluster.until_quiet().await;
    assert_eq!(cluster.api.state.lock().user_events.len(), 1);
    assert_eq!(cluster.scheduler.queue.lengths(), Default::default());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn gated_and_terminating_pods_are_left_alone() {
    let cluster = Cluster::start(&[node("a")]);
    cluster.create(&pod("held").gate("quota"));
    let mut leaving = pod("leaving");
    leaving.object.metadata.deletion_timestamp = Some(jiff::Timestamp::now().into());
    cluster.create(&leaving);
    cluster.until_quiet().await;
    cluster.until("told", |state| !state.conditions.is_empty()).await;
    assert_eq!(
        cluster.api.state.lock().conditions,
        ["held SchedulingGated: Scheduling is blocked due to non-empty scheduling gates"]
    );
    assert_eq!(
        cluster.api.state.lock().user_events,
        ["Warning FailedScheduling leaving: skip schedule deleting pod: default/leaving"]
    );
    cluster.update("held", |pod| pod.spec.scheduling_gates.clear());
    cluster.until_bound("held").await;
    assert_eq!(cluster.node_of("leaving"), "");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn bindings_are_concurrent_within_their_bound() {
    let cluster = Cluster::start_with(&[node("a")], 3, Vec::new());
    cluster.plan((0..9).map(|_| Plan::Succeed(100 * MS)));
    let start = Instant::now();
    for index in 0..9 {
        cluster.create(&pod(&format!("web-{index}")));
    }
    cluster.until_bound("web-8").await;
    cluster.until_quiet().await;
    let took = start.elapsed();
    assert!((300 * MS..400 * MS).contains(&took), "nine by three, not one by one: {took:?}");
    assert_eq!(cluster.api.state.lock().binding_at_most, 3);
    cluster.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever pods come and go, however long bindings take and whichever of them fail: what the pods of a node request never
    /// exceeds what it has, at any commit.
    #[test]
    fn no_node_is_ever_overcommitted(
        cores in prop::collection::vec(1..6_u32, 1..4),
        pods in prop::collection::vec((1..4_u32, 0..30_u64, 0..40_u64, 0..6_u8), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let nodes: Vec<_> = cores.iter().enumerate().map(|(index, cores)| {
                node(&format!("n{index}")).allocatable(&[("cpu", &cores.to_string()), ("pods", "5")])
            }).collect();
            let cluster = Cluster::start(&nodes);
            cluster.plan(pods.iter().map(|(_, delay, _, fate)| match fate {
                0 => Plan::Fail(MS * u32::try_from(*delay).unwrap(), "lost"),
                _ => Plan::Succeed(MS * u32::try_from(*delay).unwrap()),
            }));
            for (index, (request, _, pause, fate)) in pods.iter().enumerate() {
                cluster.create(&pod(&format!("p{index}")).requests(&[("cpu", &request.to_string())]));
                sleep(Duration::from_millis(*pause)).await;
                if *fate == 1 {
                    cluster.delete(&format!("p{}", index / 2));
                }
                assert_not_overcommitted(&cluster, &cores);
            }
            for _ in 0..200 {
                sleep(100 * MS).await;
                assert_not_overcommitted(&cluster, &cores);
            }
            // What is left over fits nowhere, so nothing was wasted either.
            let (free, left) = leftovers(&cluster, &cores);
            assert!(left.iter().all(|request| free.iter().all(|(free, places)| request > free || *places == 0)), "{free:?} {left:?}");
            cluster.stop().await;
        });
    }
}

/// What each node has left, in cores and places.
fn leftovers(cluster: &Cluster, cores: &[u32]) -> (Vec<(i64, i64)>, Vec<i64>) {
    let mut free: Vec<_> = cores.iter().map(|cores| (i64::from(*cores), 5)).collect();
    let mut left = Vec::new();
    for pod in cluster.api.state.lock().pods.values() {
        let request = PodInfo::of(Arc::clone(pod)).requests.milli_cpu / 1000;
        match pod.spec.node_name.strip_prefix('n') {
            Some(index) => {
                let node = &mut free[index.parse::<usize>().unwrap()];
                *node = (node.0 - request, node.1 - 1);
            }
            None => left.push(request),
        }
    }
    (free, left)
}

fn assert_not_overcommitted(cluster: &Cluster, cores: &[u32]) {
    let (free, _) = leftovers(cluster, cores);
    assert!(free.iter().all(|(cores, places)| *cores >= 0 && *places >= 0), "{free:?}");
}
