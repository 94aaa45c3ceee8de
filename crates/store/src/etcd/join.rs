//! From etcd's watch answers to batches: all events of a revision together, removals with their causes.
//!
//! Pure: fed with answers in order, it neither connects nor waits. etcd may split an answer into fragments,
//! in the middle of a revision; the revision is held back until its last event is sure to be there.

use std::collections::VecDeque;

use bytes::Bytes;
use jiff::Timestamp;
use telemetry::Cause;

use super::entry;
use super::rpc::{self, EventType, WatchResponse};
use crate::keys::{Keys, removed_key};
use crate::{Batch, Event, EventKind, Result, Revision};

/// The batches of one watch.
pub(super) struct Joiner {
    keys: Keys,
    /// Everything up to here has been handed out; a resumed watch begins after it.
    passed: Revision,
    /// The revision being put together.
    open: Option<Open>,
    ready: VecDeque<Batch>,
}

#[derive(Default)]
struct Open {
    revision: Revision,
    events: Vec<Event>,
    /// What the removal records of this revision say: who removed which key.
    removals: Vec<(String, Cause)>,
}

impl Joiner {
    pub(super) fn new(keys: Keys, after: Revision) -> Self {
        Self { keys, passed: after, open: None, ready: VecDeque::new() }
    }

    /// Everything up to this revision is in the batches that were or will be popped.
    pub(super) fn passed(&self) -> Revision {
        self.passed
    }

