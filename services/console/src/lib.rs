//! The console: what shows traceplane's traces where no Jaeger runs.
//!
//! ```text
//! exporters -- OTLP --> otlp -> store -> query -- jaeger.api_v3 --> tpctl trace, any reader of Jaeger's API
//! ```
//!
//! Spans come in over [`otlp`], live in the [`store`] as long as its limits allow, and are asked for over [`query`]. Both sides speak
//! other people's protocols to the letter, so a Jaeger can take the console's place and the other way round.
//!
//! The console knows nothing of Kubernetes and of traceplane's steps: a pod is found by its attributes, like anything else. It makes
//! no spans of itself, and forgets everything when it stops.

pub mod app;
pub mod codec;
pub mod config;
pub mod metrics;
pub mod otlp;
pub mod pb;
pub mod query;
pub mod store;

pub use app::{Addresses, Handle, serve};
pub use config::Config;
