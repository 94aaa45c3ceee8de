//! Which occurrences are one event, and which are too many. The rules and numbers are client-go's.
//!
//! - The same again (object, source, type, reason and message) raises the count of its event.
//! - From the tenth message of one reason within ten minutes on, new ones become one event, "(combined from similar events): ...".
//! - Of one source about one object, 25 writes may come at once and then one every five minutes. What is not written is counted: the next
//!   write has it.
//!
//! What was seen is remembered by hashes of 64 bits instead of its text, which would be kilobytes for every object. That two of some
//! thousands have the same one, so that one event would be counted as the other, does not happen in practice.
//!
//! Nothing here writes or waits.

use super::recent::Recent;
use super::{Occurrence, TRACE_ID};
use api::core::v1::Event;
use api::meta::v1::Time;
use jiff::Timestamp;
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// How many things of each sort are remembered.
const REMEMBERED: usize = 4096;
/// So many messages of one reason are told one by one; the next is the tenth, and similar events.
const TOLD: usize = 9;
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
const COMBINED: &str = "(combined from similar events): ";
/// The longest name that an object may have.
const NAME_LIMIT: usize = 253;

#[derive(Debug)]
pub(super) struct Correlator {
    hasher: RandomState,
    /// By what makes two occurrences the same event.
    written: Recent<Written>,
    /// By what similar events have in common.
    similar: Recent<Similar>,
    /// By who says something about what.
    budgets: Recent<Budget>,
}

/// What shall be in the store. The first occurrence creates its event, later ones change it, or create it if it is not there any more.
#[derive(Debug, PartialEq)]
pub(super) struct Write {
    pub(super) event: Event,
}

#[derive(Debug)]
struct Written {
    name: String,
    first: Timestamp,
    count: i32,
}

#[derive(Debug)]
struct Similar {
    /// At most [`TOLD`].
    messages: Vec<u64>,
    last: Instant,
}

#[derive(Debug)]
struct Budget {
    left: f64,
    since: Instant,
}

impl Correlator {
    pub(super) fn new() -> Self {
        Correlator {
            hasher: RandomState::new(),
            written: Recent::new(REMEMBERED),
            similar: Recent::new(REMEMBERED),
            budgets: Recent::new(REMEMBERED),
        }
    }

    /// What to write because of an occurrence; `None`: nothing, there were too many.
    pub(super) fn observe(&mut self, occurrence: &Occurrence, now: Instant) -> Option<Write> {
        let Occurrence { source, about, kind, reason, message, .. } = occurrence;
        let object = (&about.kind, &about.namespace, &about.name, &about.uid, &about.api_version);
        let subject = self.hasher.hash_one((&source.component, &source.host, object));
        let similarity = self.hasher.hash_one((subject, kind, reason));
        let is_combined = self.is_one_of_many(similarity, self.hasher.hash_one(message), now);
        let (field, text) = if is_combined { ("", "") } else { (about.field_path.as_str(), message.as_str()) };
        let sameness = self.hasher.hash_one((similarity, field, text));
        let fresh = || Written { name: occurrence.event_name(), first: occurrence.at, count: 0 };
        let written = self.written.entry(sameness, fresh);
        written.count = written.count.saturating_add(1);
        let mut event = occurrence.event(written);
        if is_combined {
            event.message = super::shortened(format!("{COMBINED}{}", event.message));
        }
        self.budgets.entry(subject, || Budget { left: BURST, since: now }).take(now).then_some(Write { event })
    }

    fn is_one_of_many(&mut self, similarity: u64, message: u64, now: Instant) -> bool {
        let similar = self.similar.entry(similarity, || Similar { messages: Vec::new(), last: now });
        if now - similar.last > SIMILAR_WITHIN {
            similar.messages.clear();
        }
        similar.last = now;
        if similar.messages.contains(&message) {
            return false;
        }
        if similar.messages.len() >= TOLD {
            return true;
        }
        similar.messages.push(message);
        false
    }
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let refilled = (now - self.since).as_secs_f64() / REFILL.as_secs_f64();
        (self.left, self.since) = ((self.left + refilled).min(BURST), now);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

impl Write {
    /// The event is there already, or was.
    pub(super) fn is_repetition(&self) -> bool {
        self.event.count > 1
    }

    /// What changes in an event that is there.
    pub(super) fn patch(&self) -> serde_json::Value {
        let Event { count, message, last_timestamp, .. } = &self.event;
        json!({ "count": count, "message": message, "lastTimestamp": last_timestamp })
    }
}

impl Occurrence {
    /// As in client-go the object's name and the time, in hexadecimal nanoseconds.
    fn event_name(&self) -> String {
        let time = format!(".{:x}", self.at.as_nanosecond());
        let room = self.about.name.floor_char_boundary(NAME_LIMIT - time.len());
        // A name may end in neither of these before a dot.
        format!("{}{time}", self.about.name[..room].trim_end_matches(['-', '.']))
    }

