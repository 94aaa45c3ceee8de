//! A replica under test, and the times at which replicas worked.

use crate::objects::{Fate, Objects};
use api::coordination::v1::Lease;
use client::Api;
use parking_lot::Mutex;
use service_kit::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use testkit::scripted::{Network, ScriptedApiserver, ScriptedCall};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use traceplane_controller::{Election, elect};

/// When replicas worked: name, start, end.
pub(super) type Log = Arc<Mutex<Vec<(&'static str, Instant, Option<Instant>)>>>;

pub(super) struct Replica {
    name: &'static str,
    pub(super) network: Network,
    pub(super) shutdown: Shutdown,
    log: Log,
    /// The error it ended with.
    pub(super) ended: JoinHandle<Option<String>>,
}

/// How a replica differs from one that simply works.
pub(super) struct Options {
    pub(super) identity: &'static str,
    /// How long its work takes to stop.
    pub(super) stops_in: Duration,
    pub(super) succeeds_namesake: bool,
}

impl Options {
    pub(super) fn of(identity: &'static str) -> Options {
        Options { identity, stops_in: Duration::ZERO, succeeds_namesake: false }
    }
}

impl Replica {
    pub(super) fn start(name: &'static str, leases: &Objects<Lease>, log: &Log) -> Replica {
        Replica::start_with(name, leases, log, Options::of(name), |_| Fate::Served)
    }

    pub(super) fn start_with(
        name: &'static str,
        leases: &Objects<Lease>,
        log: &Log,
        options: Options,
        fate: impl FnMut(&ScriptedCall) -> Fate + Send + 'static,
    ) -> Replica {
        let (client, server) = ScriptedApiserver::start();
        let (network, shutdown) = (server.network(), Shutdown::new());
        leases.serve(server, fate);
        let api = Api::<Lease>::namespaced(client, "kube-system");
        let succeeds_namesake = options.succeeds_namesake;
        let election = Election { succeeds_namesake, ..Election::new("scheduler", options.identity) };
        let working = Working { name, log: Arc::clone(log) };
        let (stop, stops_in) = (shutdown.clone(), options.stops_in);
        let ended = tokio::spawn(async move {
            let led = elect(api, election, stop, async |leading: Shutdown| {
                let _working = working.begin();
                leading.triggered().await;
                sleep(stops_in).await;
            });
            Box::pin(led).await.err().map(|lost| lost.to_string())
        });
        Replica { name, network, shutdown, log: Arc::clone(log), ended }
    }

    /// Waits until it works; returns since when.
    pub(super) async fn works(&self) -> Instant {
        let since = || self.log.lock().iter().find(|(name, ..)| *name == self.name).map(|(_, start, _)| *start);
        timeout(Duration::from_secs(60), async {
            loop {
                match since() {
                    Some(start) => return start,
                    None => sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{} does not work: {:?}", self.name, self.log))
    }

    /// When its work ended.
    pub(super) fn worked_until(&self) -> Instant {
        let log = self.log.lock();
        log.iter().find(|(name, ..)| *name == self.name).and_then(|(.., end)| *end).expect("it worked and ended")
    }

    pub(super) fn has_worked(&self) -> bool {
        self.log.lock().iter().any(|(name, ..)| *name == self.name)
    }
}

struct Working {
    name: &'static str,
    log: Log,
}

impl Working {
    fn begin(self) -> Self {
        self.log.lock().push((self.name, Instant::now(), None));
        self
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut log = self.log.lock();
        if let Some((_, _, end)) = log.iter_mut().find(|(name, ..)| *name == self.name) {
            *end = Some(Instant::now());
        }
    }
}
