//! The cache of one resource: its objects now, its newest changes, and who watches it.
//!
//! Invariant: under the lock, objects, history and queues agree: every change that the objects show is in the history and has been offered
//! to every watcher. A watch that starts under the lock therefore misses nothing and sees nothing twice.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::Error;
use api::rpc::EventType;
use bytes::Bytes;
use parking_lot::RwLock;
use store::envelope::Envelope;
use store::{Entry, Event, EventKind, Revision};
use telemetry::Cause;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, warn};

use super::cached::{Cached, with_resource_version};
use super::change::{Change, WatchEvent};
use super::history::History;
use super::layout::Layout;
use super::objects::Objects;
use super::progress::Progress;
use super::selection::Selection;
use super::watch::{Backlog, Subscription, Watch, WatchOptions, WatchStart};
use super::watchers::{Place, Subscriber, Watchers};

/// How much a cache keeps, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// At most this many changes are kept for watches that resume.
    pub history: usize,
    /// A watcher that is this many events behind is cut off.
    pub queue: usize,
    /// The time between two bookmarks.
    pub bookmark_every: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        // A queue of references is cheap, and a burst of a thousand pods is ordinary; a minute is Kubernetes' pace of bookmarks.
        Self { history: 10_000, queue: 4_096, bookmark_every: Duration::from_secs(60) }
    }
}

/// The objects of one resource. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    layout: Layout,
    limits: CacheLimits,
    progress: Progress,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    objects: Objects,
    history: History,
    watchers: Watchers,
    next_watcher: u64,
    /// Set once the cache serves no more; it is what watches are told from then on.
    closed: Option<Error>,
}

/// Objects of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// In the order of their keys.
    pub objects: Vec<Arc<Cached>>,
    /// The moment.
    pub revision: Revision,
    /// How many objects come after these. With selectors only whether there are any: counting them would cost more than it is worth.
    pub remaining: usize,
}

impl Cache {
    /// An empty cache; the feed fills it.
    pub(crate) fn new(layout: Layout, limits: CacheLimits, progress: Progress) -> Self {
        let state = State {
            objects: Objects::default(),
            history: History::new(limits.history, Revision::NONE),
            watchers: Watchers::default(),
            next_watcher: 0,
            closed: None,
        };
        Self { shared: Arc::new(Shared { layout, limits, progress, state: RwLock::new(state) }) }
    }

    /// Where the objects lie and what they are selected by.
    pub fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// The object under a key of the store.
    pub fn get(&self, key: &str) -> Option<Arc<Cached>> {
        self.shared.state.read().objects.get(key).cloned()
    }

    /// The selected objects after `start_after`, at most `limit` of them; zero is all.
    pub fn snapshot(&self, selection: &Selection, start_after: Option<&str>, limit: usize) -> Snapshot {
        let state = self.shared.state.read();
        self.snapshot_of(&state, selection, start_after, limit)
    }

    /// The same, unless the resource has changed after `revision`.
    pub fn snapshot_at(
        &self,
        revision: Revision,
        selection: &Selection,
        start_after: Option<&str>,
        limit: usize,
    ) -> Option<Snapshot> {
        let state = self.shared.state.read();
        let unchanged = state.history.newest() <= revision && revision <= self.shared.progress.reached();
        unchanged.then(|| Snapshot { revision, ..self.snapshot_of(&state, selection, start_after, limit) })
    }

