//! What goes wrong, how it shows, and when it is tried again.

use super::*;

fn started(spec: &str) -> World {
    let mut world = World::new(spec);
    world.step();
    world.done();
    world.done();
    world
}

#[test]
fn s2_restarts_wait_10_20_40_seconds_up_to_5_minutes_and_are_forgiven_after_10_minutes() {
    let mut world = World::running(ONE);
    let mut delays = Vec::new();
    for _ in 0..8 {
        let log = world.exits("web", 1);
        delays.extend(log.iter().filter_map(|line| line.strip_prefix("event: back-off web ").map(str::to_owned)));
        world.wait(300);
        world.settle();
    }
    assert_eq!(delays, ["10s", "20s", "40s", "80s", "160s", "300s", "300s"], "the first restart is at once");
    assert_eq!(world.status("web").restart_count, 8);
    world.wait(601);
    assert_eq!(world.exits("web", 1), ["start web#9"]);
}

#[test]
fn s2_a_crash_loop_says_what_it_waits_for() {
    let mut world = World::running(ONE);
    world.exits("web", 1);
    world.done();
    world.exits("web", 3);
    assert_eq!((world.state("web").as_str(), world.phase()), ("Waiting:CrashLoopBackOff", "Running"));
    let status = world.status("web");
    assert_eq!(
        status.state.waiting.as_ref().unwrap().message,
        "back-off 10s restarting failed container=web pod=web_default(u1)"
    );
    assert_eq!(status.last_state.terminated.as_ref().unwrap().exit_code, 3);
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [web]");
    assert_eq!(world.wait(10), ["start web#2"]);
    world.done();
    assert_eq!((world.state("web").as_str(), world.truth("Ready").as_str()), ("Running", "True"));
}

#[test]
fn h5_a_back_off_that_lasts_is_told_every_minute() {
    let again = "event again: back-off web";
    let mut world = World::running(ONE);
    for told in [0, 0, 0, 0, 1, 2, 4] {
        world.exits("web", 1);
        let log = world.wait(300);
        assert_eq!(log.iter().filter(|line| *line == again).count(), told, "{log:?}");
        world.settle();
    }
    let mut world = started(ONE);
    for (delay, told) in [(10, 0), (20, 0), (40, 0), (80, 1), (160, 2), (300, 4)] {
        world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
        let mut expected = vec!["event: back-off pulling web"];
        expected.extend(vec!["event again: back-off pulling web"; told]);
        expected.push("start web#0");
        assert_eq!(world.wait(delay), expected, "{delay} s");
    }
    let waiting = world.status("web").state.waiting.clone().unwrap();
    assert_eq!(waiting.message, "Back-off pulling image \"nginx\": ErrImagePull: no such image", "it is said once");
}

#[test]
fn s1_s2_the_restart_policy_decides_what_an_exit_means() {
    let cases = [
        ("Always", 0, "Running", "Terminated:Completed", vec!["start web#1"]),
        ("Always", 1, "Running", "Terminated:Error", vec!["start web#1"]),
        ("OnFailure", 0, "Succeeded", "Terminated:Completed", vec!["stop sandbox"]),
        ("OnFailure", 1, "Running", "Terminated:Error", vec!["start web#1"]),
        ("Never", 0, "Succeeded", "Terminated:Completed", vec!["stop sandbox"]),
        ("Never", 1, "Failed", "Terminated:Error", vec!["stop sandbox"]),
    ];
    for (policy, code, phase, state, actions) in cases {
        let mut world = World::running(&format!("{{restartPolicy: {policy}, containers: [{{name: web, image: x}}]}}"));
        assert_eq!(world.exits("web", code), actions, "{policy} {code}");
        assert_eq!((world.phase(), world.state("web").as_str()), (phase, state), "{policy} {code}");
        let ready = match phase {
            "Succeeded" => "False:PodCompleted",
            "Failed" => "False:PodFailed",
            _ => "False:ContainersNotReady: containers with unready status: [web]",
        };
        assert_eq!(world.truth("Ready"), ready, "{policy} {code}");
    }
}

