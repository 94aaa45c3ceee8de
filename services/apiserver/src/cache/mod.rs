//! The watch cache: what the store holds, in memory, with its newest history.
//!
//! ```text
//!   store ──one watch──▶ Feed ──▶ Cache (pods) ──▶ Watch, Watch, Watch ...
//!                          │ ├──▶ Cache (nodes) ─▶ ...
//!                          ▼
//!                       Progress ◀── Freshness (reads as strong as the store's)
//! ```
//!
//! Gets, lists and all watches of clients are served from here. One watch over everything feeds all caches, so one revision says how far
//! all of them have come. Objects are kept encoded and every event is encoded once, however many watch.
//!
//! The cache never writes to the store, except for the barrier that moves a quiet watch. It does not know what objects mean: a
//! [`Layout`] tells it where they lie and what selects them.

mod cached;
mod change;
mod feed;
mod freshness;
mod history;
mod layout;
mod objects;
mod progress;
mod resource;
mod selection;
mod watch;
mod watchers;

#[cfg(test)]
mod tests;

pub use cached::Cached;
pub(crate) use cached::with_resource_version;
pub use change::WatchEvent;
pub(crate) use feed::{Feed, announce_readiness};
pub(crate) use freshness::{Freshness, Refresher};
pub use layout::{Layout, Selectable};
pub(crate) use progress::Progress;
pub use resource::{Cache, CacheLimits, Snapshot};
pub use selection::Selection;
pub use watch::{Watch, WatchOptions, WatchStart};
