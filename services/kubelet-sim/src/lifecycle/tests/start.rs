//! Coming up: sandbox, volumes, init containers, containers, and what users see meanwhile.

use super::*;

#[test]
fn c5_a_pod_comes_up_step_by_step() {
    let mut world = World::new("containers: [{name: a, image: nginx}, {name: b, image: redis}]");
    assert_eq!(world.step(), ["sandbox 0"]);
    assert_eq!((world.phase(), world.state("a").as_str()), ("Pending", "Waiting:ContainerCreating"));
    assert_eq!(world.truth("PodReadyToStartContainers"), "False");
    assert_eq!(world.truth("PodScheduled"), "True");
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [a b]");
    assert_eq!(world.done(), ["volumes"]);
    assert_eq!(world.truth("PodReadyToStartContainers"), "True");
    assert_eq!(world.last.status.pod_ip, "10.244.0.2");
    assert_eq!(world.done(), ["start a#0"]);
    assert_eq!(world.done(), ["start b#0"], "one after another");
    assert_eq!((world.phase(), world.state("a").as_str()), ("Pending", "Running"));
    assert_eq!(world.done(), [""; 0]);
    assert_eq!(world.phase(), "Running");
    assert_eq!(world.truth("Ready"), "True");
    assert_eq!(world.truth("ContainersReady"), "True");
    let status = world.status("a");
    assert_eq!((status.container_id.as_str(), status.ready, status.started), ("virtual://a-0", true, Some(true)));
    assert_eq!(world.last.status.qos_class, "BestEffort");
    assert_eq!(world.last.status.host_ips[0].ip, "192.168.0.7");
}

#[test]
fn i1_i2_i4_init_containers_run_one_after_another_to_success() {
    let mut world = World::new(
        "{initContainers: [{name: i0, image: x}, {name: i1, image: x}], containers: [{name: web, image: nginx}]}",
    );
    world.step();
    world.done();
    assert_eq!(world.done(), ["start i0#0"]);
    let incomplete =
        |names: &str| format!("False:ContainersNotInitialized: containers with incomplete status: [{names}]");
    assert_eq!(world.truth("Initialized"), incomplete("i0 i1"));
    assert_eq!(world.done(), [""; 0], "it runs; its end is waited for");
    assert_eq!((world.state("i0"), world.state("web")), ("Running".to_owned(), "Waiting:PodInitializing".to_owned()));
    assert_eq!(world.exits("i0", 0), ["start i1#0"]);
    assert_eq!(world.truth("Initialized"), incomplete("i1"));
    assert!(world.status("i0").ready);
    world.done();
    assert_eq!(world.exits("i1", 0), ["start web#0"]);
    assert_eq!(world.truth("Initialized"), "True");
    world.done();
    assert_eq!((world.phase(), world.truth("Ready").as_str()), ("Running", "True"));
}

#[test]
fn i3_a_failing_init_container_is_retried_or_fails_the_pod() {
    let spec = |policy: &str| {
        format!(
            "{{restartPolicy: {policy}, initContainers: [{{name: i, image: x}}], containers: [{{name: c, image: x}}]}}"
        )
    };
    let mut world = World::new(&spec("Always"));
    world.step();
    world.done();
    world.done();
    world.done();
    assert_eq!(world.exits("i", 1), ["start i#1"], "the first time at once");
    world.done();
    assert_eq!(world.exits("i", 1), ["event: back-off i 10s"]);
    assert_eq!((world.state("i").as_str(), world.phase()), ("Waiting:CrashLoopBackOff", "Pending"));
    assert_eq!(world.wait(10), ["start i#2"]);

    let mut world = World::new(&spec("Never"));
    world.step();
    world.done();
    world.done();
    world.done();
    assert_eq!(world.exits("i", 1), ["stop sandbox"]);
    assert_eq!((world.phase(), world.state("i").as_str()), ("Failed", "Terminated:Error"));
}

#[test]
fn i8_sidecars_start_in_order_and_hold_up_the_others_until_they_have_started() {
    let mut world = World::new(
        "{initContainers: [{name: side, image: x, restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}}],
          containers: [{name: web, image: nginx}]}",
    );
    world.step();
    world.done();
    assert_eq!(world.done(), ["start side#0"]);
    assert_eq!(world.done(), [""; 0]);
    assert_eq!((world.phase(), world.status("side").started), ("Pending", Some(false)));
    world.wait(1);
    assert_eq!(world.probe(true), [(ProbeKind::Startup, Verdict::Passed)]);
    assert_eq!(world.step(), ["start web#0"]);
    world.done();
    assert_eq!(world.truth("Ready"), "True");
    world.exits("side", 1);
    assert_eq!(world.open[0].0, Work::Start("side".to_owned()), "it stays up");
}

#[test]
fn h1_a_container_is_not_running_before_its_post_start_hook_has_returned() {
    let mut world = World::new(ONE);
    world.step();
    world.done();
    world.done();
    world.create("web", 0, State::Running(world.now));
    world.step();
    assert_eq!((world.state("web").as_str(), world.phase()), ("Waiting:ContainerCreating", "Pending"));
    let (work, _) = world.open.remove(0);
    world.memory.finish(&work, Ok(()), &world.pod, &world.observed, world.now);
    world.step();
    assert_eq!((world.state("web").as_str(), world.phase()), ("Running", "Running"));
}

