//! The end: hooks, signals, deadlines, and the object's disappearance.

use super::*;

const HOOKED: &str = "containers: [{name: web, image: nginx, lifecycle: {preStop: {sleep: {seconds: 60}}}}]";

#[test]
fn d4_d7_d9_a_deleted_pod_is_stopped_then_cleaned_up_then_deleted() {
    let mut world = World::running(ONE);
    assert_eq!(world.delete(30), ["event: Stopping container web", "stop web 30s"]);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.done(), ["remove sandbox"]);
    assert_eq!((world.phase(), world.state("web").as_str()), ("Succeeded", "Terminated:Completed"));
    let words = world.last.status.clone();
    assert_eq!(world.done(), ["delete pod"], "only when nothing is left in the runtime");
    assert_eq!(world.last.status, words, "the last thing known stays reported");
    assert_eq!(world.done(), [""; 0], "D12: with finalizers the object may stay; it is deleted once");
    world.memory.heed_removal(world.now);
    world.step();
    assert!(world.last.over);
}

#[test]
fn d6_the_pre_stop_hook_comes_first_and_takes_its_time_from_the_grace_period() {
    let mut world = World::running(HOOKED);
    assert_eq!(world.delete(30), ["event: Stopping container web", "preStop web"]);
    world.now += SignedDuration::from_millis(12_300);
    assert_eq!(world.done(), ["stop web 18s"], "what is left of 30 s");
}

#[test]
fn d6_a_hook_that_outlives_the_grace_period_gets_2_seconds_more_once() {
    let mut world = World::running(HOOKED);
    world.delete(30);
    assert_eq!(world.wait(29), [""; 0]);
    assert_eq!(world.wait(1), ["stop web 2s extended"]);
    assert_eq!(world.wait(60), [""; 0], "once");
    world.open.remove(0);
    assert_eq!(world.done(), ["remove sandbox"], "the hook is not waited for any longer");
}

#[test]
fn d6_a_hook_that_ends_in_the_last_moment_leaves_2_seconds_for_term() {
    let mut world = World::running(HOOKED);
    world.delete(30);
    world.now += SignedDuration::from_millis(29_500);
    assert_eq!(world.done(), ["stop web 2s"]);
}

#[test]
fn d6_a_hook_that_ends_its_container_is_still_followed_by_term() {
    let mut world = World::running(HOOKED);
    world.delete(30);
    assert_eq!(world.exits("web", 0), [""; 0], "the hook is waited for");
    assert_eq!(world.done(), ["stop web 30s"]);
    assert_eq!(world.done(), ["remove sandbox"]);
}

#[test]
fn d12_a_second_deletion_shortens_the_grace_period_and_never_lengthens_it() {
    let mut world = World::running(ONE);
    world.delete(60);
    world.wait(5);
    assert_eq!(world.delete(90), [""; 0]);
    assert_eq!(world.delete(10), ["stop web 10s"]);
    assert_eq!(world.delete(10), [""; 0]);

    let mut world = World::running(HOOKED);
    world.delete(60);
    world.wait(5);
    world.delete(3);
    assert_eq!(world.wait(3), ["stop web 2s extended"], "the hook is cut short, too");
}

#[test]
fn d8_no_grace_still_leaves_2_seconds_and_skips_the_hook() {
    let mut world = World::running(HOOKED);
    assert_eq!(world.delete(0), ["event: Stopping container web", "stop web 2s"]);
}

#[test]
fn d10_a_pod_whose_object_is_gone_is_killed_and_forgotten() {
    let mut world = World::running(HOOKED);
    world.memory.heed_removal(world.now);
    assert_eq!(world.step(), ["event: Stopping container web", "stop web 2s"]);
    assert_eq!(world.done(), ["remove sandbox"]);
    assert_eq!(world.done(), [""; 0]);
    assert!(world.last.over, "and nothing is written about it any more");
}

#[test]
fn d11_a_termination_begins_again_with_the_full_grace_period_after_a_restart() {
    let mut before = World::running(ONE);
    before.delete(30);
    before.wait(20);
    let mut after = World::of(before.pod.clone());
    after.observed = before.observed.clone();
    after.now = before.now;
    after.memory = Memory::adopt(&after.pod, &after.observed, after.now);
    assert_eq!(after.step(), ["event: Stopping container web", "stop web 30s"]);
}

