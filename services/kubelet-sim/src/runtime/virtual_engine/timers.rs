//! One timer wheel for all containers of an engine.
//!
//! A container that runs for a while, or that was told to stop, has one entry in a single delay queue instead of a task of its own,
//! so that thousands of idle containers cost memory but no processor time. The queue only says *when to look*: whether the
//! container really exits is decided against its state, so a timer that is late, early or superseded does no harm.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::time::{DelayQueue, delay_queue};

use super::VirtualEngine;

/// Where timers are set. Unbounded, because there is at most one live entry per container.
pub(super) type Timers = mpsc::UnboundedSender<(String, Duration)>;

/// The receiving end, driven by [`run`].
pub(super) type Wheel = mpsc::UnboundedReceiver<(String, Duration)>;

/// Calls the engine back when a container's time has come. Setting a timer again replaces the earlier one. Ends with the engine.
pub(super) async fn run(engine: Weak<VirtualEngine>, mut wheel: Wheel) {
    let mut queue = DelayQueue::new();
    let mut keys: HashMap<String, delay_queue::Key> = HashMap::new();
    loop {
        tokio::select! {
            set = wheel.recv() => {
                let Some((container, after)) = set else { return };
                if let Some(key) = keys.get(&container) {
                    queue.reset(key, after);
                } else {
                    let key = queue.insert(container.clone(), after);
                    keys.insert(container, key);
                }
            }
            Some(due) = queue.next(), if !queue.is_empty() => {
                let container = due.into_inner();
                keys.remove(&container);
                let Some(engine) = engine.upgrade() else { return };
                engine.look_at(&container);
            }
        }
    }
}
