//! Writing a pod's status: only what changed, one write at a time, and not every blink on the way up.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Pod, PodStatus};
use api::pod_conditions::{CONTAINERS_READY, INITIALIZED, POD_SCHEDULED, READY, READY_TO_START_CONTAINERS};
use jiff::{SignedDuration, Timestamp};
use service_kit::Backoff;

/// How long a status that is about to change again is held back: a pod that starts at once is reported once.
const HOLD: SignedDuration = SignedDuration::from_millis(25);

/// What the apiserver has, and what it should have.
pub(super) struct Reporting {
    /// The newest version of the pod that is known, from the watch or from an answer.
    stored: Arc<Pod>,
    /// The same with the status that it should have; the very same when it has it, which is most of the time.
    wanted: Arc<Pod>,
    /// When the difference was first seen.
    since: Option<Timestamp>,
    writing: bool,
    retry_at: Option<Timestamp>,
    backoff: Backoff,
    /// The apiserver will not take this status, ever.
    refused: Option<Arc<Pod>>,
    closed: bool,
}

/// The conditions that kubelets set.
const OWN: [&str; 5] = [POD_SCHEDULED, READY_TO_START_CONTAINERS, INITIALIZED, CONTAINERS_READY, READY];

/// What to do about a difference.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// There is none.
    Nothing,
    /// Write this now.
    Write(Arc<Pod>),
    /// Look again at this time.
    Wait(Timestamp),
    /// A write is under way.
    Busy,
}

