//! Why a run happens, as far as its trace is concerned.
//!
//! The same run can be a step of an apply or of a delete. Which one, only the event that queued the key knows; so handlers note it by the
//! revision of the event's cause, and the run looks up the cause that it continues.

use controller::{Cache, Key, Origin};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes, TRACEPARENT_ANNOTATION, TraceContext};

/// The cause of an event that asks for a look, and perhaps for no work: the echo of our own write, a status that another controller
/// reported. The run continues its trace if there is something to do, and leaves no spans if there is not.
pub fn echo(cause: &Cause) -> Cause {
    Cause { replayed: true, ..cause.clone() }
}

/// What the newest causes of keys mean.
#[derive(Debug)]
pub struct Marks<M> {
    by_key: Mutex<HashMap<Key, VecDeque<(i64, M)>>>,
}

impl<M> Default for Marks<M> {
    fn default() -> Self {
        Marks { by_key: Mutex::default() }
    }
}

impl<M: Copy> Marks<M> {
    /// Notes what a cause means for a key. As many are kept as a queue keeps causes.
    pub fn note(&self, key: &Key, cause: &Cause, mark: M) {
        if !cause.context.is_valid() {
            return;
        }
        let mut by_key = self.by_key.lock();
        let marks = by_key.entry(key.clone()).or_default();
        marks.push_back((cause.revision, mark));
        if marks.len() > Causes::LIMIT {
            marks.pop_front();
        }
    }

    /// What the cause that a run continues means.
    pub fn of(&self, key: &Key, causes: &Causes) -> Option<M> {
        let continued = causes.newest_sampled().or_else(|| causes.newest())?;
        let by_key = self.by_key.lock();
        let marks = by_key.get(key)?;
        marks.iter().rev().find(|(revision, _)| *revision == continued.revision).map(|(_, mark)| *mark)
    }

    /// The object is gone.
    pub fn forget(&self, key: &Key) {
        self.by_key.lock().remove(key);
    }
}

/// The origin of a run on an object of `cache`: without a cause it links to the object's newest revision or, if that was written untraced,
/// to the trace that its annotation names.
pub fn origin<K: api::Resource>(cache: &Cache<K>, key: &Key, steps: RunSteps) -> Origin {
    let newest = cache.cause(key).map(|cause| cause.context).filter(TraceContext::is_valid);
    let last_known = newest.or_else(|| {
        let object = cache.get(key)?;
        Some(TraceContext::parse(object.metadata().annotations.get(TRACEPARENT_ANNOTATION)?, ""))
    });
    Origin { last_known: last_known.unwrap_or_default(), steps }
}

/// Writes on an object that a controller creates or decides about which trace did it (KEP-5915).
pub fn sign<K: api::Resource>(object: &mut K) {
    let current = TraceContext::current();
    let annotations = &mut object.metadata_mut().annotations;
    if current.is_sampled() {
        annotations.insert(TRACEPARENT_ANNOTATION.to_owned(), current.traceparent());
    } else {
        annotations.remove(TRACEPARENT_ANNOTATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(revision: i64, flags: &str) -> Cause {
        let parent = format!("00-{revision:032x}-{revision:016x}-{flags}");
        Cause { revision, ..Cause::from_context(TraceContext::parse(&parent, "")) }
    }

    #[test]
    fn a_run_is_what_the_cause_that_it_continues_means() {
        let (marks, key) = (Marks::default(), Key::new("default", "web"));
        marks.note(&key, &cause(1, "01"), 'a');
        marks.note(&key, &cause(2, "01"), 'b');
        marks.note(&key, &cause(3, "00"), 'c');
        marks.note(&key, &Cause::default(), 'd');
        let run = |causes: &[Cause]| marks.of(&key, &causes.iter().cloned().collect());
        assert_eq!(run(&[cause(1, "01"), cause(2, "01")]), Some('b'));
        assert_eq!(run(&[cause(1, "01"), cause(3, "00")]), Some('a'), "the sampled one is continued");
        assert_eq!(run(&[cause(3, "00")]), Some('c'));
        assert_eq!(run(&[cause(9, "01"), cause(1, "01")]), None, "the newest means nothing particular");
        assert_eq!(run(&[]), None);
        marks.forget(&key);
        assert_eq!(run(&[cause(1, "01")]), None);
    }
}
