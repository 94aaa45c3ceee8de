//! One timer for all nodes of the process: each is measured, and makes room where it is short of something.
//!
//! There is no event that tells that a pod uses more memory, so this looks, as Kubernetes' kubelet does. A look at a node that is well asks
//! the runtime for its statistics and does nothing else.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::eviction::Evictor;
use crate::image_gc::Collector;

/// How soon is looked again while an evicted pod is on its way out.
const SOON: Duration = Duration::from_secs(1);

/// Who keeps room on one node.
pub(super) struct Housekeeper {
    evictor: Evictor,
    images: Collector,
    /// An evicted pod was on its way out at the last look.
    waits: bool,
}

impl Housekeeper {
    pub(super) fn new(evictor: Evictor, images: Collector) -> Self {
        Self { evictor, images, waits: false }
    }

    async fn look(&mut self) {
        self.evictor.pass(&mut self.images).await;
        self.waits = self.evictor.waits();
    }
}

/// Keeps house for ever.
pub(super) async fn keep_house(mut nodes: Vec<Housekeeper>, every: Duration, collect_every: Duration) {
    let mut tick = interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut collect = interval_at(Instant::now() + collect_every, collect_every);
    collect.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What is there now has been there for long.
    for node in &mut nodes {
        node.images.look().await;
    }
    loop {
        let waits = nodes.iter().any(|node| node.waits);
        tokio::select! {
            _ = tick.tick() => {
                for node in &mut nodes {
                    node.look().await;
                    yield_now().await;
                }
            }
            _ = collect.tick() => {
                for node in &mut nodes {
                    node.images.collect().await;
                    yield_now().await;
                }
            }
            () = sleep(SOON), if waits => {
                for node in nodes.iter_mut().filter(|node| node.waits && !node.evictor.waits()) {
                    node.look().await;
                }
            }
        }
    }
}
