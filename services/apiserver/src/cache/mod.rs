//! The watch cache.
pub use cached::Cached;
pub use watch::{Watch, WatchEvent};
mod cached; mod watch;
