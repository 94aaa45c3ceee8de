//! The scheduler: gives every pod that has none a node.
//!
//! ```text
//!            +-> cache -- snapshot --+
//!  watch ----+                       v
//!  (events)  +-> queue -- pod --> schedule_one --> node --> binding cycle --> apiserver
//!                  ^                 |                                           |
//!                  |    no node: condition, Event                                |
//!                  +-----------------+            watch: the assumption is confirmed
//! ```
//!
//! It learns of pods and nodes from its watches alone ([`events`]) and never asks. [`schedule_one`] reads as the algorithm; what makes a
//! node feasible or better is policy and lives in [`plugins`], behind the extension points of the [`framework`]. The [`cache`] runs ahead
//! of the watch by what was decided and is not seen yet; the [`queue`] knows which pods wait, for what, and which event helps them.
//!
//! Several replicas may run: one leads, the others keep cache and queue warm. It stores nothing; after a crash all it needs comes back
//! over the watches, causes included, so a pod's journey goes on in the same trace.

pub mod app;
pub mod cache;
pub mod config;
pub mod diagnosis;
pub mod events;
pub mod feasible;
pub mod framework;
pub mod metrics;
pub mod plugins;
pub mod pod_info;
pub mod queue;
pub mod ranking;
pub mod report;
pub mod schedule_one;
pub mod scheduler;
#[cfg(test)]
mod testing;

pub use app::{Handle, StartError, serve};
pub use config::Config;

/// Compiles the plugin that `docs/scheduler.md` shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/scheduler.md")]
struct Documentation;