#[test]
fn containers_may_have_a_restart_policy_and_rules_of_their_own() {
    let mut world = World::running(
        "{restartPolicy: Never, containers: [{name: web, image: x, restartPolicy: Never,
          restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]}]}",
    );
    assert_eq!(world.exits("web", 42), ["start web#1"]);
    world.done();
    assert_eq!(world.exits("web", 1), ["stop sandbox"]);
}

#[test]
fn s3_a_failed_pull_shows_its_reason_then_waits_longer_each_time() {
    let mut world = started(ONE);
    let pull_fails = |world: &mut World| world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
    assert_eq!(pull_fails(&mut world), [""; 0]);
    assert_eq!((world.state("web").as_str(), world.phase()), ("Waiting:ErrImagePull", "Pending"));
    assert_eq!(world.wait(5), ["event: back-off pulling web"]);
    let waiting = world.status("web").state.waiting.clone().unwrap();
    assert_eq!(waiting.reason, "ImagePullBackOff");
    assert_eq!(waiting.message, "Back-off pulling image \"nginx\": ErrImagePull: no such image");
    assert_eq!(world.wait(5), ["start web#0"]);
    pull_fails(&mut world);
    assert_eq!(world.wait(19), ["event: back-off pulling web"]);
    assert_eq!(world.wait(1), ["start web#0"]);
    world.done();
    assert_eq!((world.state("web").as_str(), world.status("web").restart_count), ("Running", 0));
}

#[test]
fn s3_what_cannot_be_created_is_tried_again_soon() {
    for reason in ["CreateContainerConfigError", "CreateContainerError", "InvalidImageName", "ErrImageNeverPull"] {
        let mut world = started(ONE);
        assert_eq!(world.fail(FailureKind::Setup, reason, "why"), [""; 0]);
        assert_eq!(world.state("web"), format!("Waiting:{reason}"));
        assert_eq!(world.wait(5), ["start web#0"], "{reason}");
    }
}

#[test]
fn s3_a_container_that_cannot_run_goes_into_a_crash_loop() {
    let mut world = started(ONE);
    let never_ran = State::Exited {
        started_at: None,
        finished_at: world.now,
        code: 128,
        reason: "StartError".to_owned(),
        message: "exec: not found".to_owned(),
    };
    world.create("web", 0, never_ran.clone());
    assert_eq!(world.fail(FailureKind::Container, "RunContainerError", "exec: not found"), ["start web#1"]);
    assert_eq!(world.state("web"), "Waiting:RunContainerError");
    world.create("web", 1, never_ran);
    assert!(world.fail(FailureKind::Container, "RunContainerError", "exec: not found").is_empty());
    assert_eq!(world.state("web"), "Waiting:RunContainerError", "what it waits for is told a moment later");
    assert_eq!(world.wait(3), ["event: back-off web 10s"]);
    assert_eq!(world.state("web"), "Waiting:CrashLoopBackOff");
    assert_eq!(world.wait(7), ["start web#2"], "and that moment is part of the back-off");
}

#[test]
fn h3_a_failing_post_start_hook_kills_the_container_and_the_policy_decides() {
    let mut world = started(ONE);
    world.create("web", 0, State::Running(world.now));
    let log = world.fail(FailureKind::Container, "PostStartHookError", "hook said no");
    assert_eq!(log, ["event: FailedPostStartHook", "stop web 30s"]);
    assert_eq!(world.done(), ["start web#1"]);
    assert_eq!(world.state("web"), "Waiting:PostStartHookError");
}

#[test]
fn s3_a_sandbox_or_volume_that_cannot_be_made_is_tried_again() {
    let mut world = World::new(ONE);
    world.step();
    assert_eq!(world.fail(FailureKind::Setup, "FailedCreatePodSandBox", "no network"), [""; 0]);
    assert_eq!(world.state("web"), "Waiting:ContainerCreating");
    assert_eq!(world.wait(5), ["sandbox 0"]);
    world.done();
    assert_eq!(world.fail(FailureKind::Setup, "FailedMount", "configmap \"c\" not found"), [""; 0]);
    assert_eq!(world.wait(5), ["volumes"]);
}