    pub(super) fn pop(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    /// Forgets a revision that was cut off by a broken connection; the resumed watch delivers it again, whole.
    pub(super) fn broken(&mut self) {
        self.open = None;
    }

    pub(super) fn push(&mut self, answer: WatchResponse) -> Result<()> {
        if answer.events.is_empty() {
            // A progress notice, or the answer that the watch was created: that one's revision promises nothing.
            if !answer.created {
                let revision = answer.header.map_or(0, |header| header.revision);
                self.pass(Revision::new(revision), Vec::new());
            }
            return Ok(());
        }
        let received = Timestamp::now();
        for event in answer.events {
            self.push_event(event, received)?;
        }
        if !answer.fragment {
            self.close();
        }
        Ok(())
    }

    fn push_event(&mut self, event: rpc::Event, received: Timestamp) -> Result<()> {
        let removed = event.r#type() == EventType::Delete;
        let Some(kv) = event.kv else { return Ok(()) };
        let mut entry = entry(kv)?;
        entry.cause.received_at = Some(received);
        if self.open.as_ref().is_some_and(|open| open.revision != entry.revision) {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| Open { revision: entry.revision, ..Open::default() });
        if self.keys.is_own(&entry.key) {
            if self.keys.is_removal(&entry.key)
                && let Some(key) = removed_key(&entry.value)
            {
                open.removals.push((key, entry.cause));
            }
            return Ok(());
        }
        let kind = match removed {
            true => EventKind::Removed,
            false => EventKind::Put { created: entry.create_revision == entry.revision },
        };
        open.events.push(Event {
            key: entry.key,
            revision: entry.revision,
            kind,
            value: entry.value,
            cause: entry.cause,
        });
        Ok(())
    }

    /// The open revision is complete.
    fn close(&mut self) {
        let Some(Open { revision, mut events, removals }) = self.open.take() else { return };
        for (key, cause) in removals {
            let removed = |event: &&mut Event| event.kind == EventKind::Removed && *event.key == *key;
            match events.iter_mut().find(removed) {
                Some(event) => event.cause = cause,
                // etcd before 3.6 forgets a deletion when it compacts at that very revision, but not the record.
                None => events.push(Event {
                    key: key.into(),
                    revision,
                    kind: EventKind::Removed,
                    value: Bytes::new(),
                    cause,
                }),
            }
        }
        self.pass(revision, events);
    }

    /// Hands out a batch, unless it would take the watch back.
    fn pass(&mut self, revision: Revision, events: Vec<Event>) {
        if revision > self.passed {
            self.passed = revision;
            self.ready.push_back(Batch { revision, events });
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry::TraceContext;

    use super::super::rpc::{KeyValue, ResponseHeader};
    use super::*;
    use crate::envelope::seal;
    use crate::keys::{barrier_value, removal_record};

    fn joiner() -> Joiner {
        Joiner::new(Keys::new("/registry"), Revision::new(1))
    }

    fn put(key: &str, revision: i64) -> rpc::Event {
        event(EventType::Put, key, revision, Bytes::new())
    }

    fn delete(key: &str, revision: i64) -> rpc::Event {
        event(EventType::Delete, key, revision, Bytes::new())
    }

    /// The record that `delete` is written together with.
    fn record(key: &str, revision: i64) -> rpc::Event {
        let value = seal(&removal_record(key), &remover(), Timestamp::now()).unwrap();
        event(EventType::Put, &Keys::new("/registry").removal_of(key), revision, value)
    }

    fn remover() -> TraceContext {
        TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
    }

    fn event(kind: EventType, key: &str, revision: i64, value: Bytes) -> rpc::Event {
        let kv = KeyValue { key: rpc::bytes(key), create_revision: revision, mod_revision: revision, value };
        rpc::Event { r#type: kind.into(), kv: Some(kv) }
    }

    fn answer(events: Vec<rpc::Event>, fragment: bool) -> WatchResponse {
        WatchResponse { events, fragment, ..WatchResponse::default() }
    }

    /// What has been handed out: per batch its revision and the keys of its events.
    fn drain(joiner: &mut Joiner) -> Vec<(i64, Vec<String>)> {
        std::iter::from_fn(|| joiner.pop())
            .map(|batch| (batch.revision.get(), batch.events.iter().map(|e| e.key.to_string()).collect()))
            .collect()
    }

    #[test]
    fn one_answer_with_many_revisions_is_one_batch_for_each() {
        let mut joiner = joiner();
        joiner
            .push(answer(vec![put("/registry/a/1", 2), put("/registry/a/2", 2), put("/registry/a/1", 3)], false))
            .unwrap();
        let expected =
            [(2, vec!["/registry/a/1".to_owned(), "/registry/a/2".to_owned()]), (3, vec!["/registry/a/1".to_owned()])];
        assert_eq!(drain(&mut joiner), expected);
        assert_eq!(joiner.passed(), Revision::new(3));
    }

    #[test]
    fn a_revision_split_over_fragments_is_handed_out_whole() {
        let mut joiner = joiner();
        joiner.push(answer(vec![put("/registry/a/1", 2), delete("/registry/a/2", 3)], true)).unwrap();
        assert_eq!(drain(&mut joiner), [(2, vec!["/registry/a/1".to_owned()])], "revision 3 may go on");
        joiner.push(answer(vec![record("/registry/a/2", 3)], false)).unwrap();
        let batch = joiner.pop().unwrap();
        assert_eq!((batch.revision.get(), batch.events.len()), (3, 1));
        assert_eq!(batch.events[0].cause.context, remover());
    }

    #[test]
    fn a_revision_cut_off_by_a_broken_connection_comes_again_whole() {
        let mut joiner = joiner();
        joiner.push(answer(vec![put("/registry/a/1", 2)], true)).unwrap();
        joiner.broken();
        assert_eq!(joiner.passed(), Revision::new(1), "the watch resumes before the revision that was cut off");
        joiner.push(answer(vec![put("/registry/a/1", 2), put("/registry/a/2", 2)], false)).unwrap();
        assert_eq!(drain(&mut joiner), [(2, vec!["/registry/a/1".to_owned(), "/registry/a/2".to_owned()])]);
    }

    #[test]
    fn a_removal_is_joined_with_its_cause_and_only_its_own() {
        let mut joiner = joiner();
        let events = vec![delete("/registry/a/1", 2), record("/registry/a/1", 2), delete("/registry/a/2", 3)];
        joiner.push(answer(events, false)).unwrap();
        let causes: Vec<_> =
            std::iter::from_fn(|| joiner.pop()).map(|batch| batch.events[0].cause.context.clone()).collect();
        assert_eq!(causes, [remover(), TraceContext::NONE]);
    }

    #[test]
    fn a_record_whose_deletion_was_compacted_is_a_removal() {
        let mut joiner = joiner();
        joiner.push(answer(vec![record("/registry/a/1", 2)], false)).unwrap();
        let batch = joiner.pop().unwrap();
        assert_eq!((&*batch.events[0].key, batch.events[0].kind), ("/registry/a/1", EventKind::Removed));
        assert_eq!(batch.events[0].cause.context, remover());
    }

    #[test]
    fn barriers_and_progress_are_empty_batches_that_never_go_back() {
        let mut joiner = joiner();
        let header = |revision| Some(ResponseHeader { revision });
        joiner.push(WatchResponse { created: true, header: header(9), ..WatchResponse::default() }).unwrap();
        assert_eq!(drain(&mut joiner), [], "that a watch stands at 9 does not mean that it has delivered 9");
        joiner
            .push(answer(vec![event(EventType::Put, "/registry/traceplane.dev/barrier", 2, barrier_value())], false))
            .unwrap();
        joiner.push(WatchResponse { header: header(5), ..WatchResponse::default() }).unwrap();
        joiner.push(WatchResponse { header: header(5), ..WatchResponse::default() }).unwrap();
        joiner.push(WatchResponse { header: header(4), ..WatchResponse::default() }).unwrap();
        assert_eq!(drain(&mut joiner), [(2, vec![]), (5, vec![])]);
    }
}