impl Reporting {
    pub(super) fn new(pod: Arc<Pod>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).with_jitter(0.1);
        let wanted = Arc::clone(&pod);
        Self { stored: pod, wanted, since: None, writing: false, retry_at: None, backoff, refused: None, closed: false }
    }

    /// The pod as it should be: as it is stored, with the status that it should have.
    pub(super) fn pod(&self) -> &Arc<Pod> {
        &self.wanted
    }

    /// A version came in. Answers whether it is newer than the one that is known.
    pub(super) fn take(&mut self, pod: Arc<Pod>) -> bool {
        let news = revision(&pod) > revision(&self.stored);
        if news {
            self.wanted = self.rebase(&pod);
            self.stored = pod;
        } else if revision(&pod) == revision(&self.stored) && pod.status == self.wanted.status {
            // The echo of our own write: from here on the watch's copy is shared.
            self.wanted = Arc::clone(&pod);
            self.stored = pod;
        }
        news
    }

    /// A new version with the status that it should have. Conditions of others are theirs to set.
    fn rebase(&self, new: &Arc<Pod>) -> Arc<Pod> {
        if (!self.writing && self.is_written()) || self.wanted.status == new.status {
            return Arc::clone(new);
        }
        let own = |kind: &str| OWN.contains(&kind);
        let mut status = self.wanted.status.clone();
        status.conditions.retain(|condition| own(&condition.r#type));
        status.conditions.extend(new.status.conditions.iter().filter(|condition| !own(&condition.r#type)).cloned());
        Arc::new(with_status(new, status))
    }

    /// The status should be this.
    pub(super) fn want(&mut self, status: PodStatus, now: Timestamp) {
        if self.wanted.status != status {
            let stored = self.stored.status == status;
            self.wanted = if stored { Arc::clone(&self.stored) } else { Arc::new(with_status(&self.stored, status)) };
        }
        if self.is_written() {
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// Whether the apiserver has what it should have, or will never take it.
    pub(super) fn is_written(&self) -> bool {
        let wanted = &self.wanted.status;
        self.closed
            || Arc::ptr_eq(&self.wanted, &self.stored)
            || *wanted == self.stored.status
            || self.refused.as_ref().is_some_and(|refused| refused.status == *wanted)
    }

    /// Whether nothing is being written, nor has to be.
    pub(super) fn is_idle(&self) -> bool {
        !self.writing && self.is_written()
    }

    /// The object is gone: nothing is written any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// What to do now. `transient`: the status will change again in a moment. That the last init container is done is told even so:
    /// it is a state of its own for whoever watches (`PodInitializing`).
    pub(super) fn turn(&self, transient: bool, now: Timestamp) -> Turn {
        if self.writing {
            return Turn::Busy;
        }
        if self.is_written() {
            return Turn::Nothing;
        }
        let transient = transient && !self.becomes_initialized();
        let held_until = self.since.filter(|_| transient).and_then(|since| since.checked_add(HOLD).ok());
        match held_until.max(self.retry_at).filter(|until| *until > now) {
            Some(until) => Turn::Wait(until),
            None => Turn::Write(Arc::clone(&self.wanted)),
        }
    }

    fn becomes_initialized(&self) -> bool {
        let told =
            |pod: &Pod, value: &str| pod.status.conditions.iter().any(|c| c.r#type == INITIALIZED && c.status == value);
        told(&self.stored, "False") && told(&self.wanted, "True")
    }

    /// A write begins.
    pub(super) fn begin(&mut self) {
        self.writing = true;
    }

    /// A write succeeded with this answer.
    pub(super) fn written(&mut self, answer: Arc<Pod>) {
        self.writing = false;
        self.retry_at = None;
        self.backoff.reset();
        // If the echo came first, the watch's copy stays: it is the one that is shared.
        if !self.is_written() || revision(&answer) > revision(&self.stored) {
            self.take(answer);
        }
    }

    /// Writing has to wait for a while.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        self.retry_at = now.saturating_add(self.backoff.next_delay()).ok();
    }

    /// A write failed. Answers whether a newer version has to be fetched first.
    pub(super) fn failed(&mut self, error: &api::Error, tried: Arc<Pod>, now: Timestamp) -> bool {
        self.writing = false;
        if error.is_conflict() {
            return true;
        }
        if error.is_retryable() {
            self.put_off(now);
        } else {
            self.refused = Some(tried);
        }
        false
    }
}

/// A version of a pod with another status.
fn with_status(pod: &Pod, status: PodStatus) -> Pod {
    Pod { metadata: pod.metadata.clone(), spec: pod.spec.clone(), status }
}

/// Revisions are etcd's, so they can be compared; a pod from elsewhere is older than all.
fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::PodCondition;

    fn version(revision: u64, phase: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.resource_version = revision.to_string();
        pod.status.phase = phase.to_owned();
        pod
    }

    fn status(phase: &str) -> PodStatus {
        PodStatus { phase: phase.to_owned(), ..PodStatus::default() }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millis).unwrap()
    }

    #[test]
    fn a_status_on_its_way_is_held_for_a_moment_and_an_arrived_one_is_not() {
        let mut reporting = Reporting::new(Arc::new(version(5, "Pending")));
        assert_eq!(reporting.turn(false, at(0)), Turn::Nothing);
        reporting.want(status("Running"), at(0));
        assert_eq!(reporting.turn(true, at(10)), Turn::Wait(at(25)));
        assert_eq!(reporting.turn(false, at(10)), Turn::Write(Arc::new(version(5, "Running"))));
        assert_eq!(reporting.turn(true, at(25)), Turn::Write(Arc::new(version(5, "Running"))));
    }

    #[test]
    fn the_end_of_initialization_is_told_however_soon_something_follows() {
        let mut reporting = Reporting::new(Arc::new(version(5, "Pending")));
        let initialized = |value: &str| {
            let condition = PodCondition { r#type: INITIALIZED.into(), status: value.into(), ..Default::default() };
            PodStatus { conditions: vec![condition], ..status("Pending") }
        };
        reporting.want(initialized("False"), at(0));
        assert_eq!(reporting.turn(true, at(10)), Turn::Wait(at(25)), "the beginning is like any other state");
        reporting.begin();
        reporting.written(Arc::new(Pod { status: initialized("False"), ..version(6, "Pending") }));
        reporting.want(initialized("True"), at(30));
        assert!(matches!(reporting.turn(true, at(30)), Turn::Write(_)));
    }

    #[test]
    fn one_write_at_a_time_and_echoes_are_no_news() {
        let mut reporting = Reporting::new(Arc::new(version(5, "Pending")));
        reporting.want(status("Running"), at(0));
        reporting.begin();
        reporting.want(status("Succeeded"), at(1));
        assert_eq!(reporting.turn(false, at(1)), Turn::Busy);
        reporting.written(Arc::new(version(7, "Running")));
        assert!(!reporting.take(Arc::new(version(6, "Pending"))), "older than the answer");
        assert!(!reporting.take(Arc::new(version(7, "Running"))), "the answer's echo");
        assert_eq!(reporting.turn(false, at(1)), Turn::Write(Arc::new(version(7, "Succeeded"))));
    }

    #[test]
    fn the_copy_of_the_watch_is_kept_whether_it_comes_before_the_answer_or_after_it() {
        for echo_first in [true, false] {
            let mut reporting = Reporting::new(Arc::new(version(5, "Pending")));
            reporting.want(status("Running"), at(0));
            reporting.begin();
            let (echo, answer) = (Arc::new(version(6, "Running")), Arc::new(version(6, "Running")));
            if echo_first {
                reporting.take(Arc::clone(&echo));
                reporting.written(answer);
            } else {
                reporting.written(answer);
                reporting.take(Arc::clone(&echo));
            }
            assert!(Arc::ptr_eq(reporting.pod(), &echo) && reporting.is_idle(), "echo first: {echo_first}");
        }
    }

    #[test]
    fn failures_are_retried_conflicts_refetched_and_refusals_accepted() {
        let running = || Arc::new(version(5, "Running"));
        let mut reporting = Reporting::new(Arc::new(version(5, "Pending")));
        reporting.want(status("Running"), at(0));
        reporting.begin();
        assert!(reporting.failed(&api::Error::modified("", "pods", "web"), running(), at(0)));
        reporting.begin();
        assert!(!reporting.failed(&api::Error::unavailable("down"), running(), at(0)));
        assert!(matches!(reporting.turn(false, at(0)), Turn::Wait(until) if until >= at(200)));
        reporting.begin();
        assert!(!reporting.failed(&api::Error::bad_request("no"), running(), at(0)));
        assert!(reporting.is_written(), "there is nothing more to be done about it");
        reporting.want(status("Succeeded"), at(1));
        assert!(!reporting.is_written());
    }
}
