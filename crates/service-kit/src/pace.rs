//! A pace of time other than the world's: several times as fast, or standing still until somebody steps it.
//!
//! Simulated time is a function of real time that never goes backwards. It is kept as the points at which its course changed, so that any
//! simulated time can be told as the real time at which it was, and the other way round.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// How time goes in a simulation.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Simulated seconds in a real one. Zero: time stands still between steps.
    factor: f64,
    /// Wall time when the simulation began, in both times.
    wall: Timestamp,
    /// The same moment for instants.
    start: Instant,
    /// Real and simulated time since then at which the course changed, in their order. The first is the beginning.
    points: watch::Sender<Vec<(Duration, Duration)>>,
}

impl Pace {
    pub(crate) fn new(factor: f64, wall: Timestamp) -> Self {
        let points = watch::Sender::new(vec![(Duration::ZERO, Duration::ZERO)]);
        Self { factor, wall, start: Instant::now(), points }
    }

    /// Simulated time since the beginning.
    fn elapsed(&self) -> Duration {
        self.simulated(self.start.elapsed())
    }

    pub(crate) fn now(&self) -> Timestamp {
        later(self.wall, self.elapsed())
    }

    pub(crate) fn world(&self) -> Timestamp {
        later(self.wall, self.start.elapsed())
    }

    pub(crate) fn instant(&self) -> Instant {
        self.start + self.elapsed()
    }

    pub(crate) fn step(&self, by: Duration) {
        let now = self.elapsed() + by;
        let real = self.start.elapsed();
        self.points.send_modify(|points| points.push((real, now)));
    }

    /// Returns when simulated time has reached an instant.
    pub(crate) async fn sleep_until(&self, instant: Instant) {
        let mut stepped = self.points.subscribe();
        loop {
            stepped.borrow_and_update();
            let missing = instant.saturating_duration_since(self.instant());
            if missing.is_zero() {
                return;
            }
            if self.factor > 0.0 {
                // A nanosecond more, because the division rounds.
                let real = missing.as_secs_f64() / self.factor;
                let real = Duration::try_from_secs_f64(real).unwrap_or(Duration::MAX);
                tokio::time::sleep(real.saturating_add(Duration::from_nanos(1))).await;
            } else {
                // Its sender is `self`.
                let _ = stepped.changed().await;
            }
        }
    }

    fn simulated(&self, real: Duration) -> Duration {
        let points = self.points.borrow();
        let (from, simulated) =
            points.iter().rev().find(|(at, _)| *at <= real).or(points.first()).copied().unwrap_or_default();
        simulated.saturating_add(scaled(real.saturating_sub(from), self.factor))
    }

    fn real(&self, simulated: Duration) -> Duration {
        let points = self.points.borrow();
        let next = points.iter().position(|(_, at)| *at > simulated).unwrap_or(points.len());
        let (from, at) = points[next.saturating_sub(1)];
        if self.factor > 0.0 {
            return from.saturating_add(scaled(simulated.saturating_sub(at), 1.0 / self.factor));
        }
        // Whatever lies within a step happened when the step was made.
        if simulated == at { from } else { points.get(next).map_or(from, |(real, _)| *real) }
    }

    /// The simulated time at a real time.
    pub(crate) fn simulated_at(&self, real: Timestamp) -> Timestamp {
        match since(self.wall, real) {
            Some(elapsed) => later(self.wall, self.simulated(elapsed)),
            // Before the beginning both are the same.
            None => real,
        }
    }

    /// The real time at a simulated time.
    pub(crate) fn real_at(&self, simulated: Timestamp) -> Timestamp {
        match since(self.wall, simulated) {
            Some(elapsed) => later(self.wall, self.real(elapsed)),
            None => simulated,
        }
    }
}

fn scaled(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn since(start: Timestamp, end: Timestamp) -> Option<Duration> {
    Duration::try_from(end.duration_since(start)).ok()
}

fn later(wall: Timestamp, by: Duration) -> Timestamp {
    wall.saturating_add(by).unwrap_or(Timestamp::MAX)
}
