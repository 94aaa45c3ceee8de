//! The guarantees of the queue, one by one, under paused time.

use tokio::time::{advance, timeout};

use super::*;
use crate::testing::{TestPod, cause, framework, node, pod};

const SECOND: Duration = Duration::from_secs(1);

fn queue() -> SchedulingQueue {
    SchedulingQueue::new(Arc::new(framework()), Timing::default())
}

fn add(queue: &SchedulingQueue, pod: &TestPod) {
    queue.add(pod.info(), &cause(1));
}

/// The next pod to schedule.
async fn next(queue: &SchedulingQueue) -> QueuedPod {
    match timeout(600 * SECOND, queue.next()).await.expect("there is a next pod") {
        Next::Schedule(pod) => pod,
        Next::Gated(pod, _) => panic!("{} is gated", pod.info),
    }
}

async fn is_idle(queue: &SchedulingQueue) -> bool {
    timeout(Duration::from_millis(1), queue.next()).await.is_err()
}

fn no_room() -> Failure {
    Failure::Unschedulable(vec!["NodeResourcesFit"])
}

fn pod_gone() -> ClusterEvent {
    ClusterEvent::AssignedPodRemoved(pod("other").info())
}

fn node_of(cpu: &str) -> ClusterEvent {
    ClusterEvent::NodeAdded(Arc::new(node("new").allocatable(&[("cpu", cpu), ("pods", "9")]).info()))
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_handed_out_to_one_attempt_at_a_time() {
    let queue = queue();
    add(&queue, &pod("web"));
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    add(&queue, &pod("web"));
    queue.update(pod("web").info(), &cause(2));
    assert!(is_idle(&queue).await);
    queue.put_back(web, no_room());
    queue.happened(&pod_gone(), &cause(3));
    assert_eq!(next(&queue).await.attempts, 2);
    queue.done("uid-web");
    assert_eq!(queue.lengths(), Lengths::default());
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_comes_first_then_the_longest_waiting() {
    let queue = queue();
    for (name, priority) in [("first", 0), ("second", 0), ("urgent", 1000)] {
        add(&queue, &pod(name).priority(priority));
        advance(SECOND).await;
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(next(&queue).await.info.name().to_owned());
    }
    assert_eq!(order, ["urgent", "first", "second"]);
}

/// SCENARIOS C7.
#[tokio::test(start_paused = true)]
async fn an_unschedulable_pod_comes_back_at_once_when_an_event_helps_it_and_not_before() {
    let queue = queue();
    add(&queue, &pod("big").requests(&[("cpu", "6")]));
    let big = next(&queue).await;
    queue.put_back(big, no_room());
    queue.happened(&node_of("4"), &cause(2));
    assert!(is_idle(&queue).await, "that node is too small");
    let start = Instant::now();
    queue.happened(&node_of("8"), &cause(3));
    let big = next(&queue).await;
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody else is waiting, so there is no back-off");
    let wake = big.woken_by.unwrap();
    assert_eq!((wake.event, wake.context), ("NodeAdd", cause(3).context));
}

#[tokio::test(start_paused = true)]
async fn an_event_during_the_attempt_is_not_missed() {
    let queue = queue();
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    queue.happened(&node_of("8"), &cause(2));
    queue.put_back(web, no_room());
    assert_eq!(next(&queue).await.woken_by.map(|wake| wake.event), Some("NodeAdd"));
}

#[tokio::test(start_paused = true)]
async fn an_event_before_the_attempt_does_not_bring_the_pod_back_after_it() {
    let queue = queue();
    queue.happened(&node_of("8"), &cause(1));
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    queue.put_back(web, no_room());
    assert!(is_idle(&queue).await);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_helped_waits_out_its_back_off_while_others_are_active() {
    let queue = queue();
    add(&queue, &pod("big").priority(7));
    let big = next(&queue).await;
    queue.put_back(big, no_room());
    queue.happened(&pod_gone(), &cause(2));
    assert_eq!(queue.lengths().backoff, 1);
    add(&queue, &pod("a"));
    add(&queue, &pod("b"));
    assert_eq!(next(&queue).await.info.name(), "a", "it is more urgent, but its time has not come");
    advance(SECOND).await;
    assert_eq!(next(&queue).await.info.name(), "big", "now it has");
}

#[tokio::test(start_paused = true)]
async fn an_error_waits_from_one_second_doubling_to_ten() {
    let queue = queue();
    add(&queue, &pod("web"));
    let mut web = next(&queue).await;
    let mut delays = Vec::new();
    for _ in 0..6 {
        let start = Instant::now();
        queue.put_back(web, Failure::Error);
        queue.happened(&pod_gone(), &cause(2));
        web = next(&queue).await;
        delays.push(start.elapsed().as_secs());
    }
    assert_eq!(delays, [1, 2, 4, 8, 10, 10], "and no event shortens it");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_event_helps_is_tried_again_after_five_minutes() {
    let queue = queue();
    for name in ["a", "b"] {
        add(&queue, &pod(name));
        let pod = next(&queue).await;
        queue.put_back(pod, no_room());
        advance(10 * SECOND).await;
    }
    let start = Instant::now();
    assert_eq!(next(&queue).await.woken_by.map(|wake| wake.event), Some("UnschedulableTimeout"));
    assert_eq!(start.elapsed(), 280 * SECOND, "a went 20 s ago");
    assert_eq!(next(&queue).await.info.name(), "b");
    assert_eq!(start.elapsed(), 290 * SECOND);
    assert!(queue.state.lock().parked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_any_node_a_pod_waits_for_a_node() {
    let queue = queue();
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    queue.put_back(web, Failure::Unschedulable(Vec::new()));
    queue.happened(&pod_gone(), &cause(2));
    assert!(is_idle(&queue).await);
    queue.happened(&node_of("1"), &cause(3));
    next(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn a_gated_pod_is_told_of_and_tried_only_when_its_gates_are_gone() {
    let queue = queue();
    add(&queue, &pod("held").gate("a").gate("b"));
    let Next::Gated(held, rejection) = queue.next().await else { panic!("it is gated") };
    assert_eq!((held.info.name(), rejection.plugin), ("held", "SchedulingGates"));
    queue.happened(&node_of("8"), &cause(2));
    queue.update(pod("held").gate("a").gate("b").info(), &cause(3));
    assert!(is_idle(&queue).await);
    queue.update(pod("held").gate("b").info(), &cause(4));
    assert!(matches!(queue.next().await, Next::Gated(..)), "its reason is another one now");
    advance(400 * SECOND).await;
    assert!(is_idle(&queue).await, "time opens no gate");
    queue.update(pod("held").info(), &cause(5));
    let held = next(&queue).await;
    assert_eq!((held.attempts, held.continues_new_cause()), (1, true));
    let revisions: Vec<_> = held.causes.iter().map(|cause| cause.revision).collect();
    assert_eq!(revisions, [5, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_pod_is_never_handed_out_wherever_it_was() {
    let queue = queue();
    let mut places = Vec::new();
    for failure in [None, Some(Failure::Error), Some(no_room())] {
        add(&queue, &pod("web"));
        if let Some(failure) = failure {
            let web = next(&queue).await;
            queue.put_back(web, failure);
        }
        let Lengths { active, backoff, unschedulable, .. } = queue.lengths();
        places.push((active, backoff, unschedulable));
        queue.remove("uid-web");
        assert_eq!(queue.lengths(), Lengths::default());
    }
    assert_eq!(places, [(1, 0, 0), (0, 1, 0), (0, 0, 1)]);

    add(&queue, &pod("web"));
    let web = next(&queue).await;
    assert!(queue.is_wanted("uid-web"));
    queue.remove("uid-web");
    assert!(!queue.is_wanted("uid-web"));
    queue.put_back(web, no_room());
    assert_eq!(queue.lengths(), Lengths::default());
    assert!(is_idle(&queue).await);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_gets_the_newest_version_and_all_causes_that_matter() {
    let queue = queue();
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    let mut told = pod("web");
    told.object.status.phase = "Pending".to_owned();
    queue.update(told.info(), &cause(2));
    let mut labelled = told.clone();
    labelled.object.metadata.labels.insert("x".to_owned(), "y".to_owned());
    queue.update(labelled.info(), &cause(3));
    queue.put_back(web, no_room());
    queue.update(labelled.info(), &cause(4));
    queue.happened(&pod_gone(), &cause(5));
    let web = next(&queue).await;
    assert_eq!(web.info.pod.metadata.labels.len(), 1);
    let revisions: Vec<_> = web.causes.iter().map(|cause| cause.revision).collect();
    assert_eq!(revisions, [3, 1], "a status explains no attempt, and neither does what only woke the pod");
    assert!(web.continues_new_cause());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_pod_itself_may_help_it() {
    let queue = queue();
    add(&queue, &pod("web"));
    let web = next(&queue).await;
    queue.put_back(web, Failure::Unschedulable(vec!["TaintToleration"]));
    queue.update(pod("web").priority(3).info(), &cause(2));
    assert!(is_idle(&queue).await);
    queue.update(pod("web").priority(3).tolerates("gpu").info(), &cause(3));
    assert_eq!(next(&queue).await.woken_by.map(|wake| wake.event), Some("UnscheduledPodUpdate"));
}
