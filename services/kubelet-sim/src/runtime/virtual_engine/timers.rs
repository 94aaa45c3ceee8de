//! One timer for all containers of an engine.
//!
//! A container that runs for a while, or that was told to stop, has one entry in a single ordered list instead of a task of its own, so that
//! thousands of idle containers cost a little memory and no processor time. The list only says *when to look*: whether the
//! container really exits is decided against its state, so a timer that is late, early or superseded does no harm.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use service_kit::Clock;
use tokio::sync::mpsc;

use super::VirtualEngine;

/// Where timers are set: a container, and the wall time in nanoseconds at which to look at it. Unbounded, because there is at most one
/// live entry per container.
pub(super) type Timers = mpsc::UnboundedSender<(Arc<str>, i64)>;

/// The receiving end, driven by [`run`].
pub(super) type Wheel = mpsc::UnboundedReceiver<(Arc<str>, i64)>;

/// Calls the engine back when a container's time has come. Setting a timer again replaces the earlier one. Ends with the engine.
pub(super) async fn run(engine: Weak<VirtualEngine>, clock: Clock, mut wheel: Wheel) {
    let mut due: BTreeSet<(i64, Arc<str>)> = BTreeSet::new();
    let mut times: HashMap<Arc<str>, i64> = HashMap::new();
    loop {
        let first = due.first().map(|(at, _)| *at);
        let wait = first.map(|at| Duration::from_nanos(u64::try_from(at - now(&clock)).unwrap_or(0)));
        tokio::select! {
            set = wheel.recv() => {
                let Some((container, at)) = set else { return };
                if let Some(before) = times.insert(Arc::clone(&container), at) {
                    due.remove(&(before, Arc::clone(&container)));
                }
                due.insert((at, container));
            }
            () = clock.sleep(wait.unwrap_or_default()), if wait.is_some() => {
                let Some(engine) = engine.upgrade() else { return };
                while let Some((_, container)) = due.first().filter(|(at, _)| *at <= now(&clock)).cloned() {
                    due.pop_first();
                    times.remove(&container);
                    engine.look_at(&container);
                }
            }
        }
    }
}

/// Wall time as CRI counts it.
pub(super) fn now(clock: &Clock) -> i64 {
    // Nanoseconds overflow in the year 2262.
    i64::try_from(clock.now().as_nanosecond()).unwrap_or(i64::MAX)
}
