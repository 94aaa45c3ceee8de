//! Turns list and watch into one endless sequence of changes, over lost connections and expired revisions.
//!
//! ```text
//!          +--------- Expired ----------+
//!          v                            |
//!   Fill { seen } --initial events--> Follow { revision } --+
//!      ^   |  lost: back-off, again      ^     | lost, or ended: back-off, watch from the last revision
//!      +---+                             +-----+
//! ```
//!
//! Filling is a streaming list: a watch that starts with what exists, so that those objects come with their causes too. Objects that were
//! known before and are not among them have been removed meanwhile; their removal has no known cause.
//!
//! Invariant: while following, revisions only rise. A filling that breaks starts from nothing; until one is complete, what was told before
//! stays true as far as anybody knows.

use api::meta::v1::ListOptions;
use api::{Error, Reason, Resource};
use client::{Api, WatchEvent};
use service_kit::{Backoff, Shutdown};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Cause;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::Key;

/// What the reflector tells.
pub(crate) enum Delta<K> {
    /// The object is like this now.
    Applied(Arc<K>, Cause),
    /// The object is gone; its last known state.
    Removed(Arc<K>, Cause),
    /// All objects that exist have been told; these are their keys.
    Filled(HashSet<Key>),
}

/// Which objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) labels: String,
    pub(crate) fields: String,
}

/// Where the sequence stands.
enum State {
    /// Learning what exists.
    Fill { seen: HashSet<Key> },
    /// Every change up to this revision has been told.
    Follow { revision: String },
}

impl State {
    fn start() -> State {
        State::Fill { seen: HashSet::new() }
    }
}

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(5);
/// From so many failures in a row on, they are worth a warning: one broken connection is nothing.
const WORTH_A_WARNING: u32 = 3;
/// The server ends a watch after this long, or up to twice as long, so that clients spread over servers anew. Kubernetes' number.
const WATCH_SECONDS: i64 = 300;
/// A server that has not ended a watch so long after its time has forgotten it.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// A watch that ends sooner than this without a single event was as good as refused.
const SHORT: Duration = Duration::from_secs(1);

/// Runs until shutdown. `tell` is called in order and must be quick.
pub(crate) async fn reflect<K: Resource>(
    api: Api<K>,
    selection: Selection,
    shutdown: Shutdown,
    tell: impl FnMut(Delta<K>),
) {
    let backoff = Backoff::new(RETRY_FIRST, RETRY_CAP).with_jitter(0.5);
    let mut reflector = Reflector { api: api.untraced(), selection, state: State::start(), backoff, tell };
    loop {
        let start = Instant::now();
        let Some(end) = shutdown.run_until_triggered(reflector.watch()).await else { return };
        let delay = reflector.ended(end, start.elapsed());
        if shutdown.run_until_triggered(tokio::time::sleep(delay)).await.is_none() {
            return;
        }
    }
}

struct Reflector<K: Resource, T> {
    api: Api<K>,
    selection: Selection,
    state: State,
    backoff: Backoff,
    tell: T,
}

impl<K: Resource, T: FnMut(Delta<K>)> Reflector<K, T> {
    /// One watch, to its end in good order. Returns how many events it brought.
    async fn watch(&mut self) -> Result<u64, Error> {
        let seconds = WATCH_SECONDS + rand::random_range(0..WATCH_SECONDS);
        let mut options = ListOptions {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            allow_watch_bookmarks: true,
            timeout_seconds: Some(seconds),
            ..ListOptions::default()
        };
        match &mut self.state {
            State::Fill { seen } => {
                seen.clear();
                options.send_initial_events = Some(true);
                options.resource_version_match = "NotOlderThan".to_owned();
            }
            State::Follow { revision } => options.resource_version.clone_from(revision),
        }
        let within = Duration::from_secs(seconds.unsigned_abs()) + FORGOTTEN;
        let mut told = 0;
        let following = async {
            let mut events = self.api.watch(options).await?;
            while let Some(event) = events.next().await {
                let event = event?;
                told += 1;
                if told == 1 && self.backoff.failures() >= WORTH_A_WARNING {
                    info!(kind = K::INFO.kind, "the watch works again");
                }
                take(&mut self.state, event, &mut self.tell);
            }
            Ok::<(), Error>(())
        };
        timeout(within, following).await.unwrap_or(Ok(()))?;
        Ok(told)
    }

