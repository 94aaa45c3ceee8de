//! The sandbox: lost, or out of date because an image has changed.

use super::*;

const INIT: &str = "{initContainers: [{name: i, image: x}], containers: [{name: c, image: x}]}";

impl World {
    /// The sandbox process is gone, and with it what ran in it.
    fn lose_sandbox(&mut self) {
        self.observed.sandboxes[0].ready = false;
        let running = self.observed.containers.iter().filter(|c| c.is_running()).map(|c| c.id.clone());
        for id in running.collect::<Vec<_>>() {
            self.set_exited(&id, 137);
        }
    }
}

#[test]
fn i5_a_lost_sandbox_runs_the_init_containers_again() {
    let mut world = World::running(INIT);
    world.lose_sandbox();
    let log = world.settle();
    assert_eq!(log, ["event: sandbox changed", "stop sandbox", "sandbox 1", "volumes", "start i#1", "start c#1"]);
    assert_eq!(world.status("c").restart_count, 1);
    assert_eq!(world.last.status.pod_ip, "10.244.0.3");
    assert_eq!((world.phase(), world.truth("Ready").as_str()), ("Running", "True"));
}

#[test]
fn i4_i5_while_the_init_containers_run_again_the_pod_is_not_ready() {
    let mut world = World::running(INIT);
    world.lose_sandbox();
    world.step();
    assert_eq!(world.truth("PodReadyToStartContainers"), "False");
    world.done();
    world.done();
    world.done();
    assert_eq!(world.log, [""; 0]);
    assert_eq!(world.open[0].1, Action::Start { container: "i".to_owned(), attempt: 1 });
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [c]");
}

#[test]
fn i5_what_still_runs_in_a_lost_sandbox_is_stopped_with_hook_and_grace_period() {
    let mut world = World::running("containers: [{name: c, image: x, lifecycle: {preStop: {sleep: {seconds: 5}}}}]");
    world.observed.sandboxes[0].ready = false;
    assert_eq!(world.step(), ["event: sandbox changed", "event: Stopping container c", "preStop c"]);
    assert_eq!(world.done(), ["stop c 30s"]);
    assert_eq!(world.done(), ["stop sandbox"]);
    assert_eq!(world.done(), ["sandbox 1"]);
}

#[test]
fn i5_the_restart_policy_decides_whether_there_is_anything_left_to_run() {
    let spec = |policy: &str| {
        format!("{{restartPolicy: {policy}, containers: [{{name: a, image: x}}, {{name: b, image: x}}]}}")
    };
    let cases = [
        ("Always", vec!["event: sandbox changed", "stop sandbox", "sandbox 1", "volumes", "start a#1", "start b#1"]),
        ("OnFailure", vec!["event: sandbox changed", "stop sandbox", "sandbox 1", "volumes", "start b#1"]),
        ("Never", vec![]),
    ];
    for (policy, expected) in cases {
        let mut world = World::running(&spec(policy));
        world.set_exited("a-0", 0);
        world.lose_sandbox();
        assert_eq!(world.settle(), expected, "{policy}");
        assert_eq!(world.phase(), if policy == "Never" { "Failed" } else { "Running" }, "{policy}");
    }
}

#[test]
fn a_sandbox_that_cannot_be_stopped_is_not_replaced_yet() {
    let mut world = World::running(ONE);
    world.lose_sandbox();
    assert_eq!(world.step(), ["event: sandbox changed", "stop sandbox"]);
    assert_eq!(world.fail(FailureKind::Setup, "KillPodSandboxError", "busy"), [""; 0]);
    assert_eq!(world.wait(1), ["stop sandbox"]);
    assert_eq!(world.done(), ["sandbox 1"]);
}

#[test]
fn i7_another_image_of_an_init_container_restarts_the_pods_start_up() {
    let mut world = World::running(INIT);
    world.pod.spec.init_containers[0].image = "x:2".to_owned();
    assert_eq!(world.step(), ["event: sandbox changed", "event: Stopping container c", "stop c 30s"]);
    assert_eq!(world.done(), ["stop sandbox"]);
    assert_eq!(world.settle(), ["sandbox 1", "volumes", "start i#1", "start c#1"]);
    assert_eq!(world.wait(100), [""; 0], "once");
}

#[test]
fn i7_with_ignore_another_image_of_an_init_container_changes_nothing() {
    let mut world = World::running(INIT);
    world.node.init_image_restarts = false;
    world.pod.spec.init_containers[0].image = "x:2".to_owned();
    assert_eq!(world.step(), [""; 0], "as in Kubernetes: only a start to come has it");
    world.lose_sandbox();
    world.settle();
    assert_eq!(world.observed.latest("i").unwrap().wanted_image, "x:2");
}

#[test]
fn i7_a_pod_that_may_not_start_again_is_not_ended_for_an_image() {
    let mut world = World::running(&INIT.replace("{initContainers", "{restartPolicy: Never, initContainers"));
    world.pod.spec.init_containers[0].image = "x:2".to_owned();
    assert_eq!(world.step(), [""; 0]);
}

#[test]
fn i7_another_image_of_a_container_restarts_that_one_without_back_off() {
    let mut world = World::running(
        "{initContainers: [{name: s, image: x, restartPolicy: Always}], containers: [{name: a, image: x}, {name: b, image: x}]}",
    );
    world.pod.spec.containers[0].image = "x:2".to_owned();
    assert_eq!(world.step(), ["event: Container a definition changed, will be restarted", "stop a 30s"]);
    assert_eq!(world.done(), ["start a#1"]);
    world.done();
    world.pod.spec.init_containers[0].image = "x:3".to_owned();
    assert_eq!(world.step(), ["event: Init container s definition changed", "stop s 30s"]);
    assert_eq!(world.done(), ["start s#1"]);

    let mut broken = World::running(ONE);
    for _ in 0..3 {
        broken.exits("web", 1);
        broken.settle();
        broken.wait(30);
    }
    broken.settle();
    broken.exits("web", 1);
    assert_eq!(broken.state("web"), "Waiting:CrashLoopBackOff");
    broken.pod.spec.containers[0].image = "nginx:good".to_owned();
    assert!(broken.step().iter().any(|line| line.starts_with("start web#")), "what the old image did is forgotten");
}
