//! Whether a container that ended runs again, and how soon.

use std::time::Duration;

use api::core::v1::{ContainerRestartRule, PodSpec};
use jiff::{SignedDuration, Timestamp};

use super::slot::{Role, Slot};

/// The first delay, as in Kubernetes (`--container-restart...` has no flag there either).
const INITIAL: Duration = Duration::from_secs(10);
/// The longest delay, and half the time of running well that forgives everything.
const MAX: Duration = Duration::from_secs(300);

/// Growing delays between failures of one thing: 10 s, 20 s, 40 s ... 5 min; forgotten after 10 min without failure.
///
/// The first failure is free: the delay counts from the second one on, because the first records that there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashBackoff {
    delay: Duration,
    /// When the delay last grew.
    grown_at: Timestamp,
}

impl CrashBackoff {
    /// Until when to wait after a failure at `failed_at`, and how long that is; `None`: do not wait.
    pub fn wait(this: Option<Self>, failed_at: Timestamp) -> Option<(Timestamp, Duration)> {
        let known = this.filter(|known| !known.expired(failed_at))?;
        Some((failed_at.saturating_add(known.delay).unwrap_or(Timestamp::MAX), known.delay))
    }

    /// The state after one more try at `now`, which follows a failure at `failed_at`.
    pub fn grow(this: Option<Self>, failed_at: Timestamp, now: Timestamp) -> Self {
        let delay = match this {
            Some(known) if !known.expired(failed_at) => (known.delay * 2).min(MAX),
            _ => INITIAL,
        };
        Self { delay, grown_at: now }
    }

    /// The delay that is due now.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    fn expired(&self, failed_at: Timestamp) -> bool {
        let quiet = failed_at.duration_since(self.grown_at);
        quiet > SignedDuration::try_from(MAX * 2).unwrap_or(SignedDuration::MAX)
    }
}

impl Slot<'_> {
    /// Whether the container is to run again when a probe has it stopped. How it ends, which rules ask about, is not known before.
    pub(super) fn restarts_when_ill(&self, pod: &PodSpec) -> bool {
        self.role == Role::Sidecar || self.policy(pod) != "Never"
    }

    /// Without a policy of its own, a container follows its pod.
    fn policy<'a>(&'a self, pod: &'a PodSpec) -> &'a str {
        self.spec.restart_policy.as_deref().unwrap_or(pod.restart_policy.as_str())
    }

    /// Whether the container runs again after it ended with `code`.
    pub fn restarts(&self, pod: &PodSpec, code: i32) -> bool {
        if self.role == Role::Sidecar {
            return true;
        }
        if self.spec.restart_policy_rules.iter().any(|rule| applies(rule, code)) {
            return true;
        }
        match self.policy(pod) {
            "Never" => false,
            "OnFailure" => code != 0,
            // An init container that succeeded is done even where the others always restart.
            _ => self.role != Role::Init || code != 0,
        }
    }
}

/// The only action there is, is Restart.
fn applies(rule: &ContainerRestartRule, code: i32) -> bool {
    rule.action == "Restart"
        && rule.exit_codes.as_ref().is_some_and(|codes| codes.values.contains(&code) == (codes.operator == "In"))
}
