//! The controller-manager: control loops that drive what is to what shall be.
//! <https://kubernetes.io/docs/concepts/architecture/controller/>
//!
//! ```text
//!              +--> informer per kind --> handlers --> queue --> run: look, plan, write --+
//! apiserver ---+        (informers)                              (one folder each)        +--> apiserver
//!              +--> lease: one replica works (app)                                        |
//! ```
//!
//! Every controller has a pure half, `plan.rs`: what it observed and the time in, what to write out. The other half, `controller.rs`, knows
//! which events concern which object, reads the caches and carries the plan out. All share one informer per kind ([`informers`]), and know
//! of each other nothing but the objects that they leave in the apiserver.
//!
//! Invariants: a run that finds nothing to change writes nothing; every write is made on a known revision, on a uid, or under a name that
//! nobody else may make, so that a stale cache costs a retry and never a wrong object.

mod app;
pub mod claim;
pub mod config;
pub mod context;
pub mod controllers;
pub mod deployment;
pub mod endpoints;
pub mod endpointslice;
pub mod garbagecollector;
pub mod indexes;
pub mod informers;
pub mod kinds;
pub mod metrics;
pub mod nodeipam;
pub mod nodelifecycle;
pub mod origin;
pub mod podeviction;
pub mod podgc;
pub mod replicaset;
pub mod tainteviction;
pub mod written;

pub use config::{Config, ConfigError};

use service_kit::Shutdown;
use service_kit::supervisor::TaskError;

/// Runs the controller-manager until `shutdown`.
///
/// # Errors
/// A flag that cannot be used, a port that is taken, or leadership that was lost.
pub async fn serve(config: Config, shutdown: Shutdown) -> Result<(), TaskError> {
    app::run(config.settings()?, shutdown).await
}
