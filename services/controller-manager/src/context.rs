//! What every controller is made from.
//!
//! A controller is registered first: it adds its indexes and handlers to the shared informers and takes their caches. Its workers start
//! when all caches are filled, so that no decision is made on a part of the cluster.

use crate::informers::Informers;
use api::{Error, Resource};
use client::{Api, Client};
use controller::{Outcome, Recorder};
use service_kit::{Clock, Shutdown, Supervisor};
use telemetry::TraceMode;
use tracing::debug;

/// How a run ends whose writes were refused because the cache was old: it is not an error, and the next run knows better.
pub fn settled(result: Result<Outcome, Error>) -> Result<Outcome, Error> {
    match result {
        Err(error) if error.is_conflict() || error.is_not_found() => {
            debug!(%error, "overtaken");
            Ok(Outcome::Overtaken)
        }
        result => result,
    }
}

/// Starts a registered controller's workers.
pub type Start = Box<dyn FnOnce() + Send>;

/// Handed to every controller when it is registered.
#[derive(Debug)]
pub struct Context {
    /// The apiserver, with our identity.
    pub client: Client,
    /// One informer per kind.
    pub informers: Informers,
    /// Watches over the workers.
    pub supervisor: Supervisor,
    /// Ends the workers: leadership is over, or the process.
    pub shutdown: Shutdown,
    /// How runs relate to their causes.
    pub mode: TraceMode,
    /// The time that decisions are made at.
    pub clock: Clock,
}

impl Context {
    /// A kind in all namespaces.
    pub fn api<K: Resource>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// The events of a component, such as "deployment-controller".
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder::start(self.api(), component, "", &self.supervisor, &self.shutdown)
    }
}
