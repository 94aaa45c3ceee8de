//! The time, as an argument.
//!
//! Whatever needs to know what time it is holds a [`Clock`], so that a test decides it. A clock answers two questions: the
//! wall time, which goes into objects and traces, and an instant, which measures how long something took. Waits are tokio's
//! (`tokio::time::sleep`), which tests pause; only where time may go at another pace than the world's, because it is simulated, waits
//! are the clock's ([`Clock::sleep`]).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pace::Pace;

/// A cheap handle on a source of time. Clones read the same source.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// The machine's wall clock and tokio's instants.
    System,
    /// A wall clock that starts somewhere and advances exactly as tokio's time does, paused or not.
    Tokio { wall: Timestamp, start: Instant },
    /// Stands still until a [`ManualClock`] moves it.
    Manual { wall: Timestamp, start: Instant, elapsed: Arc<Mutex<Duration>> },
    /// Simulated.
    Paced(Arc<Pace>),
}

impl Clock {
    /// The machine's time. The wall clock may be set back by its owner; never measure a duration with it.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Wall time that begins at `wall` now and follows tokio's time: under `tokio::time::pause` a sleep of 10 s advances both
    /// the wall time and the instant by exactly 10 s. For tests of concurrent code.
    pub fn following_tokio(wall: Timestamp) -> Self {
        Self(Source::Tokio { wall, start: Instant::now() })
    }

    /// A clock that always says `wall`. For tests of pure code.
    pub fn fixed(wall: Timestamp) -> Self {
        Self::manual(wall).0
    }

    /// A clock that says `wall` until its [`ManualClock`] moves it. For tests of pure code.
    pub fn manual(wall: Timestamp) -> (Self, ManualClock) {
        let elapsed = Arc::new(Mutex::new(Duration::ZERO));
        let clock = Self(Source::Manual { wall, start: Instant::now(), elapsed: Arc::clone(&elapsed) });
        (clock, ManualClock { elapsed })
    }

    /// Time that goes `factor` times as fast as the machine's from now on.
    pub fn scaled(factor: f64) -> Self {
        Self(Source::Paced(Arc::new(Pace::new(factor, Timestamp::now()))))
    }

    /// Time that stands still except when it is stepped. Unlike with [`Clock::manual`], whoever sleeps by it wakes up then.
    pub fn stepped() -> (Self, Stepper) {
        let pace = Arc::new(Pace::new(0.0, Timestamp::now()));
        (Self(Source::Paced(Arc::clone(&pace))), Stepper(pace))
    }

    /// Returns when this clock has gone on by so much.
    pub async fn sleep(&self, by: Duration) {
        match &self.0 {
            Source::Paced(pace) => match pace.instant().checked_add(by) {
                Some(end) => pace.sleep_until(end).await,
                None => std::future::pending().await,
            },
            _ => tokio::time::sleep(by).await,
        }
    }

    /// Returns when this clock has reached an [`Clock::instant`].
    pub async fn sleep_until(&self, instant: Instant) {
        match &self.0 {
            Source::Paced(pace) => pace.sleep_until(instant).await,
            _ => tokio::time::sleep_until(instant).await,
        }
    }

    /// The time of the world when it was `simulated` by this clock. The same, unless its pace is another.
    pub fn real_at(&self, simulated: Timestamp) -> Timestamp {
        match &self.0 {
            Source::Paced(pace) => pace.real_at(simulated),
            _ => simulated,
        }
    }

    /// The time by this clock when it was `real` in the world.
    pub fn simulated_at(&self, real: Timestamp) -> Timestamp {
        match &self.0 {
            Source::Paced(pace) => pace.simulated_at(real),
            _ => real,
        }
    }

    /// The time of the world now. The same as [`Clock::now`], unless the clock's pace is another.
    pub fn world(&self) -> Timestamp {
        match &self.0 {
            Source::Paced(pace) => pace.world(),
            _ => self.now(),
        }
    }

    /// Whether it goes at another pace than the world.
    pub fn is_simulated(&self) -> bool {
        matches!(self.0, Source::Paced(_))
    }

    /// The wall time, in UTC.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Tokio { wall, start } => later(*wall, start.elapsed()),
            Source::Manual { wall, elapsed, .. } => later(*wall, *elapsed.lock()),
            Source::Paced(pace) => pace.now(),
        }
    }

    /// A point in time that never goes backwards. Comparable only with instants of the same clock.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System | Source::Tokio { .. } => Instant::now(),
            Source::Manual { start, elapsed, .. } => *start + *elapsed.lock(),
            Source::Paced(pace) => pace.instant(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Moves the [`Clock`] it was made with.
#[derive(Clone, Debug)]
pub struct ManualClock {
    elapsed: Arc<Mutex<Duration>>,
}

impl ManualClock {
    /// Moves the wall time and the instant forward.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock() += by;
    }
}

/// Steps the [`Clock`] it was made with.
#[derive(Clone, Debug)]
pub struct Stepper(Arc<Pace>);

impl Stepper {
    /// Moves time forward, and wakes whoever sleeps up to then.
    pub fn step(&self, by: Duration) {
        self.0.step(by);
    }
}

fn later(wall: Timestamp, by: Duration) -> Timestamp {
    // Beyond the year 9999, where jiff ends, a clock may as well stand still.
    wall.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn wall_time_and_instant_follow_paused_time_together() {
        let clock = Clock::following_tokio(noon());
        let start = clock.instant();
        tokio::time::sleep(Duration::from_millis(10_250)).await;
        assert_eq!(clock.now(), "2026-01-01T12:00:10.25Z".parse().unwrap());
        assert_eq!(clock.instant() - start, Duration::from_millis(10_250));
        assert_eq!(clock.clone().now(), clock.now(), "clones read the same source");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let (clock, hand) = Clock::manual(noon());
        let start = clock.instant();
        assert_eq!(clock.now(), noon());
        hand.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), "2026-01-01T12:01:30Z".parse().unwrap());
        assert_eq!(clock.instant() - start, Duration::from_secs(90));
        assert_eq!(Clock::fixed(noon()).now(), noon());
    }

    #[test]
    fn the_system_clock_is_the_machines() {
        let before = Timestamp::now();
        let now = Clock::system().now();
        assert!(before <= now && now <= Timestamp::now());
    }

    #[tokio::test(start_paused = true)]
    async fn scaled_time_goes_faster_and_tells_when_it_was_in_the_world() {
        let clock = Clock::scaled(10.0);
        let (began, real) = (clock.now(), Instant::now());
        clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(real.elapsed().as_millis() / 10, 600);
        let now = clock.now();
        assert_eq!(now.duration_since(began).as_secs(), 60);
        assert_eq!(clock.real_at(now).duration_since(clock.real_at(began)).as_secs_f64().round(), 6.0);
        assert_eq!(clock.simulated_at(clock.real_at(now)).duration_since(now).as_secs(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn stepped_time_stands_still_and_wakes_sleepers_when_it_moves() {
        let (clock, stepper) = Clock::stepped();
        let began = clock.now();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(30)).await }
        });
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(clock.now(), began);
        stepper.step(Duration::from_secs(29));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!sleeper.is_finished());
        stepper.step(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now().duration_since(began).as_secs(), 30);
        let within = began + jiff::SignedDuration::from_secs(10);
        assert_eq!(clock.real_at(within).duration_since(began).as_secs(), 3_600, "it happened when the step was made");
    }

    #[test]
    fn time_beyond_the_calendar_stands_still() {
        let (clock, hand) = Clock::manual(noon());
        hand.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
