//! Who watches a resource, found by what they watch.
//!
//! A change is offered only to the watchers that it may concern: those of everything, of its namespace, of this one object, and of the
//! value of the indexed field before and after the change. So a thousand kubelets that each watch the pods of their node cost one look-up
//! per change, not a thousand. Every watcher is in exactly one place, chosen when it comes.
//!
//! Offering never waits. A watcher whose queue is full is cut off: it is told to come again, and the others never notice.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use api::Error;
use store::Revision;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::change::{Change, WatchEvent};
use super::layout::Layout;
use super::selection::Selection;

/// One watch, as the sending side sees it. Dropping it ends the watch, once its queue is empty.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) id: u64,
    /// Changes up to this revision are in what the watch starts with.
    pub(crate) after: Revision,
    pub(crate) selection: Arc<Selection>,
    pub(crate) queue: mpsc::Sender<WatchEvent>,
    /// Why the watch ends before the client wants it to.
    pub(crate) end: Arc<OnceLock<Error>>,
}

/// Where in the index a watcher is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Everything,
    Namespace(String),
    /// The store's key of the object.
    Object(String),
    /// The value of the layout's indexed field.
    Indexed(String),
}

impl Place {
    /// The narrowest place that sees everything that `selection` means.
    pub(crate) fn of(selection: &Selection, layout: &Layout) -> Self {
        let namespace = &selection.namespace;
        let required = |field| selection.fields.required_value(field);
        if let Some(name) = required("metadata.name")
            && (!layout.kind.namespaced || !namespace.is_empty())
        {
            return Self::Object(layout.key(namespace, name));
        }
        // The empty value is that of all objects in which the field is not set, so it narrows nothing down.
        match layout.index.and_then(required).filter(|value| !value.is_empty()) {
            Some(value) => Self::Indexed(value.to_owned()),
            None if namespace.is_empty() => Self::Everything,
            None => Self::Namespace(namespace.clone()),
        }
    }
}

type Group = Vec<Subscriber>;

/// All watchers of a resource.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    everything: Group,
    namespaces: HashMap<String, Group>,
    objects: HashMap<String, Group>,
    indexed: HashMap<String, Group>,
}

impl Watchers {
    pub(crate) fn add(&mut self, place: Place, subscriber: Subscriber) {
        match place {
            Place::Everything => self.everything.push(subscriber),
            Place::Namespace(name) => self.namespaces.entry(name).or_default().push(subscriber),
            Place::Object(key) => self.objects.entry(key).or_default().push(subscriber),
            Place::Indexed(value) => self.indexed.entry(value).or_default().push(subscriber),
        }
    }

    /// Ends a watch; does nothing if it has ended.
    pub(crate) fn remove(&mut self, place: &Place, id: u64) {
        let (groups, key) = match place {
            Place::Everything => return self.everything.retain(|subscriber| subscriber.id != id),
            Place::Namespace(name) => (&mut self.namespaces, name),
            Place::Object(key) => (&mut self.objects, key),
            Place::Indexed(value) => (&mut self.indexed, value),
        };
        if let Some(group) = groups.get_mut(key) {
            group.retain(|subscriber| subscriber.id != id);
            if group.is_empty() {
                groups.remove(key);
            }
        }
    }

    /// Offers a change to everyone whom it may concern. Returns how many were cut off.
    pub(crate) fn offer(&mut self, change: &Change, layout: &Layout) -> usize {
        let object = change.object();
        let mut cut_off = offer_all(&mut self.everything, change);
        let mut to = |groups: &mut HashMap<String, Group>, key: &str| {
            cut_off += groups.get_mut(key).map_or(0, |group| offer_all(group, change));
        };
        if !self.namespaces.is_empty() {
            to(&mut self.namespaces, object.namespace());
        }
        if !self.objects.is_empty() {
            to(&mut self.objects, &object.key);
        }
        if let Some(field) = layout.index.filter(|_| !self.indexed.is_empty()) {
            let value = object.field(field);
            to(&mut self.indexed, value);
            // An object that moves is deleted for the watchers of where it was.
            let before = change.previous.as_ref().map_or(value, |previous| previous.field(field));
            if before != value {
                to(&mut self.indexed, before);
            }
        }
        cut_off
    }

    /// Ends all watches.
    pub(crate) fn end_all(&mut self, why: &Error) {
        let Self { everything, namespaces, objects, indexed } = std::mem::take(self);
        let groups = [namespaces, objects, indexed].into_iter().flat_map(HashMap::into_values);
        for subscriber in groups.flatten().chain(everything) {
            // Only the sending side sets it, and it is gone after that.
            let _ = subscriber.end.set(why.clone());
        }
    }

    pub(crate) fn len(&self) -> usize {
        let groups = [&self.namespaces, &self.objects, &self.indexed].into_iter().flat_map(HashMap::values);
        self.everything.len() + groups.map(Vec::len).sum::<usize>()
    }
}

fn offer_all(group: &mut Group, change: &Change) -> usize {
    let before = group.len();
    group.retain(|subscriber| subscriber.offer(change));
    before - group.len()
}

impl Subscriber {
    /// False if the watch is over.
    fn offer(&self, change: &Change) -> bool {
        if change.revision <= self.after {
            return true;
        }
        let Some(event) = change.event_for(&self.selection) else {
            return true;
        };
        match self.queue.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                let why = "the watch was cut off because its client reads too slowly; watch again from the last revision seen";
                let _ = self.end.set(Error::unavailable(why).retry_after(1));
                false
            }
        }
    }
}
