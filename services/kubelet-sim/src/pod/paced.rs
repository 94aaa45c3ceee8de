//! A pod's times, where its containers live at another pace than the world (`--time-scale`).
//!
//! Inside a worker all times are those of its clock, so that the state machine can reckon with them. Outside all are the world's: a container
//! that ran for a simulated minute at ten times the pace is reported as one that ran for six seconds. The apiserver keeps whole seconds, so
//! a time that went out and came back is not quite what it was; [`settled`] makes it so from the start, or the worker would see a
//! difference and write it again for ever.
//!
//! With an ordinary clock all three functions do nothing.

use std::sync::Arc;

use api::core::v1::{ContainerState, Pod, PodStatus};
use api::meta::v1::Time;
use jiff::{Timestamp, Unit};
use service_kit::Clock;

/// A pod from the apiserver, as its worker sees it.
pub(super) fn simulated(clock: &Clock, pod: Arc<Pod>) -> Arc<Pod> {
    changed(clock, pod, |time| clock.simulated_at(time))
}

/// A pod from its worker, as the apiserver keeps it.
pub(super) fn real(clock: &Clock, pod: Arc<Pod>) -> Arc<Pod> {
    changed(clock, pod, |time| whole(clock.real_at(time)))
}

/// A status with only such times as remain what they are when they go out and come back.
pub(super) fn settled(clock: &Clock, mut status: PodStatus) -> PodStatus {
    if clock.is_simulated() {
        each(&mut status, &|time| clock.simulated_at(whole(clock.real_at(time))));
    }
    status
}

fn changed(clock: &Clock, pod: Arc<Pod>, change: impl Fn(Timestamp) -> Timestamp) -> Arc<Pod> {
    if !clock.is_simulated() {
        return pod;
    }
    let mut pod = Arc::unwrap_or_clone(pod);
    each(&mut pod.status, &change);
    Arc::new(pod)
}

/// The next whole second: never before a step that made it.
fn whole(time: Timestamp) -> Timestamp {
    // The clock's own arithmetic is off by some nanoseconds.
    let time = time.round(Unit::Microsecond).unwrap_or(time);
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(time)
}

fn each(status: &mut PodStatus, change: &impl Fn(Timestamp) -> Timestamp) {
    let apply = |slot: &mut Option<Time>| {
        if let Some(time) = slot.as_ref().and_then(Time::timestamp) {
            let time = change(time);
            *slot = Some(Time { seconds: time.as_second(), nanos: time.subsec_nanosecond() });
        }
    };
    let in_state = |state: &mut ContainerState| {
        if let Some(running) = &mut state.running {
            apply(&mut running.started_at);
        }
        if let Some(terminated) = &mut state.terminated {
            apply(&mut terminated.started_at);
            apply(&mut terminated.finished_at);
        }
    };
    apply(&mut status.start_time);
    for condition in &mut status.conditions {
        apply(&mut condition.last_transition_time);
        apply(&mut condition.last_probe_time);
    }
    let containers = status.container_statuses.iter_mut().chain(&mut status.init_container_statuses);
    for container in containers {
        in_state(&mut container.state);
        in_state(&mut container.last_state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::core::v1::PodCondition;

    use super::*;

    fn pod(at: Timestamp) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.status.start_time = Some(at.into());
        pod.status.conditions = vec![PodCondition { last_transition_time: Some(at.into()), ..PodCondition::default() }];
        Arc::new(pod)
    }

    async fn survives(clock: &Clock, at: Timestamp) {
        let inside = settled(clock, pod(at).status.clone());
        let inside = Arc::new(Pod { status: inside, ..Pod::default() });
        let out = real(clock, Arc::clone(&inside));
        let back = simulated(clock, Arc::clone(&out));
        assert_eq!(back.status, inside.status, "{at}");
        assert_eq!(settled(clock, back.status.clone()), back.status, "{at}");
        assert_eq!(out.status.start_time.as_ref().unwrap().nanos, 0, "the apiserver keeps whole seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn times_go_out_and_come_back_as_they_were() {
        for factor in [0.5, 1.5, 10.0, 60.0] {
            let clock = Clock::scaled(factor);
            for _ in 0..20 {
                clock.sleep(Duration::from_millis(1_370)).await;
                survives(&clock, clock.now()).await;
            }
        }
        let (clock, stepper) = Clock::stepped();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(370)).await;
            stepper.step(Duration::from_millis(7_300));
            survives(&clock, clock.now()).await;
            survives(&clock, clock.now() - jiff::SignedDuration::from_secs(3)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_minute_is_reported_as_it_passed_in_the_world() {
        let clock = Clock::scaled(10.0);
        let began = clock.world();
        clock.sleep(Duration::from_secs(60)).await;
        let out = real(&clock, pod(clock.now()));
        let told = out.status.start_time.as_ref().unwrap().timestamp().unwrap();
        assert!((5..=8).contains(&told.duration_since(began).as_secs()), "{told} is about six seconds after {began}");
        let ordinary = pod(clock.now());
        assert!(Arc::ptr_eq(&real(&Clock::system(), Arc::clone(&ordinary)), &ordinary));
    }
}
