//! The runtime in the box: containers that are only described, never run.
//!
//! It keeps CRI's contract to the letter (sandboxes, attempts, stop with a timeout, events), while an image [catalogue](super::catalogue) and
//! the pod's annotations say how long things take and how they end. Time is tokio's, so tests can pause it; a container at rest costs some
//! memory and at most one entry in a timer wheel, so that thousands fit on one core.
//!
//! Invariants:
//! - all state is behind one lock, which is never held across an await;
//! - each change is, under that lock, made, journalled and sent to subscribers, so all three agree on the order;
//! - a container exits once, with the earliest exit that was due.

mod access;
mod addresses;
mod command;
mod containers;
mod images;
mod journal;
mod recovery;
mod sandboxes;
mod service;
mod state;
mod timers;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use service_kit::Clock;
use tokio::sync::mpsc;

use super::behaviour::Behaviour;
use super::catalogue::Catalogue;
use super::image_name::ImageName;
use super::{Result, RuntimeError};
use crate::cri;
pub use journal::{Journal, Recovered};
use state::State;
use timers::Timers;

/// How many changes a subscriber may lag behind before it is cut off and has to list.
const SUBSCRIBER_BUFFER: usize = 4_096;

/// One node's simulated runtime.
pub struct VirtualEngine {
    node: String,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    timers: Timers,
    journal: Option<Journal>,
    state: Mutex<State>,
    subscribers: Mutex<Vec<mpsc::Sender<cri::ContainerEventResponse>>>,
    /// The time of the last event or answer.
    last_stamp: AtomicI64,
}

impl VirtualEngine {
    /// An engine for `node`, as it was when its journal was last written. Must be called inside a tokio runtime; its timers end
    /// with the last handle.
    pub fn new(
        node: &str,
        catalogue: Arc<Catalogue>,
        clock: Clock,
        journal: Option<(Journal, &mut Recovered)>,
    ) -> Arc<Self> {
        let (timers, wheel) = mpsc::unbounded_channel();
        let (journal, records) = match journal {
            Some((journal, recovered)) => (Some(journal), recovered.take(node)),
            None => (None, Vec::new()),
        };
        let engine = Arc::new(Self {
            node: node.to_owned(),
            catalogue,
            clock,
            timers,
            journal,
            state: Mutex::default(),
            subscribers: Mutex::default(),
            last_stamp: AtomicI64::new(0),
        });
        tokio::spawn(timers::run(Arc::downgrade(&engine), wheel));
        engine.recover(records);
        engine
    }

    /// The scheme of the container ids that users see.
    pub fn name(&self) -> &'static str {
        service::RUNTIME_NAME
    }

    /// Wall time as CRI counts it.
    fn now(&self) -> i64 {
        // Nanoseconds overflow in the year 2262.
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The time of an event or an answer: later than all before, however coarse the clock. Called under the state's lock.
    fn stamp(&self) -> i64 {
        let stamp = self.now().max(self.last_stamp.load(Ordering::Relaxed) + 1);
        self.last_stamp.store(stamp, Ordering::Relaxed);
        stamp
    }

    /// How an image behaves in a pod with these annotations. An impossible annotation is the pod author's mistake and said so.
    fn behaviour(&self, image: &str, pod: &cri::PodSandboxConfig, container: &str) -> Result<Behaviour> {
        let mut behaviour = match ImageName::parse(image) {
            Ok(name) => self.catalogue.behaviour(&name),
            Err(_) => Behaviour::default(),
        };
        behaviour.annotate(&pod.annotations, container).map_err(|wrong| {
            RuntimeError::unknown(format!("annotation {}{wrong}", super::behaviour::ANNOTATION_PREFIX))
        })?;
        Ok(behaviour)
    }

    /// Lets the timer wheel look at a container when wall time reaches `at`.
    fn look_again(&self, container: &str, at: i64) {
        let after = Duration::from_nanos(u64::try_from(at - self.now()).unwrap_or(0));
        // The wheel is gone only when the tokio runtime is.
        let _ = self.timers.send((container.to_owned(), after));
    }

    /// Sends the state of a pod to whoever listens. Called under the state's lock, right after the change.
    fn publish(&self, state: &State, sandbox: &str, id: &str, change: cri::ContainerEventType) {
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| !subscriber.is_closed());
        if subscribers.is_empty() {
            return;
        }
        let Some(sandbox) = state.sandboxes.get(sandbox) else { return };
        let event = cri::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: change.into(),
            created_at: self.stamp(),
            pod_sandbox_status: Some(sandbox.status()),
            containers_statuses: sandbox
                .containers
                .iter()
                .filter_map(|id| state.containers.get(id))
                .map(state::Container::status)
                .collect(),
        };
        // Whoever does not keep up is dropped, and learns it from the end of the stream.
        subscribers.retain(|subscriber| subscriber.try_send(event.clone()).is_ok());
    }
}

impl std::fmt::Debug for VirtualEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualEngine").field("node", &self.node).finish_non_exhaustive()
    }
}

/// 64 random hexadecimal digits, as ids of containers and sandboxes are.
fn new_id() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}
