//! What is reported: phases, conditions, and the fields of container statuses.

use super::*;

#[test]
fn s1_a_pod_is_over_only_when_nothing_of_it_runs() {
    let mut world = World::running(
        "{restartPolicy: Never, initContainers: [{name: side, image: x, restartPolicy: Always}], containers: [{name: work, image: x}]}",
    );
    world.exits("work", 0);
    assert_eq!((world.phase(), world.truth("Ready").as_str()), ("Running", "False:PodCompleted"));
    world.done();
    assert_eq!((world.phase(), world.truth("Initialized").as_str()), ("Succeeded", "True:PodCompleted"));
}

#[test]
fn s3_a_pod_that_the_node_ends_says_why_and_that_it_was_disrupted() {
    let table = [("Evicted", true), ("Terminated", true), ("Killed", false)];
    for (reason, disrupted) in table {
        let mut world = World::running(ONE);
        let ended = Ended { reason: reason.to_owned(), message: "The node was low on resource: memory. ".to_owned() };
        world.memory.evict(&Eviction { ended, grace: 5, disrupts: disrupted }, world.now);
        assert_eq!(
            world.step(),
            ["event: Stopping container web", "stop web 5s"],
            "{reason}: the grace that was asked for"
        );
        let condition = |world: &World| api::pod_conditions::condition(&world.last.status, "DisruptionTarget").cloned();
        assert!(condition(&world).is_none(), "{reason}: not before nothing runs any more");
        assert_eq!(world.done(), ["stop sandbox"]);
        assert_eq!(condition(&world).is_some(), disrupted, "{reason}");
        if disrupted {
            assert_eq!(
                world.truth("DisruptionTarget"),
                "True:TerminationByKubelet: The node was low on resource: memory. "
            );
        }
        assert_eq!((world.phase(), world.last.status.reason.as_str()), ("Failed", reason));
    }
}

#[test]
fn a_readiness_gate_says_what_it_is() {
    for value in ["False", "Unknown"] {
        let mut world =
            World::running("{readinessGates: [{conditionType: x/y}], containers: [{name: web, image: nginx}]}");
        let gate = PodCondition { r#type: "x/y".to_owned(), status: value.to_owned(), ..Default::default() };
        world.pod.status.conditions.push(gate);
        world.step();
        let message = format!("the status of pod readiness gate \"x/y\" is not \"True\", but {value}");
        assert_eq!(world.truth("Ready"), format!("False:ReadinessGatesNotReady: {message}"));
        assert_eq!(world.truth("ContainersReady"), "True");
    }
}

#[test]
fn conditions_change_their_time_only_with_their_status_and_name_the_generation() {
    let mut world = World::running(ONE);
    let time = |world: &World, kind: &str| world.condition(kind).last_transition_time;
    let (ready, scheduled) = (time(&world, "Ready"), time(&world, "PodScheduled"));
    world.wait(60);
    world.pod.metadata.generation = 2;
    world.exits("web", 1);
    assert_ne!(time(&world, "Ready"), ready);
    assert_eq!(time(&world, "PodScheduled"), scheduled);
    assert_eq!((world.condition("PodScheduled").observed_generation, world.last.status.observed_generation), (2, 2));
}

#[test]
fn s3_a_pod_that_is_over_has_no_container_that_waits() {
    let unknown = "Terminated:ContainerStatusUnknown";
    let evict = |world: &mut World| {
        let ended = Ended { reason: "Evicted".to_owned(), message: "why".to_owned() };
        world.memory.evict(&Eviction { ended, grace: 5, disrupts: true }, world.now);
        world.step();
        while !world.open.is_empty() {
            world.done();
        }
    };
    let mut world = World::new(ONE);
    world.step();
    world.done();
    world.done();
    world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
    evict(&mut world);
    assert_eq!((world.state("web").as_str(), world.phase()), (unknown, "Failed"));
    let ended = world.status("web").state.terminated.clone().unwrap();
    assert_eq!(ended.exit_code, 137);
    assert_eq!(ended.message, "The container could not be located when the pod was terminated");

    let mut world = World::new(
        "{initContainers: [{name: i0, image: x}, {name: i1, image: x}], containers: [{name: web, image: x}]}",
    );
    world.step();
    world.done();
    world.done();
    world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
    evict(&mut world);
    let states = ["i0", "i1", "web"].map(|name| world.state(name));
    assert_eq!(states, [unknown, "Waiting:PodInitializing", "Waiting:PodInitializing"], "those had their turn never");
}

#[test]
fn d13_a_pod_that_never_ran_fails_before_it_is_deleted() {
    let mut world = World::new(ONE);
    world.step();
    world.done();
    world.done();
    world.fail(FailureKind::Pull, "ErrImagePull", "no such image");
    assert_eq!(world.delete(30), ["remove sandbox"]);
    assert_eq!((world.phase(), world.state("web").as_str()), ("Failed", "Terminated:ContainerStatusUnknown"));
}

#[test]
fn containers_are_reported_by_name_and_init_containers_in_their_order() {
    let world = World::running(
        "{initContainers: [{name: z, image: x}, {name: y, image: x}],
          containers: [{name: web, image: x, readinessProbe: {tcpSocket: {port: 80}}}, {name: b, image: x, readinessProbe: {tcpSocket: {port: 80}}}]}",
    );
    let names = |statuses: &[ContainerStatus]| statuses.iter().map(|status| status.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&world.last.status.init_container_statuses), ["z", "y"]);
    assert_eq!(names(&world.last.status.container_statuses), ["b", "web"]);
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [web b]");
}

#[test]
fn a_running_container_tells_its_resources_mounts_and_times() {
    let mut world = World::running(
        "{containers: [{name: web, image: nginx, resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}},
           volumeMounts: [{name: v, mountPath: /v, readOnly: true}]}], volumes: [{name: v, emptyDir: {}}]}",
    );
    let status = world.status("web").clone();
    assert_eq!(status.allocated_resources.keys().collect::<Vec<_>>(), ["cpu"]);
    assert_eq!(status.resources.map(|r| r.limits.len()), Some(1));
    let mount = &status.volume_mounts[0];
    assert_eq!(
        (mount.mount_path.as_str(), mount.read_only, mount.recursive_read_only.as_deref()),
        ("/v", true, Some("Disabled"))
    );
    assert!(status.state.running.and_then(|running| running.started_at).is_some());
    assert_eq!(world.last.status.qos_class, "Burstable");
    world.wait(5);
    world.exits("web", 3);
    assert_eq!(world.status("web").resources.as_ref().map(|r| r.limits.len()), Some(1), "also when it has ended");
    let ended = world.status("web").state.terminated.clone().unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_str(), ended.container_id.as_str()), (3, "Error", "virtual://web-0"));
    let seconds = |time: Option<api::meta::v1::Time>| time.and_then(|time| time.timestamp()).unwrap().as_second();
    assert_eq!(seconds(ended.finished_at) - seconds(ended.started_at), 5);
    assert_eq!(World::running(ONE).status("web").resources, Some(Default::default()), "there is nothing to tell");
    assert_eq!(world.status("web").started, Some(false));
}