#[test]
fn pods_that_ran_before_the_kubelet_did_are_taken_up_as_they_are() {
    let mut before = World::running("containers: [{name: web, image: nginx, readinessProbe: {tcpSocket: {port: 1}}}]");
    before.wait(1);
    before.probe(true);
    before.step();
    assert_eq!(before.truth("Ready"), "True");
    let mut after = World::of(before.pod.clone());
    after.observed = before.observed.clone();
    after.now = before.now;
    after.memory = Memory::adopt(&after.pod, &after.observed, after.now);
    assert_eq!(after.step(), [""; 0], "nothing is started");
    assert_eq!(after.last.status, before.last.status, "nor anything reported, and it is ready still");
}

#[test]
fn h4_a_hook_of_which_nobody_knows_whether_it_returned_runs_once_more() {
    let hooked =
        "containers: [{name: web, image: x, lifecycle: {postStart: {sleep: {seconds: 1}}}}, {name: log, image: x}]";
    let taken_up = |before: &World| {
        let mut after = World::of(before.pod.clone());
        after.observed = before.observed.clone();
        after.memory = Memory::adopt(&after.pod, &after.observed, after.now);
        after
    };
    let mut before = World::new(hooked);
    before.step();
    before.done();
    before.done();
    before.create("web", 0, State::Running(before.now));
    before.step();
    let mut after = taken_up(&before);
    assert_eq!(after.step(), ["postStart web"]);
    assert_eq!(after.state("web"), "Waiting:ContainerCreating", "as before the kubelet was killed");
    assert_eq!(after.done(), ["start log#0"], "and only then the next one");
    after.done();
    assert_eq!((after.state("web").as_str(), after.status("web").restart_count), ("Running", 0));
    assert_eq!(taken_up(&after).step(), [""; 0], "what was reported to run has had its hook");

    let mut failed = taken_up(&before);
    failed.step();
    let told = failed.fail(FailureKind::Container, "PostStartHookError", "no");
    assert!(told.contains(&"stop web 30s".to_owned()), "{told:?}");
}

#[test]
fn what_the_runtime_has_lost_is_started_again_and_counts_as_a_restart() {
    let before = World::running(ONE);
    let mut lost = World::of(before.pod);
    lost.step();
    let status = lost.status("web");
    let ended = status.last_state.terminated.clone().unwrap();
    assert_eq!((ended.reason.as_str(), ended.exit_code), ("ContainerStatusUnknown", 137));
    assert!(ended.message.ends_with("The container used to be Running") && ended.started_at.is_none());
    assert_eq!((lost.state("web").as_str(), status.restart_count), ("Waiting:ContainerCreating", 1));
    assert_eq!(lost.phase(), "Running");
    assert_eq!(lost.settle(), ["volumes", "start web#1"], "the loss is counted once");
    assert_eq!(lost.status("web").restart_count, 1);

    let mut before = World::running(ONE);
    before.exits("web", 3);
    before.settle();
    let mut after = World::of(before.pod.clone());
    after.step();
    let status = after.status("web");
    assert_eq!(
        (status.last_state.terminated.as_ref().unwrap().exit_code, status.restart_count),
        (3, 1),
        "what is known"
    );
    assert_eq!(after.settle(), ["volumes", "start web#2"]);
    assert_eq!(after.status("web").restart_count, 2);
}

#[test]
fn how_a_container_ended_is_told_although_the_runtime_has_forgotten_it() {
    let mut before = World::running("{restartPolicy: Never, containers: [{name: web, image: x}]}");
    before.exits("web", 3);
    before.done();
    let mut after = World::of(before.pod.clone());
    assert_eq!(after.step(), [""; 0]);
    assert_eq!(after.last.status, before.last.status);
}

#[test]
fn a_forgotten_init_container_of_an_initialized_pod_counts_as_passed() {
    let mut world = World::running("{initContainers: [{name: i, image: x}], containers: [{name: web, image: x}]}");
    world.observed.containers.retain(|container| container.name != "i");
    world.step();
    assert_eq!(world.status("i").state.terminated.as_ref().unwrap().message, "", "it is known how it ended");
    world.pod.status.init_container_statuses.clear();
    world.step();
    let ended = world.status("i").state.terminated.clone().unwrap();
    assert_eq!((ended.reason.as_str(), ended.exit_code), ("Completed", 0));
    assert!(ended.message.starts_with("Unable to get init container status from container runtime"));
    assert!(world.status("i").ready);
}

#[test]
fn readiness_gates_are_set_by_others() {
    let mut world = World::running("{readinessGates: [{conditionType: x/y}], containers: [{name: web, image: nginx}]}");
    assert_eq!(
        world.truth("Ready"),
        "False:ReadinessGatesNotReady: corresponding condition of pod readiness gate \"x/y\" does not exist."
    );
    let gate = PodCondition { r#type: "x/y".to_owned(), status: "True".to_owned(), ..Default::default() };
    world.pod.status.conditions.push(gate);
    world.step();
    assert_eq!(world.truth("Ready"), "True");
}