    fn event(&self, written: &Written) -> Event {
        let mut event = Event {
            involved_object: self.about.clone(),
            reason: self.reason.clone(),
            message: self.message.clone(),
            source: (*self.source).clone(),
            first_timestamp: Some(Time::from(written.first)),
            last_timestamp: Some(Time::from(self.at)),
            count: written.count,
            r#type: self.kind.to_string(),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            ..Event::default()
        };
        event.metadata.name.clone_from(&written.name);
        // Events about what has no namespace are kept in this one.
        let namespace = Some(&self.about.namespace).filter(|namespace| !namespace.is_empty());
        event.metadata.namespace = namespace.map_or("default", String::as_str).to_owned();
        if !self.trace_id.is_empty() {
            event.metadata.annotations.insert(TRACE_ID.to_owned(), self.trace_id.clone());
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType;
    use super::*;
    use api::core::v1::{EventSource, ObjectReference};
    use std::sync::Arc;

    fn occurrence(name: &str, message: &str) -> Occurrence {
        Occurrence {
            about: ObjectReference { kind: "Pod".to_owned(), name: name.to_owned(), ..ObjectReference::default() },
            source: Arc::new(EventSource { component: "kubelet".to_owned(), host: "node-1".to_owned() }),
            kind: EventType::Normal,
            reason: "Pulled".to_owned(),
            message: message.to_owned(),
            at: Timestamp::now(),
            trace_id: String::new(),
        }
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn the_same_again_is_counted_and_anything_else_is_another_event() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        let mut observe = |occurrence: &Occurrence| correlator.observe(occurrence, now).unwrap().event;
        let first = observe(&occurrence("a", "one"));
        let again = observe(&occurrence("a", "one"));
        assert_eq!((first.count, again.count), (1, 2));
        assert_eq!((first.metadata.name, first.first_timestamp), (again.metadata.name, again.first_timestamp));
        let mut others: Vec<Occurrence> = (0..6).map(|_| occurrence("a", "one")).collect();
        others[0].message = "two".to_owned();
        others[1].reason = "Pulling".to_owned();
        others[2].kind = EventType::Warning;
        others[3].about.uid = "another".to_owned();
        others[4].about.field_path = "spec.containers{web}".to_owned();
        others[5].source = Arc::new(EventSource { component: "kubelet".to_owned(), host: "node-2".to_owned() });
        for other in others {
            assert_eq!(observe(&other).count, 1, "{other:?}");
        }
    }

    #[test]
    fn many_messages_of_one_reason_are_combined() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        let mut messages = Vec::new();
        for number in 0..13 {
            let event = correlator.observe(&occurrence("a", &format!("message {number}")), now).unwrap().event;
            messages.push((event.message, event.count));
        }
        assert_eq!(messages[8], ("message 8".to_owned(), 1));
        assert_eq!(messages[9], ("(combined from similar events): message 9".to_owned(), 1));
        assert_eq!(messages[12], ("(combined from similar events): message 12".to_owned(), 4));
        let known = correlator.observe(&occurrence("a", "message 3"), now).unwrap().event;
        assert_eq!((known.message.as_str(), known.count), ("message 3", 2), "what was told is told as before");
        let later = correlator.observe(&occurrence("a", "another"), now + minutes(11)).unwrap().event;
        assert_eq!(later.message, "another", "after a quiet while it starts anew");
    }

    #[test]
    fn too_many_about_one_object_are_counted_and_not_written() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        let again = occurrence("a", "again");
        let written = (0..100).filter(|_| correlator.observe(&again, now).is_some()).count();
        assert_eq!(written, 25);
        assert!(correlator.observe(&occurrence("b", "again"), now).is_some(), "another object has its own budget");
        assert!(correlator.observe(&again, now + minutes(4)).is_none());
        let next = correlator.observe(&again, now + minutes(6)).unwrap();
        assert_eq!(next.event.count, 102, "none was lost");
        assert!(correlator.observe(&again, now + minutes(7)).is_none());
    }

    #[test]
    fn the_name_of_an_event_is_one_however_long_the_objects_is() {
        let mut event = occurrence(&format!("{}-{}", "a".repeat(235), "b".repeat(17)), "m");
        event.at = Timestamp::from_nanosecond(0x1700_0000_0000_0000).unwrap();
        let name = event.event_name();
        assert_eq!(name, format!("{}.1700000000000000", "a".repeat(235)));
        assert_eq!(occurrence("web", "m").event_name().split_once('.').unwrap().0, "web");
    }
}
