//! The frame of every `main`: telemetry, runtime, signals, an ending within bounds, and the exit code.
//!
//! ```no_run
//! # use traceplane_service_kit as service_kit;
//! fn main() -> std::process::ExitCode {
//!     // let config = Config::parse();
//!     let telemetry = telemetry::TelemetryConfig::new("scheduler");
//!     service_kit::run("scheduler", telemetry, async |shutdown| {
//!         shutdown.triggered().await;
//!         Ok::<(), std::io::Error>(())
//!     })
//! }
//! ```
//!
//! A service ends in one of these ways:
//!
//! | how | exit code |
//! |---|---|
//! | it ended by itself, or was asked to and did, without an error | 0 |
//! | it failed, panicked, or did not stop in time: one line `error: ...` on stderr | 1 |
//! | its flags were wrong (clap, before this runs) | 2 |
//! | a second SIGINT or SIGTERM | 128 + the signal's number |
//!
//! `docker stop` kills after 10 s; the bounds here, one after another, stay below that.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use futures::FutureExt;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use telemetry::TelemetryConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use crate::chain::Chain;
use crate::shutdown::Shutdown;
use crate::supervisor::{TaskError, panic_message};

/// How long a service may take to stop, from the signal on. Telemetry then has its own bound (2 s by default).
const GRACE: Duration = Duration::from_secs(7);
/// How long blocking calls of the runtime may take to end after that.
const RUNTIME_GRACE: Duration = Duration::from_millis(500);

const FAILURE: u8 = 1;

/// Runs a service to its end and says how the process should exit; `name` is the one in its first and last log lines.
///
/// `service` gets the [`Shutdown`] that SIGTERM and SIGINT trigger, and returns when it has stopped. When it returns by itself,
/// the signal is triggered for it, and work tracked by the `Shutdown` is waited for within the same bound.
pub fn run<F, Fut, E>(name: &str, telemetry: TelemetryConfig, service: F) -> ExitCode
where
    F: FnOnce(Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<TaskError>,
{
    run_within(Duration::ZERO, name, telemetry, service)
}

/// As [`run`], for a service that its operator gave `more` time to stop than services usually need.
pub fn run_within<F, Fut, E>(more: Duration, name: &str, telemetry: TelemetryConfig, service: F) -> ExitCode
where
    F: FnOnce(Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<TaskError>,
{
    ExitCode::from(run_to_code(GRACE + more, name, telemetry, service))
}

fn run_to_code<F, Fut, E>(grace: Duration, name: &str, telemetry: TelemetryConfig, service: F) -> u8
where
    F: FnOnce(Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<TaskError>,
{
    // Dropped last, so that the spans of the very end are sent too.
    let guard = match telemetry::init(telemetry) {
        Ok(guard) => guard,
        Err(error) => return report(&Failure::Error(error.into())),
    };
    crate::tls::install_provider();
    raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Error(error.into())),
    };
    info!(version = env!("CARGO_PKG_VERSION"), "{name} starts");
    let result = runtime.block_on(async {
        let shutdown = Shutdown::new();
        let signals = Signals::listen().map_err(|error| Failure::Error(error.into()))?;
        tokio::spawn(signals.obey(shutdown.clone()));
        to_end(service, shutdown, grace).await
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    info!(failed = result.is_err(), "{name} ends");
    drop(guard);
    result.map_or_else(|failure| report(&failure), |()| 0)
}

/// Runs the service until it ends or `grace` is over, counted from the signal to stop.
async fn to_end<F, Fut, E>(service: F, shutdown: Shutdown, grace: Duration) -> Result<(), Failure>
where
    F: FnOnce(Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<TaskError>,
{
    // Boxed, because a whole service is a large future.
    let service = Box::pin(AssertUnwindSafe(service(shutdown.clone())).catch_unwind());
    let mut service = pin!(service);
    let early = tokio::select! {
        ended = service.as_mut() => Some(ended),
        () = shutdown.triggered() => None,
    };
    let deadline = Instant::now() + grace;
    shutdown.trigger();
    let result = match early {
        Some(ended) => outcome(ended),
        None => match timeout_at(deadline, service).await {
            Ok(ended) => outcome(ended),
            Err(_) => Err(Failure::StillRunning(grace)),
        },
    };
    if timeout_at(deadline, shutdown.finished()).await.is_err() {
        warn!(?grace, "some work did not end in time");
    }
    result
}

fn outcome<E: Into<TaskError>>(ended: Result<Result<(), E>, Box<dyn Any + Send>>) -> Result<(), Failure> {
    match ended {
        Ok(result) => result.map_err(|error| Failure::Error(error.into())),
        Err(panic) => Err(Failure::Panic(panic_message(panic.as_ref()))),
    }
}

/// Why a service did not end well.
#[derive(Debug)]
enum Failure {
    Error(TaskError),
    Panic(String),
    StillRunning(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => Chain(error.as_ref()).fmt(f),
            Self::Panic(message) => {
                write!(f, "a bug stopped the service (panic: {message}): please report it with the log")
            }
            Self::StillRunning(grace) => {
                write!(f, "the service did not stop within {grace:?}: see its log for what it waited for")
            }
        }
    }
}

/// The last word goes to stderr as it is: whoever started the process reads it, whatever the log's format and level.
fn report(failure: &Failure) -> u8 {
    eprintln!("error: {failure}");
    FAILURE
}

/// The signals that ask a process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> (&'static str, SignalKind) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
        }
    }

    /// The first signal stops the service, the second one ends the process where it stands.
    async fn obey(mut self, shutdown: Shutdown) {
        let (name, _) = self.next().await;
        info!(signal = name, "stopping; a second signal ends the process at once");
        shutdown.trigger();
        let (name, kind) = self.next().await;
        eprintln!("error: ended by a second {name} before everything had stopped");
        std::process::exit(128 + kind.as_raw_value());
    }
}

/// Lets the process open as many files as the system allows it: a thousand kubelets are more connections than the usual
/// soft limit of 1024, which is kept low only for programs that call select(2).
fn raise_open_files() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        debug!(%error, "cannot raise the limit of open files");
    }
}

#[cfg(test)]
mod tests;
