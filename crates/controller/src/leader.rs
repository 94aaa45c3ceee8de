//! Leader election by Lease: of several replicas one works, the others wait (<https://kubernetes.io/docs/concepts/architecture/leases/>).
//!
//! ```text
//! Waiting --lease free or expired, update won--> Leading --renewal failed for renew_deadline, or lost--> over
//! ```
//!
//! The time on another replica's lease is compared with our own clock only through how long *we* have seen it unchanged, so clocks need not
//! agree. Losing the lease is final: [`elect`] ends the service, and a fresh process tries again. A replica that shuts down in good order
//! gives the lease back, so that the next one need not wait.

use api::coordination::v1::Lease;
use api::meta::v1::MicroTime;
use api::{Error, Reason};
use client::Api;
use jiff::Timestamp;
use service_kit::Shutdown;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info};

/// How one replica takes part. The defaults are Kubernetes'.
#[derive(Debug, Clone)]
pub struct Election {
    /// Name of the lease, in its API's namespace: the component.
    pub lease: String,
    /// Who we are; unique among the replicas.
    pub identity: String,
    /// How long the others wait after the last renewal that they saw.
    pub duration: Duration,
    /// How long the leader tries to renew before it stops. Less than `duration`.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry_period: Duration,
}

impl Election {
    /// With Kubernetes' times: 15 s, 10 s, 2 s.
    pub fn new(lease: impl Into<String>, identity: impl Into<String>) -> Self {
        Election {
            lease: lease.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// We led and do not any more.
#[derive(Debug, thiserror::Error)]
#[error("{identity} has lost the lease {lease}: {why}; another replica may lead now")]
pub struct LeadershipLost {
    lease: String,
    identity: String,
    why: String,
}

/// Waits until we lead, runs `lead` with a shutdown of its own, and renews the lease meanwhile. Returns when `shutdown` is triggered.
///
/// # Errors
/// The lease was lost. `lead`'s shutdown has been triggered then and its future dropped; the process should end.
pub async fn elect<F: Future<Output = ()>>(
    leases: Api<Lease>,
    election: Election,
    shutdown: Shutdown,
    lead: impl FnOnce(Shutdown) -> F,
) -> Result<(), LeadershipLost> {
    let mut candidate = Candidate { leases: leases.untraced(), election, observed: None };
    if shutdown.run_until_triggered(Box::pin(candidate.acquire())).await.is_none() {
        return Ok(());
    }
    info!(lease = candidate.election.lease, identity = candidate.election.identity, "leading");
    let work = shutdown.child();
    let outcome = tokio::select! {
        () = lead(work.clone()) => Ok(()),
        lost = candidate.keep() => Err(lost),
        () = shutdown.triggered() => Ok(()),
    };
    work.trigger();
    if outcome.is_ok() {
        candidate.release().await;
    }
    outcome
}

struct Candidate {
    leases: Api<Lease>,
    election: Election,
    /// The lease as last seen to change, and when.
    observed: Option<(Lease, Instant)>,
}

impl Candidate {
    async fn acquire(&mut self) {
        loop {
            match self.try_hold().await {
                Ok(true) => return,
                Ok(false) => debug!(lease = self.election.lease, "another replica leads"),
                Err(e) => debug!(lease = self.election.lease, error = %e, "cannot take the lease, trying again"),
            }
            let jitter = self.election.retry_period.mul_f64(0.2 * rand::random::<f64>());
            tokio::time::sleep(self.election.retry_period + jitter).await;
        }
    }

    /// Renews until that fails for too long.
    async fn keep(&mut self) -> LeadershipLost {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.election.retry_period).await;
            let left = self.election.renew_deadline.saturating_sub(renewed.elapsed());
            let why = match tokio::time::timeout(left, self.try_hold()).await {
                Ok(Ok(true)) => {
                    renewed = Instant::now();
                    continue;
                }
                Ok(Ok(false)) => "another replica holds it".to_owned(),
                Ok(Err(e)) if renewed.elapsed() < self.election.renew_deadline => {
                    debug!(lease = self.election.lease, error = %e, "cannot renew the lease, trying again");
                    continue;
                }
                Ok(Err(e)) => e.message,
                Err(_) => format!("it was not renewed within {:?}", self.election.renew_deadline),
            };
            return LeadershipLost {
                lease: self.election.lease.clone(),
                identity: self.election.identity.clone(),
                why,
            };
        }
    }

    /// Takes or renews the lease; false if another replica holds it.
    async fn try_hold(&mut self) -> Result<bool, Error> {
        let now = Timestamp::now();
        let lease = match self.leases.get(&self.election.lease).await {
            Ok(lease) => lease,
            Err(e) if e.reason == Reason::NotFound => {
                let created = self.leases.create(&self.claim(Lease::default(), now)).await?;
                self.observed = Some((created, Instant::now()));
                return Ok(true);
            }
            Err(e) => return Err(e),
        };
        if self.observed.as_ref().is_none_or(|(seen, _)| seen.spec != lease.spec) {
            self.observed = Some((lease.clone(), Instant::now()));
        }
        let holder = lease.spec.holder_identity.as_deref().unwrap_or_default();
        let unchanged = self.observed.as_ref().map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let their_duration =
            lease.spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        let expired = unchanged > their_duration.unwrap_or(self.election.duration);
        if !holder.is_empty() && holder != self.election.identity && !expired {
            return Ok(false);
        }
        // The resourceVersion of the lease we looked at makes the take-over a compare-and-swap: of two candidates one wins.
        let held = self.leases.update(&self.claim(lease, now)).await?;
        self.observed = Some((held, Instant::now()));
        Ok(true)
    }

    fn claim(&self, mut lease: Lease, now: Timestamp) -> Lease {
        lease.metadata.name.clone_from(&self.election.lease);
        let spec = &mut lease.spec;
        if spec.holder_identity.as_deref() != Some(&*self.election.identity) {
            let transitions = if spec.holder_identity.is_some() { spec.lease_transitions.unwrap_or(0) + 1 } else { 0 };
            spec.lease_transitions = Some(transitions);
            spec.acquire_time = Some(MicroTime::from(now));
            spec.holder_identity = Some(self.election.identity.clone());
        }
        spec.lease_duration_seconds = i32::try_from(self.election.duration.as_secs()).ok();
        spec.renew_time = Some(MicroTime::from(now));
        lease
    }

    /// Gives the lease back; if that fails, the others wait until it expires.
    async fn release(&self) {
        let Some((mut lease, _)) = self.observed.clone() else { return };
        let spec = &mut lease.spec;
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        let given_back = tokio::time::timeout(self.election.retry_period, self.leases.update(&lease)).await;
        debug!(lease = self.election.lease, ok = matches!(given_back, Ok(Ok(_))), "gave the lease back");
    }
}
