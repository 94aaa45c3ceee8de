//! What every traceplane process is built on, below any knowledge of Kubernetes objects.
//!
//! A service is a set of named tasks that start together and stop together. This crate holds that frame: the `run` skeleton
//! of a `main.rs`, the shutdown signal, supervised tasks, time and back-off, TLS identities, the listener, and the endpoints
//! (`/healthz`, `/livez`, `/readyz`, `/metrics`) by which others see how the process is doing. It also reads the values of flags that
//! several services write alike.
//!
//! Invariants:
//! - every task has a name and a policy for its failure; a panic counts as a failure and never disappears;
//! - every wait for something to stop is bounded, and what did not stop is named;
//! - a private key is never printed, and no message about a certificate leaves out the file and the fix.
//!
//! It does not know the store, the API client or any kind of object; of `api` it uses only the error type.

mod run;
pub mod shutdown;
pub mod supervisor;

pub mod chain;

pub mod backoff;
pub mod clock;
mod pace;
pub mod retry;

pub mod listener;
pub mod tls;

pub mod health;
pub mod metrics;
pub mod ops;

pub mod flags;

pub mod rpc_status;

pub use backoff::{Backoff, KeyedBackoff};
pub use clock::{Clock, ManualClock, Stepper};
pub use health::Health;
pub use listener::{Connection, Limits, Listener};
pub use metrics::Metrics;
pub use retry::{Failure, RetryPolicy, retry};
pub use run::{run, run_within};
pub use shutdown::Shutdown;
pub use supervisor::{OnFailure, STOP_WITHIN, Supervisor};
