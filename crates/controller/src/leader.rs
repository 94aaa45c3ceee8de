//! Leader election by Lease: of several replicas one works, the others wait (<https://kubernetes.io/docs/concepts/architecture/leases/>).
//!
//! ```text
//! Waiting --lease free or expired, update won--> Leading --shutdown--> Stopping --work ended--> lease given back
//!                                                   |                     |
//!                                                   +---- not renewed ----+--> lost: work stops before others may take over
//! ```
//!
//! Guarantees: at no time do two replicas lead, as long as clocks run equally fast (they need not agree: the time on another's lease is
//! compared with ours only through how long *we* have seen it unchanged) and `lead` stops when it is told to. A lease is known as ours by when
//! we acquired it as well as by name, so that two replicas of one name do not lead together. Whoever says that a name is never run twice
//! ([`Election::succeeds_namesake`]) has to see to it: then a lease of that name is a dead process's, and its successor does not wait.
//!
//! Losing the lease is final: [`elect`] ends the service, and a fresh process tries again. It keeps renewing while the work stops in good
//! order, and gives the lease back only then, so that the next replica need not wait and yet never meets the work of this one.

mod candidate;

use api::coordination::v1::Lease;
use candidate::Candidate;
use client::Api;
use service_kit::Shutdown;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

/// How long the work may take to stop after shutdown before the lease is kept from it: a little less than a service has in all.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How one replica takes part. The defaults are Kubernetes'.
#[derive(Debug, Clone)]
pub struct Election {
    /// Name of the lease, in its API's namespace: the component.
    pub lease: String,
    /// Who we are; unique among the replicas.
    pub identity: String,
    /// How long the others wait after the last renewal that they saw. Whole seconds.
    pub duration: Duration,
    /// How long the leader tries to renew before it stops. Less than `duration`: the difference is what the work has to stop.
    pub renew_deadline: Duration,
    /// Between two tries. Less than half of `renew_deadline`, so that one try may fail.
    pub retry_period: Duration,
    /// Whether a lease of our name that is there when we start is that of our crashed predecessor, to be taken at once. Should a process of
    /// that name live after all, both work until its next renewal, which fails, or for `renew_deadline` if it is cut off.
    pub succeeds_namesake: bool,
}

impl Election {
    /// With Kubernetes' times: 15 s, 10 s, 2 s. A lease of our name is waited for like any other.
    pub fn new(lease: impl Into<String>, identity: impl Into<String>) -> Self {
        Election {
            lease: lease.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            succeeds_namesake: false,
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
    /// From then on another replica may lead.
    until: Instant,
}

/// How the time as leader ended.
enum End {
    /// The work has ended, by itself or because it was told to.
    Finished,
    /// The work was told to stop and did not.
    Stuck,
    Lost(LeadershipLost),
}

/// Waits until we lead, runs `lead` with a shutdown of its own, and renews the lease meanwhile. Returns when `lead` has ended, after
/// `shutdown` or by itself.
///
/// After `shutdown` the lease is given back when `lead` has ended, so it should end no sooner than all that it has started. If it takes
/// longer than 5 s it is dropped, and the lease is left to expire.
///
/// # Errors
/// The lease was lost. `lead`'s shutdown was triggered, and it had the time until another replica may lead to end; then it was dropped.
/// The process should end.
pub async fn elect<F: Future<Output = ()>>(
    leases: Api<Lease>,
    election: Election,
    shutdown: Shutdown,
    lead: impl FnOnce(Shutdown) -> F,
) -> Result<(), LeadershipLost> {
    let mut candidate = Candidate::new(leases.untraced(), election);
    if shutdown.run_until_triggered(Box::pin(candidate.acquire())).await.is_none() {
        candidate.give_back().await;
        return Ok(());
    }
    let (lease, identity) = (candidate.election().lease.clone(), candidate.election().identity.clone());
    info!(lease, identity, "leading");
    let work = shutdown.child();
    let mut leading = Box::pin(lead(work.clone()));
    let end = {
        let working = async {
            tokio::select! {
                () = &mut leading => return End::Finished,
                () = shutdown.triggered() => {}
            }
            match timeout(STOP_WITHIN, &mut leading).await {
                Ok(()) => End::Finished,
                Err(_) => End::Stuck,
            }
        };
        tokio::select! {
            end = working => end,
            lost = candidate.keep() => End::Lost(lost),
        }
    };
    work.trigger();
    match end {
        End::Finished => candidate.give_back().await,
        End::Stuck => warn!(lease, within = ?STOP_WITHIN, "the work did not stop, so the lease is left to expire"),
        End::Lost(lost) => {
            warn!(lease, identity, why = lost.why, "the lease is lost, stopping");
            if timeout_at(lost.until, &mut leading).await.is_err() {
                warn!(lease, "the work did not stop before another replica may lead; it is cut off");
            }
            return Err(lost);
        }
    }
    Ok(())
}
