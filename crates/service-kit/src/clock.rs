//! The time, as an argument.
//!
//! Whatever needs to know what time it is holds a [`Clock`], so that a test decides it. A clock answers two questions: the
//! wall time, which goes into objects and traces, and an instant, which measures how long something took. Waiting is not its
//! business: waits are tokio's (`tokio::time::sleep`), which tests pause.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

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

    /// The wall time, in UTC.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Tokio { wall, start } => later(*wall, start.elapsed()),
            Source::Manual { wall, elapsed, .. } => later(*wall, *elapsed.lock()),
        }
    }

    /// A point in time that never goes backwards. Comparable only with instants of the same clock.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System | Source::Tokio { .. } => Instant::now(),
            Source::Manual { start, elapsed, .. } => *start + *elapsed.lock(),
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

    #[test]
    fn time_beyond_the_calendar_stands_still() {
        let (clock, hand) = Clock::manual(noon());
        hand.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
