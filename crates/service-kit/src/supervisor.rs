//! Named tasks, each with a policy for its failure.
//!
//! A service is the sum of its tasks, so none may die unseen: a [`Supervisor`] knows each by name, treats a panic as the
//! failure it is, and acts by the task's policy. At the end it waits for all of them, within a bound, and names the ones that
//! did not stop.
//!
//! Failures after the signal to stop are logged and change nothing else: a task that loses its peer because both are stopping
//! did nothing wrong. A panic is never that, so it always counts.
//!
//! It does not order the tasks' ends; parts that must stop one after another get supervisors (and [`Shutdown`]s) of their own.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::backoff::Backoff;
use crate::shutdown::Shutdown;

/// The time that a service as a whole gives its tasks to stop, for [`Supervisor::wait`]: a little less than `run` gives the
/// service, so that the tasks that did not stop are named.
pub const STOP_WITHIN: Duration = Duration::from_secs(6);

/// What a task's failure means for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The service cannot do its work without the task: stop everything, and let the service end with this failure.
    StopService,
    /// The service can live without the task: log the failure and go on.
    Ignore,
}

/// The error of a task, of any type.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// What a task may end with: nothing, or a [`Result`] whose error is the task's failure.
pub trait Outcome {
    /// The outcome in its common form.
    fn into_result(self) -> Result<(), TaskError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), TaskError> {
        Ok(())
    }
}

impl<E: Into<TaskError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), TaskError> {
        self.map_err(Into::into)
    }
}

/// Why the tasks of a [`Supervisor`] did not all end well.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A task failed that the service cannot do without. The first such failure; later ones are in the log.
    #[error("task {task} failed")]
    Failed {
        /// The task's name.
        task: String,
        /// What it failed with.
        source: TaskError,
    },
    /// A task panicked that the service cannot do without. This is a bug.
    #[error("task {task} panicked: {message}")]
    Panicked {
        /// The task's name.
        task: String,
        /// What it panicked with.
        message: String,
    },
    /// Tasks were still running when the time to stop was over. They were aborted.
    #[error("{} did not stop within {within:?}", .tasks.join(", "))]
    StillRunning {
        /// The names of the tasks, in the order in which they were started.
        tasks: Vec<String>,
        /// The bound that was waited.
        within: Duration,
    },
}

/// Starts tasks, watches over them, and waits for their end. Clones share the tasks.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shutdown: Shutdown,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tasks: TaskTracker,
    running: Mutex<Running>,
    /// The failure that the service ends with; the first one is nearest to the cause.
    first_failure: Mutex<Option<SupervisorError>>,
}

#[derive(Debug, Default)]
struct Running {
    started: u64,
    by_number: BTreeMap<u64, (Arc<str>, AbortHandle)>,
}

