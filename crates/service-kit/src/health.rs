//! Health as Kubernetes shows it: `/healthz`, `/livez` and `/readyz`, made of named checks.
//!
//! Alive means that a restart would not help; ready means that work sent here gets done. A *live* check counts for all three
//! endpoints, a *ready* check for `/readyz` only, so that a component that waits for its caches is not restarted for it:
//! <https://kubernetes.io/docs/reference/using-api/health-checks/>.
//!
//! The body names the failing checks and withholds the reasons, for anyone may ask; the reasons are logged, once per change.

mod routes;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use parking_lot::RwLock;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::shutdown::Shutdown;

/// The longest a check may take. Probes give up after 1 s by default, and an answer that names the slow check helps more.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);

/// The named checks of a component. Clones share them; checks may be added at any time.
#[derive(Clone)]
pub struct Health {
    checks: Arc<RwLock<Vec<Arc<Check>>>>,
}

/// What a check answers: well, or the reason why not.
pub type CheckResult = Result<(), String>;

struct Check {
    name: String,
    scope: Scope,
    probe: Box<dyn Fn() -> BoxFuture<'static, CheckResult> + Send + Sync>,
    /// The last answer, to log changes only.
    /// True at first: a check that does not pass yet is no news, one that has passed and fails is.
    was_failing: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Live,
    Ready,
}

/// The endpoints that ask for health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Healthz,
    Livez,
    Readyz,
}

impl Endpoint {
    fn asks(self, scope: Scope) -> bool {
        scope == Scope::Live || self == Self::Readyz
    }

    fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

impl Health {
    /// Health with the one check that every process passes: `ping`, which says that it answers at all.
    pub fn new() -> Self {
        let health = Self { checks: Arc::default() };
        health.live("ping", || async { Ok(()) });
        health
    }

    /// Adds a check that counts for `/healthz`, `/livez` and `/readyz`: while it fails, a restart may help.
    pub fn live<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CheckResult> + Send + 'static,
    {
        self.add(name.into(), Scope::Live, check);
    }

    /// Adds a check that counts for `/readyz` only: while it fails, work should go elsewhere.
    pub fn ready<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CheckResult> + Send + 'static,
    {
        self.add(name.into(), Scope::Ready, check);
    }

    /// Adds a ready check that fails until its gate is opened ("caches are filled").
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let gate = Gate(Arc::new(AtomicBool::new(false)));
        let seen = gate.clone();
        self.ready(name, move || {
            let result = if seen.is_open() { Ok(()) } else { Err("not reached yet".to_owned()) };
            async { result }
        });
        gate
    }

    /// Adds the ready check `shutdown`, which fails from the signal to stop on, so that no new work is sent here.
    pub fn not_ready_after(&self, shutdown: &Shutdown) {
        let shutdown = shutdown.clone();
        self.ready("shutdown", move || {
            let result = if shutdown.is_triggered() { Err("stopping".to_owned()) } else { Ok(()) };
            async { result }
        });
    }

    /// Whether every check passes, for those who ask in process (the gRPC health service).
    pub async fn is_ready(&self) -> bool {
        self.run(Endpoint::Readyz).await.iter().all(|(_, result)| result.is_ok())
    }

    fn add<F, Fut>(&self, name: String, scope: Scope, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CheckResult> + Send + 'static,
    {
        let probe = Box::new(move || check().boxed());
        let check = Check { name, scope, probe, was_failing: AtomicBool::new(true) };
        self.checks.write().push(Arc::new(check));
    }

    /// Runs the checks of an endpoint at the same time; results are in the order in which the checks were added.
    async fn run(&self, endpoint: Endpoint) -> Vec<(String, CheckResult)> {
        let checks: Vec<_> = self.checks.read().iter().filter(|check| endpoint.asks(check.scope)).cloned().collect();
        join_all(checks.into_iter().map(|check| async move {
            let result = check.run().await;
            (check.name.clone(), result)
        }))
        .await
    }

    /// Runs one check of an endpoint by name.
    async fn run_one(&self, endpoint: Endpoint, name: &str) -> Option<CheckResult> {
        let check =
            self.checks.read().iter().find(|check| check.name == name && endpoint.asks(check.scope)).cloned()?;
        Some(check.run().await)
    }
}

impl Check {
    async fn run(&self) -> CheckResult {
        let result = timeout(CHECK_TIMEOUT, (self.probe)())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {CHECK_TIMEOUT:?}")));
        let failing = result.is_err();
        if self.was_failing.swap(failing, Ordering::Relaxed) != failing {
            match &result {
                Ok(()) => info!(check = self.name, "health check passes"),
                Err(reason) => warn!(check = self.name, reason, "health check fails"),
            }
        }
        result
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.read().iter().map(|check| &check.name)).finish()
    }
}

/// Opens a ready check made by [`Health::gate`].
#[derive(Clone, Debug)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets the check pass.
    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lets the check fail again.
    pub fn close(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the check passes.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