#[test]
fn s3_nothing_of_a_deleted_pod_waits_to_be_started() {
    let mut world = World::running("containers: [{name: web, image: x}, {name: side, image: x}]");
    world.exits("web", 1);
    world.done();
    world.exits("web", 3);
    assert_eq!(world.state("web"), "Waiting:CrashLoopBackOff");
    world.delete(30);
    assert_eq!((world.state("web").as_str(), world.phase()), ("Terminated:Error", "Running"));

    let mut world = started("containers: [{name: web, image: x}, {name: side, image: x}]");
    world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
    world.memory.busy.insert(Work::Start("side".to_owned()));
    world.delete(30);
    assert_eq!(world.state("web"), "Waiting:ContainerCreating");
}

#[test]
fn a_deadline_fails_the_pod_however_well_it_runs() {
    let mut world = World::running("{activeDeadlineSeconds: 60, containers: [{name: web, image: x}]}");
    let log = world.wait(60);
    assert_eq!(log, ["terminate: DeadlineExceeded", "event: Stopping container web", "stop web 30s"]);
    assert_eq!((world.phase(), world.last.status.reason.as_str()), ("Running", ""), "not before nothing runs any more");
    assert_eq!(world.truth("Ready"), "False:PodFailed", "but it takes no more requests");
    assert_eq!(world.done(), ["stop sandbox"]);
    assert_eq!((world.phase(), world.last.status.reason.as_str()), ("Failed", "DeadlineExceeded"));
    assert_eq!(world.done(), [""; 0], "the object stays until somebody deletes it");
    assert_eq!(world.delete(0), ["remove sandbox"]);
    assert_eq!(world.done(), ["delete pod"]);
}

#[test]
fn a_pod_that_was_refused_has_no_containers_to_tell_about() {
    let mut world = World::new("{containers: [{name: a, image: x}]}");
    world.pod.status.conditions = ["PodScheduled", "x/y"]
        .map(|kind| PodCondition { r#type: kind.to_owned(), status: "True".to_owned(), ..Default::default() })
        .to_vec();
    world.memory.reject(Ended { reason: "OutOfcpu".to_owned(), message: "no room".to_owned() });
    assert_eq!(world.step(), [""; 0]);
    let status = &world.last.status;
    assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Failed", "OutOfcpu"));
    assert!(status.container_statuses.is_empty() && status.start_time.is_some());
    let kinds: Vec<&str> = status.conditions.iter().map(|condition| condition.r#type.as_str()).collect();
    assert_eq!(kinds, ["x/y"], "the kubelet has nothing to say of its own");
    let told = world.last.status.clone();
    let mut after = World::of(world.pod.clone());
    assert_eq!(after.step(), [""; 0]);
    assert_eq!(after.last.status, told, "the next kubelet has nothing to add");
}

/// S3: Evicted.
#[test]
fn s3_an_evicted_pod_fails_when_its_containers_have_ended_and_not_before() {
    let mut world = World::running("{terminationGracePeriodSeconds: 600, containers: [{name: a, image: x}]}");
    let ended = Ended { reason: "Evicted".to_owned(), message: "The node was low on resource: memory. ".to_owned() };
    world.memory.evict(&Eviction { ended, grace: 1, disrupts: true }, world.now);
    let log = world.step();
    assert_eq!((world.phase(), world.last.status.reason.as_str()), ("Running", ""), "{log:?}");
    let deadline = world.memory.termination.as_ref().unwrap().deadline;
    assert_eq!(deadline, world.now + SignedDuration::from_secs(1), "the node's grace period, not the pod's");
    world.settle();
    let status = &world.last.status;
    assert_eq!((status.phase.as_str(), status.reason.as_str()), ("Failed", "Evicted"));
    let condition = api::pod_conditions::condition(status, "DisruptionTarget").expect("the condition");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "TerminationByKubelet"));
    assert_eq!(condition.message, status.message);
}
