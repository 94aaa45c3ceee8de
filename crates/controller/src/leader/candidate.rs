//! One replica's dealings with the lease. Every write is a compare-and-swap on the revision that was looked at: of two candidates one wins,
//! and a write that was given up for lost cannot undo a later one.

use super::{Election, LeadershipLost};
use api::coordination::v1::{Lease, LeaseSpec};
use api::meta::v1::MicroTime;
use api::{Error, Reason};
use client::Api;
use jiff::{Timestamp, Unit};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

pub(super) struct Candidate {
    leases: Api<Lease>,
    election: Election,
    /// When our claim says that it was acquired: with it we know a lease as ours, also one whose answer was lost.
    term: Option<MicroTime>,
    /// The lease as we last wrote it. It is renewed without being read first.
    held: Option<Lease>,
    /// Another's claim, and since when it has not changed, by our clock.
    observed: Option<(LeaseSpec, Instant)>,
    /// When the last successful renewal was sent.
    renewed: Instant,
}

/// Whose the lease is.
enum Holder {
    Us,
    /// Another's, at least for so long.
    Another(String, Duration),
}

impl Candidate {
    pub(super) fn new(leases: Api<Lease>, election: Election) -> Self {
        Candidate { leases, election, term: None, held: None, observed: None, renewed: Instant::now() }
    }

    pub(super) fn election(&self) -> &Election {
        &self.election
    }