impl Supervisor {
    /// Supervises tasks that belong to `shutdown`: a failure under [`OnFailure::StopService`] triggers it.
    ///
    /// The tasks are not told to stop by the supervisor; each holds the [`Shutdown`] and ends by itself.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self { shutdown: shutdown.clone(), shared: Arc::default() }
    }

    /// Starts a task. Names say what the task is for ("lease renewal") and need not be unique.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, on_failure: OnFailure, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let supervisor = self.clone();
        self.start(name.into(), |name| async move {
            if let Err(failure) = run_caught(task).await {
                supervisor.failed(&name, on_failure, failure);
            }
        });
    }

    /// Starts a task that is made anew after each failure, as often as it fails, waiting as `backoff` says. A task that had run
    /// for at least the back-off's cap is taken to have worked: its delays start over. One that ends well is not restarted.
    pub fn spawn_restarting<F, Fut>(&self, name: impl Into<Cow<'static, str>>, mut backoff: Backoff, mut make: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        let shutdown = self.shutdown.clone();
        self.start(name.into(), |name| async move {
            loop {
                let start = Instant::now();
                let Err(failure) = run_caught(make()).await else {
                    return;
                };
                if shutdown.is_triggered() {
                    return log_while_stopping(&name, &failure);
                }
                if start.elapsed() >= backoff.cap() {
                    backoff.reset();
                }
                let delay = backoff.next_delay();
                warn!(task = %name, %failure, ?delay, "task failed and will be restarted");
                if shutdown.run_until_triggered(sleep(delay)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Waits for the signal to stop, then for the tasks, at most `within`. Tasks that still run are aborted and named.
    ///
    /// The error is the first failure that stopped the service or, without one, the tasks that did not stop.
    pub async fn wait(&self, within: Duration) -> Result<(), SupervisorError> {
        self.shutdown.triggered().await;
        self.shared.tasks.close();
        let mut result = Ok(());
        if timeout(within, self.shared.tasks.wait()).await.is_err() {
            let tasks = self.abort_all();
            error!(tasks = tasks.join(", "), ?within, "tasks did not stop in time and were aborted");
            result = Err(SupervisorError::StillRunning { tasks, within });
        }
        self.shared.first_failure.lock().take().map_or(result, Err)
    }

    /// The names of the tasks that run now, in the order in which they were started.
    pub fn running(&self) -> Vec<String> {
        self.shared.running.lock().by_number.values().map(|(name, _)| name.to_string()).collect()
    }

    fn start<F, Fut>(&self, name: Cow<'static, str>, body: F)
    where
        F: FnOnce(Arc<str>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let name: Arc<str> = name.into();
        let body = body(Arc::clone(&name));
        // Held until the task is listed, so that a task that ends at once finds its entry to remove.
        let mut running = self.shared.running.lock();
        let number = running.started;
        running.started += 1;
        let entry = Entry { number, shared: Arc::clone(&self.shared) };
        let task = tokio::spawn(self.shutdown.track(self.shared.tasks.track_future(async move {
            let _entry = entry;
            body.await;
        })));
        running.by_number.insert(number, (name, task.abort_handle()));
    }

    fn failed(&self, name: &str, on_failure: OnFailure, failure: TaskFailure) {
        if on_failure == OnFailure::Ignore {
            warn!(task = %name, %failure, "task failed");
            return;
        }
        if self.shutdown.is_triggered() && matches!(failure, TaskFailure::Error(_)) {
            return log_while_stopping(name, &failure);
        }
        error!(task = %name, %failure, "task failed, stopping the service");
        let task = name.to_owned();
        self.shared.first_failure.lock().get_or_insert_with(|| match failure {
            TaskFailure::Error(source) => SupervisorError::Failed { task, source },
            TaskFailure::Panic(message) => SupervisorError::Panicked { task, message },
        });
        self.shutdown.trigger();
    }

    fn abort_all(&self) -> Vec<String> {
        let running = self.shared.running.lock();
        running
            .by_number
            .values()
            .map(|(name, task)| {
                task.abort();
                name.to_string()
            })
            .collect()
    }
}

/// Takes a task off the list of running ones when it ends, however it ends.
struct Entry {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.running.lock().by_number.remove(&self.number);
    }
}

enum TaskFailure {
    Error(TaskError),
    Panic(String),
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{}", crate::chain::Chain(error.as_ref())),
            Self::Panic(message) => write!(f, "panicked: {message}"),
        }
    }
}

async fn run_caught<F>(task: F) -> Result<(), TaskFailure>
where
    F: Future,
    F::Output: Outcome,
{
    // Nothing of the task is used after a panic, so nobody can see what it left half done.
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(outcome) => outcome.into_result().map_err(TaskFailure::Error),
        Err(panic) => Err(TaskFailure::Panic(panic_message(panic.as_ref()))),
    }
}

/// The text that a panic was raised with.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}

fn log_while_stopping(name: &str, failure: &TaskFailure) {
    debug!(task = %name, %failure, "task failed while stopping");
}
