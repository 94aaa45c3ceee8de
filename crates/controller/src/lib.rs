//! What controllers are made of: watch, remember, queue, reconcile.
//!
//! ```text
//! apiserver --watch--> Reflector --> Cache ------------------------------+
//!                          |                                             v reads
//!                          +--> handlers --> WorkQueue (keys + causes) --> Runner --> reconcile(key)
//! ```
//!
//! A [`Informer`] keeps a [`Cache`] of one kind as new as its watch and tells handlers about every change, with its cause. A handler adds keys
//! to a [`WorkQueue`], which merges the causes of a key; [`run`] takes keys, makes the span that continues those causes, and calls the
//! reconciler. [`Expectations`] bridge the moment between a write and its event, [`elect`] keeps one of several replicas at work, a
//! [`Recorder`] writes Events.
//!
//! Guarantees: the changes of one object reach the handlers in order, though not every intermediate state; between objects there is no
//! order. Two runs of one key never overlap. A key added during its run is run again afterwards.

mod cache;
mod expectations;
mod informer;
mod key;
mod leader;
mod leader_args;
mod queue;
mod recorder;
mod reflector;
mod runner;

pub use cache::Cache;
pub use expectations::Expectations;
pub use informer::{Change, Informer, InformerBuilder};
pub use key::Key;
pub use leader::{Election, elect};
pub use leader_args::{ContradictoryTimes, LeaderElectionArgs};
pub use queue::{Item, WorkQueue};
pub use recorder::{EventType, Recorder, TRACE_ID};
pub use runner::{Controller, Origin, Outcome, RunKey, run, run_as};
