//! Probes: when they run and what they change.

use super::*;

fn with_probes(probes: &str) -> World {
    World::running(&format!("containers: [{{name: web, image: nginx, {probes}}}]"))
}

#[test]
fn p1_probes_start_after_their_delay_and_keep_their_period() {
    let mut world = with_probes("readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 5, periodSeconds: 3}");
    let mut runs = Vec::new();
    for tenth in 0..200 {
        world.now = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(tenth * 100);
        if !world.probe(false).is_empty() {
            runs.push(tenth);
        }
    }
    assert_eq!(runs, [61, 91, 121, 151, 181], "seen running at 0.1 s; the first of its ticks after the delay");
}

#[test]
fn p1_the_first_run_of_each_probe_is_kubernetes() {
    // Kind, fields, when the container starts and when the first run comes, in seconds after the kubelet took the pod on.
    let cases = [
        ("livenessProbe", "periodSeconds: 10", 3.0, 10.0),
        ("livenessProbe", "periodSeconds: 10", 10.0, 10.0),
        ("livenessProbe", "periodSeconds: 3", 10.0, 12.0),
        ("livenessProbe", "periodSeconds: 10, initialDelaySeconds: 15", 3.0, 20.0),
        ("livenessProbe", "initialDelaySeconds: 7", 3.0, 10.0),
        ("startupProbe", "periodSeconds: 4", 1.0, 4.0),
        ("startupProbe", "periodSeconds: 4, initialDelaySeconds: 4", 1.0, 8.0),
        ("readinessProbe", "periodSeconds: 10", 3.0, 3.1),
        ("readinessProbe", "periodSeconds: 10, initialDelaySeconds: 5", 3.0, 13.1),
        ("readinessProbe", "periodSeconds: 1, initialDelaySeconds: 5", 3.0, 8.1),
    ];
    for (kind, fields, starts, expected) in cases {
        let mut world =
            World::new(&format!("containers: [{{name: a, image: x, {kind}: {{tcpSocket: {{port: 80}}, {fields}}}}}]"));
        let begin = world.now;
        world.step();
        world.now = begin + SignedDuration::from_millis((starts * 1_000.0) as i64);
        world.settle();
        let (due, next) = probes::due(&world.pod, &world.observed, &world.memory, world.now);
        let first = if due.is_empty() { next.unwrap() } else { world.now };
        assert_eq!(
            first.duration_since(begin).as_millis() as f64 / 1_000.0,
            expected,
            "{kind} {{{fields}}} from {starts}"
        );
    }
}

#[test]
fn p2_a_condemned_container_is_not_probed_for_its_health_any_more() {
    let mut world = with_probes("livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 1}");
    world.wait(1);
    assert_eq!(world.probe(false), [(ProbeKind::Liveness, Verdict::Failed)]);
    world.step();
    world.wait(5);
    assert!(world.probe(false).is_empty(), "it is being stopped");
}

#[test]
fn p2_i8_a_sidecar_is_restarted_when_a_probe_of_it_fails() {
    for (kind, word) in [("livenessProbe", "liveness"), ("startupProbe", "startup")] {
        let mut world = World::new(&format!(
            "{{initContainers: [{{name: s, image: x, restartPolicy: Always, {kind}: {{tcpSocket: {{port: 1}}, periodSeconds: 1, failureThreshold: 1}}}}],
               containers: [{{name: web, image: x}}]}}"
        ));
        world.settle();
        world.wait(1);
        world.probe(false);
        assert_eq!(world.step(), [format!("event: Init container s failed {word} probe"), "stop s 30s".to_owned()]);
        assert_eq!(world.done()[0], "start s#1", "{word}");
    }
}

#[test]
fn p1_thresholds_count_equal_results_in_a_row() {
    use Verdict::{Failed, Passed, Same};
    let table = [
        (true, Same),
        (true, Passed),
        (true, Same),
        (false, Same),
        (true, Same),
        (false, Same),
        (false, Same),
        (false, Failed),
        (false, Same),
        (true, Same),
        (true, Passed),
    ];
    let mut world = with_probes(
        "readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, successThreshold: 2, failureThreshold: 3}",
    );
    for (row, (result, expected)) in table.into_iter().enumerate() {
        world.wait(1);
        assert_eq!(world.probe(result), [(ProbeKind::Readiness, expected)], "row {row}");
    }
}