    /// Tries until the lease is ours.
    pub(super) async fn acquire(&mut self) {
        let mut failures = 0;
        let mut waits_for = String::new();
        loop {
            let sent = Instant::now();
            let mut wait = self.election.retry_period;
            match self.try_for(self.election.renew_deadline / 2).await {
                Ok(Holder::Us) => {
                    self.renewed = sent;
                    return;
                }
                Ok(Holder::Another(holder, remaining)) => {
                    failures = 0;
                    // An abandoned lease is taken over as soon as it expires, not up to a period later.
                    wait = wait.min(remaining);
                    if holder != waits_for {
                        info!(lease = self.election.lease, holder, "another replica leads, standing by");
                        waits_for = holder;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures == 3 || (failures == 1 && !error.is_retryable() && !error.is_conflict()) {
                        warn!(lease = self.election.lease, %error, "cannot take the lease, trying again");
                    } else {
                        debug!(lease = self.election.lease, %error, "cannot take the lease, trying again");
                    }
                }
            }
            // Not all at the same moment: all but one would try in vain.
            sleep(wait + self.election.retry_period.mul_f64(0.2 * rand::random::<f64>())).await;
        }
    }

    /// Renews until that fails for too long.
    pub(super) async fn keep(&mut self) -> LeadershipLost {
        let mut why = String::new();
        loop {
            let deadline = self.renewed + self.election.renew_deadline;
            sleep_until(deadline.min(Instant::now() + self.election.retry_period)).await;
            let sent = Instant::now();
            if sent >= deadline {
                return self.lost(why, self.renewed + self.election.duration);
            }
            // Half of the time at most, so that one answer may be lost.
            match self.try_for((deadline - sent).min(self.election.renew_deadline / 2)).await {
                Ok(Holder::Us) => self.renewed = sent,
                Ok(Holder::Another(holder, _)) => return self.lost(format!("{holder} holds it"), sent),
                Err(error) => {
                    debug!(lease = self.election.lease, %error, "cannot renew the lease, trying again");
                    why = error.message;
                }
            }
        }
    }

    /// Gives the lease back if it is ours; if that fails, the others wait until it expires.
    pub(super) async fn give_back(&mut self) {
        if self.term.is_none() {
            return;
        }
        let within = self.election.retry_period;
        let given_back = timeout(within, self.try_give_back()).await;
        debug!(lease = self.election.lease, ok = matches!(given_back, Ok(Ok(()))), "gave the lease back");
    }

    async fn try_give_back(&mut self) -> Result<(), Error> {
        if let Some(held) = self.held.take() {
            match self.leases.update(&vacant(held)).await {
                // A renewal that was on its way has changed it.
                Err(error) if error.is_conflict() => {}
                answer => return answer.map(drop),
            }
        }
        let lease = self.leases.get(&self.election.lease).await?;
        if self.is_ours(&lease.spec) {
            self.leases.update(&vacant(lease)).await?;
        }
        Ok(())
    }

    async fn try_for(&mut self, patience: Duration) -> Result<Holder, Error> {
        let tried = timeout(patience, self.try_hold()).await;
        tried.unwrap_or_else(|_| Err(Error::timeout(format!("no answer within {patience:?}"))))
    }

    /// Takes or renews the lease, unless it is another's.
    async fn try_hold(&mut self) -> Result<Holder, Error> {
        if let Some(held) = &self.held {
            let renewal = self.renewal(held.clone());
            match self.leases.update(&renewal).await {
                Ok(lease) => {
                    self.held = Some(lease);
                    return Ok(Holder::Us);
                }
                // Changed or deleted by somebody, or by a renewal of ours whose answer was lost: look.
                Err(error) if error.is_conflict() || error.is_not_found() => self.held = None,
                Err(error) => return Err(error),
            }
        }
        let claimed = match self.leases.get(&self.election.lease).await {
            Ok(lease) if self.is_ours(&lease.spec) => self.leases.update(&self.renewal(lease)).await?,
            Ok(lease) => {
                if let Some(holder) = self.valid_holder(&lease.spec) {
                    return Ok(holder);
                }
                let claim = self.claim(lease);
                self.leases.update(&claim).await?
            }
            Err(error) if error.reason == Reason::NotFound => {
                let claim = self.claim(Lease::default());
                self.leases.create(&claim).await?
            }
            Err(error) => return Err(error),
        };
        self.held = Some(claimed);
        self.observed = None;
        Ok(Holder::Us)
    }

    fn is_ours(&self, spec: &LeaseSpec) -> bool {
        self.term.is_some()
            && spec.acquire_time == self.term
            && spec.holder_identity.as_deref() == Some(&*self.election.identity)
    }

    /// The holder, if its claim has not expired. It expires when we have seen it unchanged for as long as it says.
    fn valid_holder(&mut self, spec: &LeaseSpec) -> Option<Holder> {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
        // Only at the first look: a namesake that comes later lives, and two that take from each other would both work on.
        let at_first = self.term.is_none() && self.observed.is_none();
        if self.election.succeeds_namesake && at_first && holder == self.election.identity {
            return None;
        }
        let since = match &self.observed {
            Some((seen, since)) if seen == spec => *since,
            _ => self.observed.insert((spec.clone(), Instant::now())).1,
        };
        let theirs = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
        let remaining = theirs.unwrap_or(self.election.duration).checked_sub(since.elapsed())?;
        if remaining.is_zero() {
            return None;
        }
        // What we claimed before has failed for certain.
        self.term = None;
        Some(Holder::Another(holder, remaining))
    }

    /// The lease as ours. Until it is known what became of a claim, the next one is the same claim.
    fn claim(&mut self, mut lease: Lease) -> Lease {
        let term = *self.term.get_or_insert_with(now);
        let is_new = lease.metadata.resource_version.is_empty();
        lease.metadata.name.clone_from(&self.election.lease);
        let spec = &mut lease.spec;
        spec.lease_transitions = Some(if is_new { 0 } else { spec.lease_transitions.unwrap_or(0).saturating_add(1) });
        spec.acquire_time = Some(term);
        spec.holder_identity = Some(self.election.identity.clone());
        self.renewal(lease)
    }

    fn renewal(&self, mut lease: Lease) -> Lease {
        lease.spec.lease_duration_seconds = i32::try_from(self.election.duration.as_secs()).ok();
        lease.spec.renew_time = Some(now());
        lease
    }

    fn lost(&self, why: String, until: Instant) -> LeadershipLost {
        let Election { lease, identity, .. } = self.election.clone();
        LeadershipLost { lease, identity, why, until }
    }
}

/// A lease that the next candidate may take at once.
fn vacant(mut lease: Lease) -> Lease {
    let spec = &mut lease.spec;
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.acquire_time = Some(now());
    spec.renew_time = Some(now());
    lease
}

/// As exact as a lease keeps it: what comes back shall equal what was sent.
fn now() -> MicroTime {
    let now = Timestamp::now();
    MicroTime::from(now.round(Unit::Microsecond).unwrap_or(now))
}
