//! The runtime in the box: containers that are only described, never run.
//!
//! It keeps CRI's contract to the letter (sandboxes, attempts, stop with a timeout, events), while an image [catalogue](super::catalogue) and
//! the pod's annotations say how long things take and how they end. Time is tokio's, so tests can pause it; a container at rest costs some
//! memory and at most one entry in a timer wheel, so that thousands fit on one core.
//!
//! Invariants:
//! - all state is behind one lock, which is never held across an await;
//! - each change is, under that lock, made, journalled and sent to subscribers, so all three agree on the order;
//! - a container exits once, with the earliest exit that was due;
//! - what containers print is not kept: it follows from their commands, their settings and the time.

mod access;
mod containers;
mod images;
mod inside;
mod insides;
mod journal;
mod network;
mod packed;
mod printed;
mod recovery;
mod running;
mod sandboxes;
mod service;
mod shell;
mod state;
mod stats;
mod streams;
mod timers;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_streams;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use service_kit::Clock;
use tokio::sync::{mpsc, watch};

use super::behaviour::Behaviour;
use super::catalogue::Catalogue;
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
    /// Something has happened in a container that whoever reads its log or runs a command there may want to know.
    changed: watch::Sender<()>,
    /// When this engine was made.
    born: i64,
    /// The time of the last event or answer.
    last_stamp: AtomicI64,
    /// For sessions, which outlive the calls that open them.
    me: Weak<Self>,
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
        let engine = Arc::new_cyclic(|me| Self {
            node: node.to_owned(),
            catalogue,
            born: timers::now(&clock),
            clock,
            timers,
            journal,
            state: Mutex::default(),
            subscribers: Mutex::default(),
            changed: watch::Sender::new(()),
            last_stamp: AtomicI64::new(0),
            me: Weak::clone(me),
        });
        tokio::spawn(timers::run(Arc::downgrade(&engine), engine.clock.clone(), wheel));
        engine.recover(records);
        engine
    }

    /// The scheme of the container ids that users see.
    pub fn name(&self) -> &'static str {
        service::RUNTIME_NAME
    }

    /// Wall time as CRI counts it.
    fn now(&self) -> i64 {
        timers::now(&self.clock)
    }

    /// Since when it is up.
    fn age(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.now() - self.born).unwrap_or(0))
    }

    /// Fails while the runtime is told to be down.
    fn is_up(&self) -> Result<()> {
        if self.catalogue.runtime.is_up(self.age()) {
            return Ok(());
        }
        let message = "connection error: desc = \"transport: Error while dialing: connection refused\"".to_owned();
        Err(RuntimeError { code: tonic::Code::Unavailable, message })
    }

    /// The time of an event or an answer: later than all before, however coarse the clock. Called under the state's lock.
    fn stamp(&self) -> i64 {
        let stamp = self.now().max(self.last_stamp.load(Ordering::Relaxed) + 1);
        self.last_stamp.store(stamp, Ordering::Relaxed);
        stamp
    }

    /// How an image behaves in a pod with these annotations. An impossible annotation is the pod author's mistake and said so.
    fn behaviour(&self, image: &str, pod: &cri::PodSandboxConfig, container: &str) -> Result<Arc<Behaviour>> {
        self.catalogue.of_container(image, &pod.annotations, container).map_err(|wrong| {
            RuntimeError::unknown(format!("annotation {}{wrong}", super::behaviour::ANNOTATION_PREFIX))
        })
    }

    /// Lets the timer wheel look at a container when wall time reaches `at`.
    fn look_again(&self, container: &str, at: i64) {
        // The wheel is gone only when the tokio runtime is.
        let _ = self.timers.send((container.into(), at));
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
