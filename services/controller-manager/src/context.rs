//! What every controller is made from.
//!
//! A controller is registered first: it adds its indexes and handlers to the shared informers and takes their caches. Its workers start
//! when all caches are filled, so that no decision is made on a part of the cluster.

use crate::informers::Informers;
use crate::metrics::ManagerMetrics;
use api::{Error, Resource};
use client::{Api, Client};
use controller::{Controller, Origin, Outcome, Recorder, RunKey, WorkQueue, run_as};
use service_kit::{Clock, Shutdown, Supervisor};
use telemetry::span::reconcile::RunSteps;
use telemetry::{Causes, TraceMode};
use tracing::debug;

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
    /// What is shown of the queues.
    pub metrics: ManagerMetrics,
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

    /// The workers of a controller, to be started: so many of them take keys of `kind` from the queue.
    ///
    /// `origin` says what is known about the trace of a run, or that it has to wait until the caches show the last one. A run whose writes
    /// were refused because the cache was old has not failed: the next one knows better.
    pub fn workers<T: RunKey, F: Future<Output = Result<Outcome, Error>> + Send>(
        &self,
        (name, kind, workers): (&'static str, &'static str, usize),
        queue: &WorkQueue<T>,
        origin: impl Fn(&T, &Causes) -> Option<Origin> + Send + Sync + 'static,
        reconcile: impl Fn(T, Causes) -> F + Send + Sync + 'static,
    ) -> Start {
        self.metrics.observe(name, queue);
        let controller = Controller { name, kind, steps: RunSteps::default(), mode: self.mode, workers };
        let (queue, supervisor, shutdown) = (queue.clone(), self.supervisor.clone(), self.shutdown.clone());
        let reconcile = move |key: T, causes: Causes| {
            let run = Box::pin(reconcile(key, causes));
            async move { unless_overtaken(run.await) }
        };
        Box::new(move || run_as(controller, queue, origin, reconcile, &supervisor, &shutdown))
    }
}

fn unless_overtaken(result: Result<Outcome, Error>) -> Result<Outcome, Error> {
    match result {
        Err(error) if error.is_conflict() || error.is_not_found() => {
            debug!(%error, "overtaken");
            Ok(Outcome::Overtaken)
        }
        result => result,
    }
}

/// Whether a create was refused because its namespace is being deleted.
pub fn is_namespace_terminating(error: &Error) -> bool {
    error.details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}
