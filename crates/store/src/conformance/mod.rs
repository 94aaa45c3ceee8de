//! What every [`Store`] must do, as tests that any implementation can run.
//!
//! ```text
//! // tests/mine.rs
//! async fn fixture() -> (Guard, Arc<dyn Store>) { ... }   // a fresh store; the guard keeps it alive
//! store::conformance!(crate::fixture);                    // one test per case
//! ```
//!
//! Cases are sentences. They wait for what they expect, with a bound, and never for time to pass.

// These are tests, whichever crate runs them: an unwrap that fails is a failed test.
#![allow(clippy::unwrap_used)]

pub mod compaction;
pub mod lists;
pub mod watches;
pub mod writes;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use telemetry::TraceContext;

use crate::envelope::Envelope;
use crate::{Batch, Entry, Event, ListOptions, Result, Revision, Store, WatchStream, WriteContext};

/// How long to wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes one test of each case. `fixture` is the path, from the crate's root, of an async function that makes a fresh
/// store and returns it behind whatever keeps it alive.
#[macro_export]
macro_rules! conformance {
    ($($fixture:tt)::+) => {
        $crate::conformance! { @modules [$($fixture)::+]
            writes {
                a_created_key_reads_back_as_it_was_written
                creating_twice_fails_and_changes_nothing
                an_update_at_the_newest_revision_replaces_the_value
                an_update_at_an_older_revision_returns_the_current_entry
                updating_a_missing_key_is_not_found_and_creates_nothing
                a_delete_at_the_newest_revision_removes_the_key
                a_delete_at_an_older_revision_returns_the_current_entry
                deleting_a_missing_key_is_not_found
                a_removed_key_can_be_created_again
                every_write_gets_a_revision_of_its_own
                an_untraced_write_has_a_cause_without_context
                a_hundred_writers_that_increment_one_key_lose_nothing
                a_value_of_nearly_1_5_mib_is_kept_and_a_larger_one_refused
                only_keys_of_objects_under_the_root_can_be_written
            }
            lists {
                a_list_is_ordered_and_has_only_its_prefix
                pages_at_one_revision_do_not_see_later_writes
                the_last_page_may_be_exactly_full
                a_list_at_a_past_revision_shows_the_past
                a_list_at_a_future_revision_is_refused
                a_list_of_thousands_is_complete
                the_stores_own_entries_are_in_no_list
            }
            watches {
                a_watch_sees_every_change_once_and_in_order
                a_watch_sees_the_cause_of_creates_updates_and_removals
                a_watch_after_a_past_revision_replays_what_followed
                a_watch_of_racing_writers_misses_and_repeats_nothing
                a_list_and_the_watch_after_it_leave_no_gap
                a_barrier_passes_a_quiet_watch
            }
            compaction {
                compacted_history_can_be_neither_listed_nor_watched
                a_watch_from_the_compacted_revision_on_is_complete
                compacting_again_does_nothing_and_the_future_cannot_be_compacted
            }
        }
    };
    (@modules $fixture:tt $($module:ident { $($case:ident)* })*) => {
        $(
            mod $module {
                $( $crate::conformance! { @case $fixture $module $case } )*
            }
        )*
    };
    (@case [$($fixture:tt)::+] $module:ident $case:ident) => {
        #[tokio::test]
        async fn $case() {
            let (_guard, store) = $($fixture)::+().await;
            $crate::conformance::$module::$case(&*store).await;
        }
    };
}

/// An envelope around some text.
pub fn value(text: &str) -> Bytes {
    let raw = Bytes::copy_from_slice(text.as_bytes());
    Envelope { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned(), raw }.encode()
}

/// The text in an envelope made by [`value`].
pub fn text(value: &Bytes) -> String {
    let envelope = Envelope::decode(value).expect("the value is what was written");
    String::from_utf8(envelope.raw.to_vec()).expect("the value is what was written")
}

/// The context of a sampled span that no other number gives.
pub fn origin(number: u64) -> TraceContext {
    TraceContext::parse(&format!("00-{:032x}-{:016x}-01", number + 1, number + 1), "vendor=state")
}

/// The same as the context of a write.
pub fn by(number: u64) -> WriteContext {
    WriteContext { origin: origin(number), step: None }
}

/// The next batch of a watch that has events.
pub async fn next(watch: &mut WatchStream) -> Batch {
    loop {
        let batch = next_or_error(watch).await.expect("the watch goes on");
        if !batch.events.is_empty() {
            return batch;
        }
    }
}

/// The next item of a watch.
pub async fn next_or_error(watch: &mut WatchStream) -> Result<Batch> {
    let item = tokio::time::timeout(PATIENCE, watch.next()).await;
    item.expect("the watch delivers in time").expect("a watch ends with an error only")
}

/// All events until the watch has passed a revision. Checks on the way that batches come in order and are whole.
pub async fn events_until(watch: &mut WatchStream, until: Revision) -> Vec<Event> {
    let mut events = Vec::new();
    let mut passed = Revision::NONE;
    while passed < until {
        let batch = next_or_error(watch).await.expect("the watch goes on");
        assert!(batch.revision > passed, "revision {} came after {passed}", batch.revision);
        passed = batch.revision;
        assert!(batch.events.iter().all(|event| event.revision == batch.revision), "{batch:?}");
        events.extend(batch.events);
    }
    events
}

async fn read(store: &dyn Store, key: &str) -> Entry {
    store.get(key).await.expect("the store can be read").expect("the key exists")
}

async fn keys(store: &dyn Store, prefix: &str, options: ListOptions) -> Vec<String> {
    let listing = store.list(prefix, options).await.expect("the prefix can be listed");
    listing.entries.iter().map(|entry| entry.key.to_string()).collect()
}