#[test]
fn d11_when_the_runtime_restarts_the_hook_runs_again_and_the_grace_period_is_whole_again() {
    let mut world = World::running(HOOKED);
    world.delete(30);
    world.now += SignedDuration::from_secs(12);
    assert_eq!(world.done(), ["stop web 18s"]);
    world.now += SignedDuration::from_secs(5);
    assert_eq!(world.fail(FailureKind::Setup, "KillContainerError", "connection refused"), [""; 0]);
    assert_eq!(world.wait(1), ["event: Stopping container web", "preStop web"]);
    assert_eq!(world.wait(29), [""; 0], "30 s from here");
    assert_eq!(world.wait(1), ["stop web 2s extended"]);
}

#[test]
fn d11_a_grace_period_that_was_shortened_stays_short_when_the_runtime_restarts() {
    let mut world = World::running(ONE);
    world.delete(60);
    world.open.remove(0);
    world.delete(10);
    assert_eq!(world.fail(FailureKind::Setup, "KillContainerError", "connection refused"), [""; 0]);
    assert_eq!(world.wait(1), ["event: Stopping container web", "stop web 10s"]);
}

#[test]
fn d13_a_pod_that_has_not_started_is_deleted_without_delay() {
    let mut world = World::new(ONE);
    world.step();
    world.delete(30);
    assert_eq!(world.step(), [""; 0], "what is under way is given up by the worker first");
    let (work, _) = world.open.remove(0);
    world.memory.busy.remove(&work);
    assert_eq!(world.step(), ["delete pod"]);

    let mut finished = World::running("{restartPolicy: Never, containers: [{name: web, image: x}]}");
    finished.exits("web", 0);
    finished.done();
    finished.memory.heed_removal(finished.now);
    assert_eq!(finished.step(), ["remove sandbox"]);
    finished.done();
    assert!(finished.last.over);
}

#[test]
fn all_containers_of_a_pod_are_stopped_at_once_within_one_grace_period() {
    let mut world = World::running(
        "containers: [{name: a, image: x, lifecycle: {preStop: {sleep: {seconds: 5}}}}, {name: b, image: x}]",
    );
    let log = world.delete(30);
    assert_eq!(log, ["event: Stopping container a", "event: Stopping container b", "preStop a", "stop b 30s"]);
}

#[test]
fn a_runtime_that_refuses_is_asked_again_and_not_all_the_time() {
    let mut world = World::running(ONE);
    world.delete(30);
    assert_eq!(world.fail(FailureKind::Setup, "KillContainerError", "busy"), [""; 0]);
    assert_eq!(world.wait(1), ["event: Stopping container web", "stop web 30s"]);
    world.done();
    assert_eq!(world.fail(FailureKind::Setup, "KillPodSandboxError", "busy"), [""; 0]);
    assert_eq!(world.wait(1), ["remove sandbox"]);
    world.done();
    assert_eq!(world.fail(FailureKind::Setup, "FailedDelete", "down"), [""; 0]);
    assert_eq!(world.wait(1), ["delete pod"]);
}

#[test]
fn i8_sidecars_are_stopped_last_in_the_reverse_of_their_order() {
    let mut world = World::running(
        "{initContainers: [{name: s0, image: x, restartPolicy: Always}, {name: s1, image: x, restartPolicy: Always}],
          containers: [{name: web, image: x}]}",
    );
    let killing = ["event: Stopping container s0", "event: Stopping container s1", "event: Stopping container web"];
    assert_eq!(world.delete(30), [&killing[..], &["stop web 30s"]].concat());
    world.now += SignedDuration::from_secs(4);
    assert_eq!(world.done(), ["stop s1 26s"]);
    assert_eq!(world.done(), ["stop s0 26s"]);
    assert_eq!(world.done(), ["remove sandbox"]);
}

#[test]
fn i8_sidecars_do_not_keep_a_finished_pod_alive() {
    let mut world = World::running(
        "{restartPolicy: Never, initContainers: [{name: side, image: x, restartPolicy: Always}],
          containers: [{name: work, image: x}]}",
    );
    let log = world.exits("work", 0);
    assert_eq!(log, ["terminate: Finished", "event: Stopping container side", "stop side 30s"]);
    assert_eq!(world.done(), ["stop sandbox"]);
    assert_eq!(world.phase(), "Succeeded");
}
