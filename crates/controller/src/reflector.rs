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

use api::meta::v1::ListOptions;
use api::{Reason, Resource};
use client::{Api, WatchEvent};
use service_kit::{Backoff, Shutdown};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Cause;
use tracing::{debug, warn};

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

/// Which objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) labels: String,
    pub(crate) fields: String,
}

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(10);
/// The server ends a watch after about this long, so that clients spread over servers anew.
const WATCH_SECONDS: i64 = 600;

/// Runs until shutdown. `tell` is called in order and must be quick.
pub(crate) async fn reflect<K: Resource>(
    api: Api<K>,
    selection: Selection,
    shutdown: Shutdown,
    mut tell: impl FnMut(Delta<K>),
) {
    let api = api.untraced();
    let mut state = State::start();
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_CAP).with_jitter(0.5);
    while !shutdown.is_triggered() {
        let end = shutdown.run_until_triggered(follow(&api, &selection, &mut state, &mut backoff, &mut tell)).await;
        let delay = match end {
            // The server ended the watch in good order.
            None | Some(Ok(())) => Duration::ZERO,
            Some(Err(e)) if matches!(e.reason, Reason::Expired | Reason::Gone) => {
                debug!(kind = K::INFO.kind, "the watch's revision expired, filling again");
                state = State::start();
                backoff.next_delay()
            }
            Some(Err(e)) => {
                let delay = backoff.next_delay();
                if backoff.failures() == 3 {
                    warn!(kind = K::INFO.kind, error = %e, "the watch fails, trying again");
                } else {
                    debug!(kind = K::INFO.kind, error = %e, ?delay, "the watch broke");
                }
                delay
            }
        };
        shutdown.run_until_triggered(tokio::time::sleep(delay)).await;
    }
}

/// One watch, to its end.
async fn follow<K: Resource>(
    api: &Api<K>,
    selection: &Selection,
    state: &mut State,
    backoff: &mut Backoff,
    tell: &mut impl FnMut(Delta<K>),
) -> Result<(), api::Error> {
    let mut options = ListOptions {
        label_selector: selection.labels.clone(),
        field_selector: selection.fields.clone(),
        allow_watch_bookmarks: true,
        timeout_seconds: Some(WATCH_SECONDS + rand::random_range(0..WATCH_SECONDS)),
        ..ListOptions::default()
    };
    match state {
        State::Fill { seen } => {
            seen.clear();
            options.send_initial_events = Some(true);
            options.resource_version_match = "NotOlderThan".to_owned();
        }
        State::Follow { revision } => options.resource_version = revision.clone(),
    }
    let mut events = api.watch(options).await?;
    while let Some(event) = events.next().await {
        let event = event?;
        backoff.reset();
        match event {
            WatchEvent::Added(object, cause) | WatchEvent::Modified(object, cause) => {
                let replayed = advance(state, &*object, true);
                tell(Delta::Applied(object, Cause { replayed, ..cause }));
            }
            WatchEvent::Deleted(object, cause) => {
                advance(state, &*object, false);
                tell(Delta::Removed(object, cause));
            }
            WatchEvent::Bookmark { resource_version, initial_events_end } => {
                if let State::Fill { seen } = state {
                    if !initial_events_end {
                        continue;
                    }
                    tell(Delta::Filled(std::mem::take(seen)));
                }
                *state = State::Follow { revision: resource_version };
            }
        }
    }
    Ok(())
}

/// Notes that an object was told. True while filling: the event is what exists, not what happened.
fn advance<K: Resource>(state: &mut State, object: &K, exists: bool) -> bool {
    match state {
        State::Fill { seen } => {
            let key = Key::of(object);
            if exists {
                seen.insert(key)
            } else {
                seen.remove(&key)
            };
            true
        }
        State::Follow { revision } => {
            revision.clone_from(&object.metadata().resource_version);
            false
        }
    }
}
