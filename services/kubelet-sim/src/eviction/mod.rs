//! Node-pressure eviction: a node that runs short of memory, disk or processes ends pods before the kernel or a full disk does.
//!
//! ```text
//!  stats ──> observations ──> monitor ──> pressures ──> node's conditions, admission
//!                                │
//!                                └──> starved of what ──> reclaim images ──> rank pods ──> end the first
//! ```
//!
//! Everything is decided by pure functions; [`Evictor`] looks at the runtime, keeps the monitor's memory and passes on the verdict. It ends
//! one pod at a time, and looks again when that pod is gone. Signals, syntax, defaults, ranking and messages are Kubernetes'. See
//! [node-pressure eviction](https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/).

mod evictor;
mod limits;
mod message;
mod monitor;
mod observation;
mod rank;
mod signal;
mod threshold;

#[cfg(test)]
mod tests;

pub use evictor::{EvictionPolicy, Evictor};
pub use monitor::{Look, Monitor};
pub use observation::{Capacities, ContainerUsage, Observation, Observations, POD_UID, PodUsage, observe, usages};
pub use rank::{Candidate, rank};
pub use signal::Signal;
pub use threshold::{GracePeriods, Reclaims, Statements, Threshold, Value, thresholds};