    /// Up to where the objects are known, as strong as any event that was handed out.
    pub fn revision(&self) -> Revision {
        let state = self.shared.state.read();
        self.revision_of(&state)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.state.read().objects.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many watches are served.
    pub fn watchers(&self) -> usize {
        self.shared.state.read().watchers.len()
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// `Expired` if it is to start before what is kept of the history.
    pub fn watch(&self, selection: Selection, start: WatchStart, options: WatchOptions) -> Result<Watch, Error> {
        let place = Place::of(&selection, &self.shared.layout);
        let selection = Arc::new(selection);
        let (sender, queue) = mpsc::channel(self.shared.limits.queue);
        let end = Arc::new(OnceLock::new());
        let mut state = self.shared.state.write();
        if let Some(why) = &state.closed {
            return Err(why.clone());
        }
        let now = self.revision_of(&state);
        let (backlog, after): (VecDeque<Backlog>, Revision) = match start {
            WatchStart::After(revision) => {
                let missed = state.history.after(revision);
                let missed = missed.map_err(|oldest| Error::too_old_resource_version(revision.get(), oldest.get()))?;
                (missed.cloned().map(Backlog::Change).collect(), revision)
            }
            WatchStart::Existing { marked } => {
                let snapshot = self.snapshot_of(&state, &selection, None, 0);
                let end = marked.then_some(Backlog::InitialEventsEnd(now));
                (snapshot.objects.into_iter().map(Backlog::Object).chain(end).collect(), now)
            }
        };
        let id = state.next_watcher;
        state.next_watcher += 1;
        let subscriber =
            Subscriber { id, after, selection: Arc::clone(&selection), queue: sender, end: Arc::clone(&end) };
        state.watchers.add(place.clone(), subscriber);
        drop(state);
        let subscription = Subscription { cache: self.clone(), place, id, selection, backlog, queue, end };
        Ok(Watch::new(subscription, options, self.shared.limits.bookmark_every))
    }

    pub(crate) fn unsubscribe(&self, place: &Place, id: u64) {
        self.shared.state.write().watchers.remove(place, id);
    }

    /// An object as the store has it, in the cache's form; `None` if it cannot be read.
    pub fn read(&self, entry: &Entry) -> Option<Arc<Cached>> {
        let encode = |raw: &Bytes| with_resource_version(raw, entry.revision);
        self.parse(&entry.key, &entry.value, entry.revision, &entry.cause, encode)
    }

    /// Shows these objects instead of what it had, and forgets the history before `revision`.
    ///
    /// What happened in between is not known, so watches cannot go on: they end, and their clients list again.
    pub(crate) fn replace(&self, entries: &[Entry], revision: Revision) {
        let mut objects = Objects::default();
        for object in entries.iter().filter_map(|entry| self.read(entry)) {
            objects.insert(object, &self.shared.layout);
        }
        let mut state = self.shared.state.write();
        let old = std::mem::replace(&mut state.objects, objects);
        state.history = History::new(self.shared.limits.history, revision);
        let why = Error::expired("the history of the store was lost; list again and watch from that list");
        state.watchers.end_all(&why);
        drop(state);
        drop(old);
    }

    /// Applies the changes of one revision.
    pub(crate) fn apply<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        let mut events = events.filter(|event| event.key.starts_with(&self.shared.layout.prefix)).peekable();
        if events.peek().is_none() {
            return;
        }
        // Decoding is the long part; readers need not wait for it.
        let parsed: Vec<_> = events.map(|event| (event, self.parse_put(event))).collect();
        let mut state = self.shared.state.write();
        let now = Instant::now();
        for (event, put) in parsed {
            let (current, watch_event) = put.unzip();
            let previous = match &current {
                Some(object) => state.objects.insert(Arc::clone(object), &self.shared.layout),
                None => state.objects.remove(&event.key, &self.shared.layout),
            };
            if previous.is_none() && current.is_none() {
                continue;
            }
            let mut change = Change::new(event.revision, event.cause.clone(), previous, current);
            if let Some(watch_event) = watch_event {
                change = change.with_event(watch_event);
            }
            let change = Arc::new(change);
            let cut_off = state.watchers.offer(&change, &self.shared.layout);
            if cut_off > 0 {
                warn!(resource = self.shared.layout.kind.plural, cut_off, "watches that read too slowly were cut off");
            }
            state.history.push(change, now);
        }
    }

    /// The object that an event brings, and the event that it is to most watchers. They share the object's bytes.
    ///
    /// None for a removal, and for what cannot be read: that is as good as gone; keeping its last state would be a lie.
    fn parse_put(&self, event: &Event) -> Option<(Arc<Cached>, WatchEvent)> {
        let EventKind::Put { created } = event.kind else {
            return None;
        };
        let r#type = if created { EventType::Added } else { EventType::Modified };
        let mut watch_event = None;
        let encode = |raw: &Bytes| {
            let encoded = WatchEvent::new(r#type, raw, event.revision, Some(&event.cause));
            watch_event.insert(encoded).object.clone()
        };
        let object = self.parse(&event.key, &event.value, event.revision, &event.cause, encode)?;
        Some((object, watch_event?))
    }

    /// Ends all watches, and those that come later.
    pub(crate) fn close(&self, why: &Error) {
        let mut state = self.shared.state.write();
        state.closed = Some(why.clone());
        state.watchers.end_all(why);
    }

    fn snapshot_of(&self, state: &State, selection: &Selection, start_after: Option<&str>, limit: usize) -> Snapshot {
        let mut selected = state.objects.select(selection, start_after, &self.shared.layout);
        let limit = if limit == 0 { usize::MAX } else { limit };
        let objects = selected.by_ref().take(limit).cloned().collect();
        let remaining = match selection.is_everything() {
            true => selected.count(),
            false => usize::from(selected.next().is_some()),
        };
        Snapshot { objects, revision: self.revision_of(state), remaining }
    }

    /// With the lock held, no change is under way. The progress is that of all resources and moves on after each of them has applied its
    /// part; the history's end is ahead of it only in between.
    fn revision_of(&self, state: &State) -> Revision {
        self.shared.progress.reached().max(state.history.newest())
    }

    /// `encode` makes the object with its `resourceVersion` out of the stored bytes.
    fn parse(
        &self,
        key: &Arc<str>,
        value: &Bytes,
        revision: Revision,
        cause: &Cause,
        encode: impl FnOnce(&Bytes) -> Bytes,
    ) -> Option<Arc<Cached>> {
        let layout = &self.shared.layout;
        let read = || {
            let raw = Envelope::decode(value).map_err(|e| e.to_string())?.raw;
            let selectable = layout.selectable(raw.clone()).map_err(|e| e.to_string())?;
            let encoded = (encode(&raw), raw.len());
            Ok::<_, String>(Cached::new(key.clone(), &layout.prefix, encoded, revision, cause.clone(), selectable))
        };
        match read() {
            Ok(cached) => Some(Arc::new(cached)),
            Err(reason) => {
                error!(%key, %revision, reason, "an object in the store cannot be read and is left out");
                None
            }
        }
    }
}
