//! Containers that live at another pace than the world.

use super::*;

const JOB: &str = "{restartPolicy: Never, containers: [{name: web, image: busybox:1, command: [sleep, '600']}]}";

fn finished(status: Option<&PodStatus>) -> bool {
    status.is_some_and(|status| status.phase == "Succeeded")
}

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_pace_ten_minutes_take_one() {
    let cluster = Cluster::at_pace(Clock::scaled(10.0), None).await;
    let began = cluster.clock.world();
    cluster.create(JOB);
    let took = cluster.until("finished", finished).await;
    assert!((60_000..61_500).contains(&took), "{took} ms");
    let status = cluster.status().unwrap();
    let ended = status.container_statuses[0].state.terminated.clone().unwrap();
    let lasted = |from: &Option<api::meta::v1::Time>, to: &Option<api::meta::v1::Time>| {
        let at = |time: &Option<api::meta::v1::Time>| time.as_ref().unwrap().timestamp().unwrap();
        at(to).duration_since(at(from)).as_secs()
    };
    assert!(
        (59..=61).contains(&lasted(&ended.started_at, &ended.finished_at)),
        "as long as it took for whoever watched: {ended:?}"
    );
    assert!(ended.finished_at.unwrap().timestamp().unwrap().duration_since(began).as_secs() <= 62);
    sleep(Duration::from_secs(1)).await;
    let writes = cluster.api.statuses.lock().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.api.statuses.lock().len(), writes, "what was written comes back as it was");
}

#[tokio::test(start_paused = true)]
async fn back_offs_probes_and_grace_periods_keep_pace() {
    let cluster = Cluster::at_pace(Clock::scaled(20.0), None).await;
    let probe = "readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 40, periodSeconds: 20}";
    cluster.create_with(&format!("containers: [{{name: web, image: nginx, {probe}}}]"), &[("term-time", "ignore")]);
    let took = cluster.until_ready().await;
    assert!((2_000..3_500).contains(&took), "ready after 40 s: {took} ms");
    cluster.delete(60);
    let took = cluster.until_gone().await;
    assert!((3_000..3_500).contains(&took), "killed after 60 s: {took} ms");

    cluster.create("containers: [{name: web, image: busybox:1, command: ['false']}]");
    cluster.until_waiting("CrashLoopBackOff").await;
    let restarted = |status: Option<&PodStatus>| status.is_some_and(|s| s.container_statuses[0].restart_count == 4);
    let took = cluster.until("restarted four times", restarted).await;
    assert!((3_000..4_500).contains(&took), "after 10, 20 and 40 s: {took} ms");
}

#[tokio::test(start_paused = true)]
async fn stepped_time_moves_containers_only_when_it_is_stepped() {
    let (clock, stepper) = Clock::stepped();
    let cluster = Cluster::at_pace(clock, None).await;
    cluster.create(JOB);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(cluster.status().unwrap().phase, "Pending", "nothing takes no time");
    // Each step of the start asks for a moment of its own.
    for _ in 0..20 {
        stepper.step(Duration::from_secs(1));
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(cluster.status().unwrap().phase, "Running");
    stepper.step(Duration::from_secs(570));
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(cluster.status().unwrap().phase, "Running");
    stepper.step(Duration::from_secs(30));
    let took = cluster.until("finished", finished).await;
    assert!(took < 1_000, "{took} ms");
    sleep(Duration::from_secs(1)).await;
    let writes = cluster.api.statuses.lock().len();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.api.statuses.lock().len(), writes);
}