#[test]
fn p2_a_failing_liveness_probe_restarts_the_container() {
    let mut world = with_probes(
        "livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 2, terminationGracePeriodSeconds: 7}",
    );
    world.wait(1);
    assert_eq!(world.probe(false), [(ProbeKind::Liveness, Verdict::Same)]);
    world.wait(1);
    assert_eq!(world.probe(false), [(ProbeKind::Liveness, Verdict::Failed)]);
    let log = world.step();
    assert_eq!(
        log,
        ["event: Container web failed liveness probe, will be restarted", "stop web 7s"],
        "the probe's grace"
    );
    assert_eq!(world.done(), ["start web#1"]);
    world.done();
    assert_eq!(world.state("web"), "Running");
    assert_eq!(world.probe(false), [(ProbeKind::Liveness, Verdict::Same)], "the new attempt is judged anew");
}

#[test]
fn p2_a_container_that_is_not_to_run_again_is_not_said_to_be_restarted() {
    let cases = [
        ("Never", "", false),
        ("OnFailure", "", true),
        ("Never", ", restartPolicy: OnFailure", true),
        ("Always", ", restartPolicy: Never", false),
    ];
    for (of_pod, own, restarts) in cases {
        let mut world = World::running(&format!(
            "{{restartPolicy: {of_pod}, containers: [{{name: web, image: x{own},
               livenessProbe: {{tcpSocket: {{port: 80}}, periodSeconds: 1, failureThreshold: 1}}}}]}}"
        ));
        world.wait(1);
        world.probe(false);
        let suffix = if restarts { ", will be restarted" } else { "" };
        assert_eq!(world.step()[0], format!("event: Container web failed liveness probe{suffix}"), "{of_pod}{own}");
    }
}

#[test]
fn p3_a_failing_readiness_probe_takes_the_pod_out_of_service_and_restarts_nothing() {
    let mut world = with_probes("readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1, failureThreshold: 1}");
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [web]");
    assert_eq!((world.phase(), world.state("web").as_str()), ("Running", "Running"));
    world.wait(1);
    world.probe(true);
    assert_eq!(world.step(), [""; 0]);
    assert_eq!((world.truth("Ready").as_str(), world.truth("ContainersReady").as_str()), ("True", "True"));
    world.wait(1);
    world.probe(false);
    assert_eq!(world.step(), [""; 0]);
    assert_eq!(world.truth("Ready"), "False:ContainersNotReady: containers with unready status: [web]");
}

#[test]
fn p4_while_the_startup_probe_has_not_passed_the_others_do_not_run() {
    let mut world = with_probes(
        "startupProbe: {tcpSocket: {port: 80}, periodSeconds: 1}, livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1},
         readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}",
    );
    world.wait(1);
    assert_eq!(world.probe(false), [(ProbeKind::Startup, Verdict::Same)]);
    assert_eq!(world.status("web").started, Some(false));
    world.wait(1);
    assert_eq!(world.probe(true), [(ProbeKind::Startup, Verdict::Passed)]);
    world.step();
    assert_eq!((world.status("web").started, world.status("web").ready), (Some(true), false));
    assert_eq!(world.probe(true), [(ProbeKind::Liveness, Verdict::Same)]);
    world.now += SignedDuration::from_millis(100);
    assert_eq!(world.probe(true), [(ProbeKind::Readiness, Verdict::Passed)], "as soon as it is seen to have started");
    world.step();
    assert_eq!(world.truth("Ready"), "True");
}

#[test]
fn once_a_pod_is_to_end_only_its_readiness_is_still_probed() {
    let mut world = with_probes(
        "livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}, readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}",
    );
    world.delete(30);
    world.wait(1);
    assert_eq!(world.probe(true), [(ProbeKind::Readiness, Verdict::Passed)]);
}
