//! Takes keys from a queue and runs a reconciler on them, inside the span that continues their causes.
//!
//! Invariant: every key that is taken is given back, whatever comes of its run; a run that panics has failed. Shutdown lets the runs that
//! have begun end, and begins no other. How long they may take is up to the calls they make, each of which ends in time.

use crate::{Expectations, Item, Key, WorkQueue};
use futures::FutureExt as _;
use service_kit::supervisor::panic_message;
use service_kit::{OnFailure, Shutdown, Supervisor};
use std::fmt::Display;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use telemetry::span::reconcile::RunSteps;
use telemetry::span::{ObjectRef, Reconcile, SpanExt, Timing, TraceMode, reconcile_span};
use telemetry::{Causes, TraceContext};
use tracing::{Instrument, Span, debug, error, warn};

/// A controller as its spans and logs know it.
#[derive(Debug, Clone, Copy)]
pub struct Controller {
    /// "replicaset".
    pub name: &'static str,
    /// Kind of the objects that its keys name.
    pub kind: &'static str,
    /// Steps of a journey that its watch, its queue and its runs are.
    pub steps: RunSteps,
    /// How its runs relate to their causes.
    pub mode: TraceMode,
    /// Runs at the same time, of different keys. At least 1.
    pub workers: usize,
}

/// How a run ended, if it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do until the next event.
    Done,
    /// The key shall run again after this time, even without an event.
    After(Duration),
    /// Somebody else was faster and changed what the run was about to write, which is nobody's fault: the key runs again with all its
    /// causes, when the cache shows the change or after a back-off.
    Overtaken,
}

/// A failed run of more attempts than this is logged as a warning; the first ones are often conflicts that pass.
const QUIET_ATTEMPTS: u32 = 3;

/// What is known about the trace of a run before it starts.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The context of the object's newest revision: a run without a cause links to it.
    pub last_known: TraceContext,
    /// Steps of a journey that this run is; the reconciler may name the run's own step later, when it knows what it did.
    pub steps: RunSteps,
}

/// What a queue may hold: the name of an object.
pub trait RunKey: Clone + Eq + Hash + Ord + Display + Send + Sync + 'static {
    /// The object as its spans name it. `kind` is the controller's.
    fn object<'a>(&'a self, kind: &'a str) -> ObjectRef<'a>;
}

impl RunKey for Key {
    fn object<'a>(&'a self, kind: &'a str) -> ObjectRef<'a> {
        ObjectRef { kind, namespace: &self.namespace, name: &self.name, uid: "" }
    }
}

/// Starts the workers; they end with the queue. A run that fails is tried again after a back-off, with the same causes.
///
/// `last_known` gives the context of an object's newest revision: a run without a cause links to it.
pub fn run<E: Display>(
    controller: Controller,
    queue: WorkQueue<Key>,
    last_known: impl Fn(&Key) -> TraceContext + Send + Sync + 'static,
    reconcile: impl AsyncFnShared<Key, E>,
    supervisor: &Supervisor,
    shutdown: &Shutdown,
) {
    let origin = move |key: &Key, _: &Causes| Some(Origin { last_known: last_known(key), steps: controller.steps });
    run_as(controller, queue, origin, reconcile, supervisor, shutdown);
}

/// The same for keys of any type, and for controllers whose runs are one step or another, depending on what caused them: `origin` decides
/// instead of [`Controller::steps`].
///
/// `None` from `origin` says that the caches do not show yet what the key's last run did. The run is postponed, with all its causes, until
/// the key is added again, as the missing events will do; or for [`Expectations::GIVE_UP`], if one of them was lost.
pub fn run_as<T: RunKey, E: Display>(
    controller: Controller,
    queue: WorkQueue<T>,
    origin: impl Fn(&T, &Causes) -> Option<Origin> + Send + Sync + 'static,
    reconcile: impl AsyncFnShared<T, E>,
    supervisor: &Supervisor,
    shutdown: &Shutdown,
) {
    let reconcile = Arc::new(reconcile);
    let origin = Arc::new(origin);
    for worker in 0..controller.workers.max(1) {
        let (queue, reconcile, origin) = (queue.clone(), Arc::clone(&reconcile), Arc::clone(&origin));
        let shutdown = shutdown.clone();
        supervisor.spawn(format!("{} worker {worker}", controller.name), OnFailure::StopService, async move {
            while let Some(item) = queue.next().await {
                let Some(origin) = origin(&item.key, &item.causes) else {
                    queue.postpone(item, Expectations::GIVE_UP);
                    continue;
                };
                let span = span(&controller, &item, origin);
                // The call itself is inside, too: what a closure does before it returns its future belongs to the run.
                let run = async { reconcile.call(item.key.clone(), item.causes.clone()).await };
                match AssertUnwindSafe(run).catch_unwind().instrument(span.clone()).await {
                    Ok(result) => finish(&controller, &queue, item, result, &span),
                    Err(panic) => panicked(&controller, &queue, item, &panic_message(panic.as_ref()), &span),
                }
                if shutdown.is_triggered() {
                    break;
                }
            }
        });
    }
}

/// An async function of a key and the causes of its run. Implemented by closures that return a future.
pub trait AsyncFnShared<T, E>: Send + Sync + 'static {
    /// One run.
    fn call(&self, key: T, causes: Causes) -> impl Future<Output = Result<Outcome, E>> + Send;
}

impl<T, E, F, Fut> AsyncFnShared<T, E> for F
where
    F: Fn(T, Causes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outcome, E>> + Send,
{
    fn call(&self, key: T, causes: Causes) -> impl Future<Output = Result<Outcome, E>> + Send {
        self(key, causes)
    }
}

fn span<T: RunKey>(controller: &Controller, item: &Item<T>, origin: Origin) -> Span {
    reconcile_span(&Reconcile {
        timing: Timing::starting_now(Some(item.enqueued_at)),
        steps: origin.steps,
        mode: controller.mode,
        attempt: item.attempt,
        last_known: origin.last_known,
        ..Reconcile::new(controller.name, item.key.object(controller.kind), &item.causes)
    })
}

fn finish<T: RunKey, E: Display>(
    controller: &Controller,
    queue: &WorkQueue<T>,
    item: Item<T>,
    result: Result<Outcome, E>,
    span: &Span,
) {
    match result {
        Ok(Outcome::Done) => queue.done(&item),
        Ok(Outcome::After(delay)) => {
            queue.done(&item);
            queue.add_after(item.key, delay);
        }
        Ok(Outcome::Overtaken) => {
            span.note("overtaken", Vec::new());
            queue.failed(item);
        }
        Err(error) => {
            span.fail("ReconcileError", &error);
            let (key, attempt) = (item.key.clone(), item.attempt);
            let delay = queue.failed(item);
            if attempt > QUIET_ATTEMPTS {
                warn!(controller = controller.name, %key, attempt, ?delay, %error, "the run failed, trying again");
            } else {
                debug!(controller = controller.name, %key, attempt, ?delay, %error, "the run failed, trying again");
            }
        }
    }
}

/// A bug that one object brings out must not take the others' controller away, nor be overlooked: each attempt is logged as an error.
fn panicked<T: RunKey>(controller: &Controller, queue: &WorkQueue<T>, item: Item<T>, message: &str, span: &Span) {
    span.fail("Panic", message);
    let (key, attempt) = (item.key.clone(), item.attempt);
    let delay = queue.failed(item);
    error!(controller = controller.name, %key, attempt, ?delay, message, "the run panicked, trying again; this is a bug");
}