    /// Decides how to go on after a watch that lasted so long: the next state, and when.
    fn ended(&mut self, end: Result<u64, Error>, lasted: Duration) -> Duration {
        // As the supervisor does with tasks: what worked for that long has worked.
        if lasted >= self.backoff.cap() {
            self.backoff.reset();
        }
        let error = match (end, &self.state) {
            (Ok(told), State::Follow { .. }) if told > 0 || lasted >= SHORT => return Duration::ZERO,
            (Ok(_), State::Follow { .. }) => Error::unavailable("the server ended the watch at once"),
            (Ok(_), State::Fill { .. }) => {
                Error::unavailable("the server ended the watch before it had told everything")
            }
            (Err(error), _) => error,
        };
        if is_lost(&error) {
            self.state = State::start();
        }
        let wish = error.details.retry_after_seconds.map_or(Duration::ZERO, |s| Duration::from_secs(s.into()));
        let delay = self.backoff.next_delay().max(wish.min(RETRY_CAP));
        // What is wrong with the request itself does not pass by waiting, so it is said at once.
        let is_ours = !error.is_retryable() && !error.is_expired() && self.backoff.failures() == 1;
        if is_ours || self.backoff.failures() == WORTH_A_WARNING {
            warn!(kind = K::INFO.kind, %error, "the watch fails, trying again");
        } else {
            debug!(kind = K::INFO.kind, %error, ?delay, "the watch broke, trying again");
        }
        delay
    }
}

/// Whether the revision is of no use any more: it was compacted away, or comes from a future that etcd does not know, because it was
/// restored from a backup.
fn is_lost(error: &Error) -> bool {
    let from_the_future = error.reason == Reason::Timeout
        && error.details.causes.iter().any(|cause| cause.reason == "ResourceVersionTooLarge");
    error.is_expired() || from_the_future
}

/// Tells an event, and notes that it was told.
fn take<K: Resource>(state: &mut State, event: WatchEvent<K>, tell: &mut impl FnMut(Delta<K>)) {
    match event {
        WatchEvent::Added(object, cause) => {
            if let Some(existed) = advance(state, &*object, true) {
                tell(Delta::Applied(object, Cause { replayed: existed, ..cause }));
            }
        }
        WatchEvent::Modified(object, cause) => {
            if advance(state, &*object, true).is_some() {
                tell(Delta::Applied(object, cause));
            }
        }
        WatchEvent::Deleted(object, cause) => {
            if advance(state, &*object, false).is_some() {
                tell(Delta::Removed(object, cause));
            }
        }
        WatchEvent::Bookmark { resource_version, initial_events_end } => match state {
            State::Fill { seen } if initial_events_end => {
                tell(Delta::Filled(std::mem::take(seen)));
                *state = State::Follow { revision: resource_version };
            }
            // Not yet a place to go on from: some of what exists has not been told.
            State::Fill { .. } => {}
            State::Follow { revision } => rise(revision, &resource_version),
        },
    }
}

/// Notes that an object is being told. `None`: it is older than what was told before, a repetition. True while filling: the event is what
/// exists, not what happened.
fn advance<K: Resource>(state: &mut State, object: &K, exists: bool) -> Option<bool> {
    match state {
        State::Fill { seen } => {
            let key = Key::of(object);
            if exists {
                seen.insert(key)
            } else {
                seen.remove(&key)
            };
            Some(true)
        }
        State::Follow { revision } => {
            let newer = &object.metadata().resource_version;
            if is_older(newer, revision) {
                return None;
            }
            rise(revision, newer);
            Some(false)
        }
    }
}

fn rise(revision: &mut String, to: &str) {
    if !to.is_empty() && !is_older(to, revision) {
        to.clone_into(revision);
    }
}

/// Compares resource versions, which are numbers since Kubernetes 1.35. Any other sort has no order.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>
fn is_older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}
