//! What the apiserver does unasked, so that nothing grows for ever and nothing is leaked.
//!
//! | task | how often | does |
//! |---|---|---|
//! | [`compaction`] | 5 min | forgets history that no watch needs any more |
//! | [`expiry`] | 1 min | deletes events that are over their time |
//! | cluster IP repair | 3 min | gives back addresses that no Service holds |
//! | [`emptying`] | on deletion | deletes what is in a namespace that is being deleted |
//!
//! All of them may run in several apiservers at once: every step is a compare-and-swap, and whoever is late finds it done. A failure is
//! logged and the next round tries again.

mod compaction;
mod emptying;
mod expiry;

#[cfg(test)]
mod tests;

pub(super) use emptying::Contents;

use std::future::Future;
use std::time::Duration;

use api::core::v1::{Event, Namespace, Service};
use service_kit::{Clock, OnFailure, Shutdown, Supervisor};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

use super::Lookup;
use super::cluster_ips::REPAIR_EVERY;
use super::registries::Registries;
use super::storage::Storage;
use emptying::Emptying;
use expiry::Expiry;

/// How often expired events are looked for. They may live as much longer than their time.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

impl Registries {
    /// Starts the tasks that keep house, until `shutdown`. Needs [`Storage::spawn`].
    pub fn spawn_housekeeping(&self, storage: &Storage, clock: &Clock, supervisor: &Supervisor, shutdown: &Shutdown) {
        let start = |name: &'static str, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let (storage, until) = (storage.clone(), shutdown.clone());
            supervisor.spawn(name, OnFailure::StopService, async move {
                // What is not in the caches yet looks as if it did not exist.
                let when_ready = async {
                    storage.ready().await;
                    task.await;
                };
                until.run_until_triggered(when_ready).await;
            });
        };
        let settings = storage.settings();
        if !settings.compaction_interval.is_zero() {
            let task = compaction::run(storage.store().clone(), settings.compaction_interval);
            start("compaction", Box::pin(task));
        }
        if !settings.event_ttl.is_zero() {
            let expiry = Expiry::new(storage, storage.lookup::<Event>(), settings.event_ttl);
            start("event expiry", Box::pin(expiry.run(clock.clone(), EXPIRE_EVERY)));
        }
        start("cluster IP repair", Box::pin(repair_cluster_ips(storage.clone(), clock.clone())));
        let emptying = Emptying::new(self.clone(), storage.lookup::<Namespace>());
        start("namespace emptying", Box::pin(emptying.run()));
    }
}

async fn repair_cluster_ips(storage: Storage, clock: Clock) {
    let services: Lookup<Service> = storage.lookup();
    let addresses = storage.cluster_ips();
    let mut rounds = rounds(REPAIR_EVERY);
    loop {
        rounds.tick().await;
        if let Err(error) = addresses.repair(&services, clock.now()).await {
            warn!(%error, "cluster IPs could not be compared with Services");
        }
    }
}

/// A first round at once, then one each period. A round that takes longer delays the next.
fn rounds(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
