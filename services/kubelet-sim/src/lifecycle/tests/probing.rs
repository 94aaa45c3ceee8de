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
    assert_eq!(runs, [51, 81, 111, 141, 171]);
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
    assert!(world.probe(false).is_empty(), "the new attempt is judged anew, and from its start");
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
    let kinds: Vec<_> = world.probe(true).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [ProbeKind::Liveness, ProbeKind::Readiness]);
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
