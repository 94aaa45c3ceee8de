//! Waiting for something to become true.

use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a condition is looked at. Tests look from outside, where nothing tells them of changes.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until `look` answers `Ok`; what it last answered instead is shown when `within` is over.
///
/// # Panics
/// The condition did not become true in time.
pub async fn eventually<T, E, F>(what: &str, within: Duration, mut look: F) -> T
where
    E: Display,
    F: AsyncFnMut() -> Result<T, E>,
{
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(value) => return value,
            Err(state) if Instant::now() >= deadline => panic!("{what}: not within {within:?}; last seen: {state}"),
            Err(_) => sleep(LOOK).await,
        }
    }
}
